//! A node that starts tells no time and stamps nothing before it has compared its clock with most others.

use rowhouse_proto::wire::shard::{
    ExecuteRequest, GetSession, QueryRequest, ReadEntry, credential, execute_reply, query_reply,
    query_request,
};
use rowhouse_proto::{ErrorCode, WIRE_VERSION};

use super::client::{Client, User, request_id};
use super::harness::{Cluster, wait_for};

/// Its HLC, and why it does not take a change.
fn execute(cluster: &Cluster, n: usize, user: &User) -> Option<(u64, Option<ErrorCode>)> {
    let request = ExecuteRequest {
        version: WIRE_VERSION,
        group: user.shard(),
        request_id: request_id(),
        issued_at_us: cluster.client.issued_at(),
        client_addr: "127.0.0.1".into(),
        op: Some(Client::put_op(user, "/pub/a", b"x")),
        ..ExecuteRequest::default()
    };
    let reply = cluster.client.execute_once(cluster.address(n), request)?;
    match reply.result? {
        execute_reply::Result::Failure(failure) => Some((reply.hlc, ErrorCode::from_number(failure.code))),
        _ => Some((reply.hlc, None)),
    }
}

fn query(cluster: &Cluster, n: usize, user: &User, op: query_request::Op) -> Option<ErrorCode> {
    let request =
        QueryRequest { version: WIRE_VERSION, group: user.shard(), op: Some(op), ..QueryRequest::default() };
    match cluster.client.query_once(cluster.address(n), request)?.result? {
        query_reply::Result::Failure(failure) => ErrorCode::from_number(failure.code),
        other => panic!("answered without a quorum: {other:?}"),
    }
}

#[test]
fn a_node_alone_does_not_know_the_time() {
    let mut cluster = Cluster::initialized(3);
    let user = User::new(30);
    cluster.client.signup(&user);
    for n in 0..3 {
        cluster.kill(n);
    }
    cluster.restart(0);
    let alone = wait_for("its replicas", || {
        execute(&cluster, 0, &user).filter(|(_, code)| *code != Some(ErrorCode::WrongReplica))
    });
    assert_eq!(alone, (0, Some(ErrorCode::Unavailable)));
    let bearer = rowhouse_proto::wire::shard::Credential {
        kind: Some(credential::Kind::BearerHash(vec![1; 32].into())),
    };
    let session = GetSession { credential: Some(bearer), tenant: user.tenant() };
    let read = ReadEntry { tenant: user.tenant(), path: "/pub/a".into(), ..ReadEntry::default() };
    assert_eq!(
        query(&cluster, 0, &user, query_request::Op::GetSession(session)),
        Some(ErrorCode::Unavailable)
    );
    let unled = [Some(ErrorCode::NotLeader), Some(ErrorCode::Unavailable)];
    assert!(unled.contains(&query(&cluster, 0, &user, query_request::Op::ReadEntry(read))));

    cluster.restart(1);
    wait_for("the time", || execute(&cluster, 0, &user).filter(|(hlc, _)| *hlc != 0));
    cluster.client.put(&user, "/pub/a", b"x");
    cluster.restart(2);
    cluster.assert_converged();
}
