//! Buckets that are counted by leaders, and the rates that answers tell of.

use bytes::Bytes;
use rowhouse_proto::wire::account::{QuotaPatch, UserQuota};
use rowhouse_proto::wire::limits::{TakeRequest, take_reply};
use rowhouse_proto::wire::meta::{
    AdmitSignup, ChangeSettings, MetaExecuteRequest, meta_execute_reply, meta_execute_request,
};
use rowhouse_proto::wire::shard::{
    Bandwidth, BandwidthRate, BeginUpload, ChangeQuota, Credential, ExecuteRequest, QueryRequest, ReadEntry,
    credential, execute_request, query_request,
};
use rowhouse_proto::{ErrorCode, META_GROUP, OBJECT_ID_BYTES, WIRE_VERSION};

use super::client::{Client, User, request_id};
use super::harness::{Cluster, SHARDS, wait_for};

const BURST: u32 = 10;

/// Ten a day: none comes while a test runs.
fn wish(group: u32, key: &str) -> TakeRequest {
    TakeRequest {
        version: WIRE_VERSION,
        group,
        key: Bytes::copy_from_slice(key.as_bytes()),
        cells: 1,
        cells_per_period: BURST,
        period_ms: 24 * 3600 * 1000,
        burst: BURST,
        wait_max_ms: 0,
    }
}

/// How many of 12 wishes are granted at the node that leads the group.
fn granted(cluster: &Cluster, group: u32, key: &str) -> u32 {
    let leader = cluster.address(cluster.leader_of(group));
    (0..BURST + 2).fold(0, |granted, _| match cluster.client.take_once(leader, wish(group, key)) {
        Some(take_reply::Result::Taken(taken)) if taken.wait_ms == 0 => granted + 1,
        Some(take_reply::Result::Exhausted(exhausted)) => {
            assert!(exhausted.retry_after_ms > 0, "{exhausted:?}");
            granted
        }
        other => panic!("no answer of the leader: {other:?}"),
    })
}

#[test]
fn a_bucket_is_counted_by_its_leader_alone_and_full_under_another_one() {
    let mut cluster = Cluster::initialized(3);
    assert_eq!(granted(&cluster, 1, "a"), BURST);
    assert_eq!(granted(&cluster, 1, "a"), 0, "whoever asks");
    assert_eq!(granted(&cluster, 1, "b"), BURST, "another bucket");
    let leader = cluster.leader_of(1);
    let uuid = cluster.nodes[leader].as_ref().expect("runs").uuid();
    for follower in (0..3).filter(|n| *n != leader) {
        match cluster.client.take_once(cluster.address(follower), wish(1, "a")) {
            Some(take_reply::Result::Failure(failure)) => {
                assert_eq!(failure.code, ErrorCode::NotLeader.number());
                assert_eq!(failure.leader_node, uuid, "it names who counts");
                assert!(failure.map_version > 0);
            }
            other => panic!("a follower counts: {other:?}"),
        }
    }
    for (request, code) in [
        (TakeRequest { version: WIRE_VERSION + 1, ..wish(1, "a") }, ErrorCode::WrongVersion),
        (wish(SHARDS + 1, "a"), ErrorCode::WrongReplica),
        (wish(META_GROUP, "a"), ErrorCode::WrongReplica),
        (TakeRequest { burst: 0, ..wish(1, "a") }, ErrorCode::Internal),
    ] {
        let told = cluster.client.take_once(cluster.address(leader), request);
        let Some(take_reply::Result::Failure(failure)) = told else { panic!("{code:?}: {told:?}") };
        assert_eq!(failure.code, code.number());
    }

    cluster.kill(leader);
    wait_for("another leader", || (cluster.leader_of(1) != leader).then_some(()));
    assert_eq!(granted(&cluster, 1, "a"), BURST, "one burst, and no more");
    assert_eq!(granted(&cluster, 1, "a"), 0);
}

fn quota(rate_read: &str, rate_write: Option<&str>) -> QuotaPatch {
    let set = UserQuota {
        rate_read: Some(rate_read.into()),
        rate_write: rate_write.map(str::to_owned),
        ..UserQuota::default()
    };
    QuotaPatch { set: Some(set), reset: Vec::new() }
}

fn told_of_read(
    cluster: &Cluster,
    user: &User,
    path: &str,
    credential: Option<Credential>,
    reader: Option<Credential>,
) -> Option<Bandwidth> {
    let op = ReadEntry { credential, tenant: user.tenant(), path: path.into(), ..ReadEntry::default() };
    let request = QueryRequest {
        version: WIRE_VERSION,
        group: user.shard(),
        reader,
        op: Some(query_request::Op::ReadEntry(op)),
    };
    let reply = cluster.client.query_once(cluster.address(0), request).expect("an answer");
    reply.bandwidth
}

fn told_of_write(cluster: &Cluster, user: &User, op: execute_request::Op) -> Option<Bandwidth> {
    let request = ExecuteRequest {
        version: WIRE_VERSION,
        group: user.shard(),
        request_id: request_id(),
        issued_at_us: cluster.client.issued_at(),
        op: Some(op),
        ..ExecuteRequest::default()
    };
    cluster.client.execute_once(cluster.address(0), request).expect("an answer").bandwidth
}

fn begin(user: &User) -> execute_request::Op {
    execute_request::Op::BeginUpload(BeginUpload {
        credential: user.credential(),
        tenant: user.tenant(),
        path: "/pub/large".into(),
        object: vec![3; OBJECT_ID_BYTES].into(),
        content_length: Some(1 << 20),
        ..BeginUpload::default()
    })
}

#[test]
fn answers_tell_the_rates_that_hold_for_the_session_s_user() {
    let cluster = Cluster::initialized(1);
    let user = User::new(30);
    cluster.client.signup(&user);
    for path in ["/pub/a", "/priv/a"] {
        cluster.client.put(&user, path, b"x");
    }
    let own = || user.credential();
    let rate =
        |kib_per_period, period_ms| BandwidthRate { kib_per_period, period_ms, burst_kib: kib_per_period };
    let nothing = Bandwidth { user: user.tenant(), ..Bandwidth::default() };
    assert_eq!(told_of_read(&cluster, &user, "/priv/a", own(), None), None, "no rate, no word");
    assert_eq!(told_of_read(&cluster, &user, "/pub/a", None, None), None);
    assert_eq!(told_of_read(&cluster, &user, "/pub/a", None, own()), Some(nothing), "it lives");
    assert_eq!(told_of_write(&cluster, &user, begin(&user)), None);

    let op = ChangeQuota { tenant: user.tenant(), patch: Some(quota("10kb/s", Some("1mb/m"))) };
    cluster
        .client
        .execute(user.shard(), request_id(), execute_request::Op::ChangeQuota(op))
        .expect("the operator may");
    let limited =
        Bandwidth { user: user.tenant(), read: Some(rate(10, 1_000)), write: Some(rate(1024, 60_000)) };
    assert_eq!(told_of_read(&cluster, &user, "/priv/a", own(), None), Some(limited.clone()), "at once");
    assert_eq!(told_of_read(&cluster, &user, "/pub/a", None, own()), Some(limited.clone()));
    assert_eq!(told_of_read(&cluster, &user, "/pub/a", None, None), None, "nobody reads");
    let dead = Some(Credential { kind: Some(credential::Kind::CookieHash(vec![9; 32].into())) });
    assert_eq!(told_of_read(&cluster, &user, "/pub/a", None, dead), None, "no session");
    let operator = Some(Credential { kind: Some(credential::Kind::Operator(true)) });
    assert_eq!(told_of_read(&cluster, &user, "/priv/a", operator, None), None, "operators have no rate");
    for op in [begin(&user), Client::put_op(&user, "/pub/a", b"y")] {
        assert_eq!(told_of_write(&cluster, &user, op), Some(limited.clone()));
    }
}

#[test]
fn a_default_rate_holds_for_users_without_their_own() {
    let cluster = Cluster::initialized(1);
    let (user, other) = (User::new(31), User::new(32));
    for user in [&user, &other] {
        cluster.client.signup(user);
        cluster.client.put(user, "/priv/a", b"x");
    }
    let op = ChangeQuota { tenant: other.tenant(), patch: Some(quota("unlimited", None)) };
    let op = execute_request::Op::ChangeQuota(op);
    cluster.client.execute(other.shard(), request_id(), op).expect("the operator may");
    let cluster_id = cluster.running().next().expect("runs").map().cluster_id;
    let op = ChangeSettings { signup_mode: None, defaults: Some(quota("2mb/s", None)) };
    cluster.client.meta_execute(&cluster_id, meta_execute_request::Op::ChangeSettings(op)).expect("changed");
    let told = wait_for("the map with the default", || {
        told_of_read(&cluster, &user, "/priv/a", user.credential(), None)
    });
    assert_eq!(told.read.map(|rate| rate.kib_per_period), Some(2048));
    assert_eq!(told.write, None);
    assert_eq!(told_of_read(&cluster, &other, "/priv/a", other.credential(), None), None, "unlimited");
}

#[test]
fn an_address_that_signs_up_without_end_does_not_reach_the_meta_group_s_state() {
    const SIGNUPS: u32 = 5;
    let cluster = Cluster::initialized_with(1, |config| {
        config.limits.attempts_burst = SIGNUPS;
        config.limits.attempts_per_second = 1;
    });
    let cluster_id = cluster.running().next().expect("runs").map().cluster_id;
    let refused = |client_addr: &str| {
        let user = User::new(33).tenant();
        let op = AdmitSignup { user, client_addr: client_addr.into(), ..AdmitSignup::default() };
        let request = MetaExecuteRequest {
            version: WIRE_VERSION,
            cluster_id: cluster_id.clone(),
            op: Some(meta_execute_request::Op::AdmitSignup(op)),
            ..MetaExecuteRequest::default()
        };
        match cluster.client.meta_execute_once(cluster.address(cluster.meta_leader()), request) {
            Some(meta_execute_reply::Result::AdmittedSignup(_)) => None,
            Some(meta_execute_reply::Result::Failure(failure)) => ErrorCode::from_number(failure.code),
            other => panic!("no word on a signup: {other:?}"),
        }
    };
    let stopped = wait_for("a refusal", || (0..2 * SIGNUPS).find_map(|_| refused("192.0.2.1")));
    assert_eq!(stopped, ErrorCode::TooManyAttempts);
    assert_eq!(refused("192.0.2.2"), None, "another address");
    assert_eq!(refused(""), None, "a gateway that does not tell");
}
