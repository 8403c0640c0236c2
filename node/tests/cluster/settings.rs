//! Settings of the whole cluster are changed while it runs.

use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::wire::account::user_quota::Storage;
use rowhouse_proto::wire::account::{QuotaPatch, UserQuota};
use rowhouse_proto::wire::meta::{
    ChangeSettings, ClusterMap, GetSignupToken, meta_execute_request, meta_query_reply, meta_query_request,
};
use rowhouse_proto::wire::shard::{ExecuteRequest, execute_reply};
use rowhouse_proto::{META_GROUP, WIRE_VERSION};

use super::client::{Client, User, request_id};
use super::harness::{Cluster, wait_for};
use super::signup::Gateway;

fn change(gateway: &Gateway, settings: ChangeSettings) {
    let op = meta_execute_request::Op::ChangeSettings(settings);
    gateway.client.meta_execute(&gateway.cluster_id, op).expect("changed");
}

fn mode(signup_mode: &str) -> ChangeSettings {
    ChangeSettings { signup_mode: Some(signup_mode.into()), defaults: None }
}

/// The next request of every gateway.
fn assert_mode(gateways: &[Gateway], token: &str, users: &mut impl Iterator<Item = User>, is_open: bool) {
    for gateway in gateways {
        let expected = [SignupTokenRequired, SignupTokenInvalid].map(|code| (!is_open).then_some(code));
        for (token, expected) in ["", "unknown"].into_iter().zip(expected) {
            let user = users.next().expect("endless");
            assert_eq!(gateway.sign_up(&user, token), expected);
        }
        let op = meta_query_request::Op::GetSignupToken(GetSignupToken { token: token.to_owned() });
        match gateway.client.meta_query(&gateway.cluster_id, op) {
            Ok(meta_query_reply::Result::SignupToken(row)) if !is_open => assert_eq!(row.token, token),
            Err(failure) if is_open => assert_eq!(failure.code, SignupTokensNotRequired.number()),
            other => panic!("open: {is_open}, and yet {other:?}"),
        }
    }
}

/// What the shard's leader says to a signup of a gateway that knows no tokens.
fn older_signup(cluster: &Cluster, user: &User) -> Option<Option<ErrorCode>> {
    let request = ExecuteRequest {
        version: WIRE_VERSION,
        group: user.shard(),
        request_id: request_id(),
        issued_at_us: cluster.client.issued_at(),
        client_addr: "127.0.0.1".into(),
        op: Some(Client::signup_op(user, None)),
        ..ExecuteRequest::default()
    };
    let leader = cluster.leader_of(user.shard());
    match cluster.client.execute_once(cluster.address(leader), request)?.result? {
        execute_reply::Result::Failure(failure) => Some(ErrorCode::from_number(failure.code)),
        _ => Some(None),
    }
}

#[test]
fn the_signup_mode_holds_in_the_next_request_everywhere() {
    let mut cluster = Cluster::started(3);
    cluster.initialize_as("token_required").expect("initializes");
    let gateways: Vec<Gateway> = (0..3).map(|n| Gateway::at(&cluster, n)).collect();
    let token = "AAAA-BBBB-CCCC";
    gateways[0].create_token(token);
    let mut users = (170..=u8::MAX).map(User::new);
    assert_mode(&gateways, token, &mut users, false);
    for round in 0..2 {
        change(&gateways[round], mode("open"));
        assert_mode(&gateways, token, &mut users, true);
        change(&gateways[round + 1], mode("token_required"));
        assert_mode(&gateways, token, &mut users, false);
        if round == 0 {
            let lost = cluster.leader_of(META_GROUP);
            cluster.kill(lost);
            assert_mode(&gateways, token, &mut users, false);
            cluster.restart(lost);
        }
    }
    let user = users.next().expect("endless");
    assert_eq!(gateways[1].sign_up(&user, token), None, "it was kept while nobody asked for it");

    let is_told =
        |map: ClusterMap| map.settings.is_some_and(|settings| settings.signup_mode == "token_required");
    wait_for("the mode to be told", || cluster.running().all(|node| is_told(node.map())).then_some(()));
    let late = users.next().expect("endless");
    wait_for("an older gateway to be refused", || {
        (older_signup(&cluster, &late)? == Some(WrongVersion)).then_some(())
    });
    change(&gateways[0], mode("open"));
    wait_for("an older gateway to sign up", || older_signup(&cluster, &late)?.is_none().then_some(()));
    cluster.assert_converged();
}

#[test]
fn a_default_quota_holds_for_users_without_one() {
    let cluster = Cluster::initialized(3);
    let user = User::new(63);
    cluster.client.signup(&user);
    let gateway = Gateway::at(&cluster, 0);
    let put = |path: &str| {
        let op = Client::put_op(&user, path, b"x");
        let refused = cluster.client.execute(user.shard(), request_id(), op).err();
        refused.and_then(|failure| ErrorCode::from_number(failure.code))
    };
    let default = |storage| {
        let set = Some(UserQuota { storage: Some(storage), ..UserQuota::default() });
        ChangeSettings { signup_mode: None, defaults: Some(QuotaPatch { set, reset: Vec::new() }) }
    };
    assert_eq!(put("/pub/a"), None);
    change(&gateway, default(Storage::StorageMb(0)));
    wait_for("the default to be told", || (put("/pub/b") == Some(QuotaExceeded)).then_some(()));
    change(&gateway, default(Storage::StorageUnlimited(true)));
    wait_for("the default to be told", || (put("/pub/b").is_none()).then_some(()));
    assert_eq!(
        gateway.settings().settings.and_then(|settings| settings.defaults).and_then(|it| it.storage),
        Some(Storage::StorageUnlimited(true))
    );
}
