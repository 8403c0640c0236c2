//! What an operator changes about one user holds in the next request through any gateway, whoever is lost.

use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::wire::account::user_quota::Storage;
use rowhouse_proto::wire::account::{QuotaField, QuotaPatch, UserQuota, WritePaths};
use rowhouse_proto::wire::shard::{ChangeQuota, DisableUser, execute_request};

use super::client::{Client, User, request_id};
use super::harness::Cluster;
use super::signup::Gateway;

fn execute(gateway: &Gateway, user: &User, op: execute_request::Op) -> Option<ErrorCode> {
    let refused = gateway.client.execute(user.shard(), request_id(), op).err()?;
    Some(ErrorCode::from_number(refused.code).expect("a known code"))
}

fn disable(user: &User, disabled: bool) -> execute_request::Op {
    execute_request::Op::DisableUser(DisableUser { tenant: user.tenant(), disabled })
}

fn change_quota(user: &User, set: UserQuota, reset: QuotaField) -> execute_request::Op {
    let patch = Some(QuotaPatch { set: Some(set), reset: vec![reset.into()] });
    execute_request::Op::ChangeQuota(ChangeQuota { tenant: user.tenant(), patch })
}

#[test]
fn what_an_operator_changes_holds_in_the_next_request_everywhere() {
    let mut cluster = Cluster::initialized(3);
    let user = User::new(64);
    cluster.client.signup(&user);
    let gateways: Vec<Gateway> = (0..3).map(|n| Gateway::at(&cluster, n)).collect();
    let nothing = UserQuota { storage: Some(Storage::StorageMb(0)), ..UserQuota::default() };
    let nowhere = UserQuota { allowed_write_paths: Some(WritePaths::default()), ..UserQuota::default() };
    let changes = [
        (disable(&user, true), Some(UserDisabled)),
        (disable(&user, false), None),
        (change_quota(&user, nothing, QuotaField::RateRead), Some(QuotaExceeded)),
        (change_quota(&user, UserQuota::default(), QuotaField::Storage), None),
        (change_quota(&user, nowhere, QuotaField::RateRead), Some(WritePathNotAllowed)),
        (change_quota(&user, UserQuota::default(), QuotaField::AllowedWritePaths), None),
    ];
    for (nth, (change, expected)) in changes.into_iter().enumerate() {
        assert_eq!(execute(&gateways[nth % 3], &user, change), None);
        // Every other time the leader is lost right after it was heard.
        let lost = (nth % 2 == 0).then(|| cluster.leader_of(user.shard()));
        if let Some(lost) = lost {
            cluster.kill(lost);
        }
        for gateway in &gateways {
            assert_eq!(execute(gateway, &user, Client::put_op(&user, "/pub/a", b"x")), expected, "{nth}");
        }
        if let Some(lost) = lost {
            cluster.restart(lost);
        }
    }
    cluster.assert_converged();
}
