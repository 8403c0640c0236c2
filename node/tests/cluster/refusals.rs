//! What a node refuses by itself, and in which order.

use bytes::Bytes;
use rowhouse_proto::wire::shard::{
    BearerLogout, ExecuteRequest, Failure, QueryRequest, ReadEntry, execute_reply, execute_request,
    query_reply, query_request,
};
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX, WIRE_VERSION};

use super::client::{Client, User, request_id};
use super::harness::{Cluster, TestNode, config, wait_for};

fn code(failure: &Failure) -> Option<ErrorCode> {
    ErrorCode::from_number(failure.code)
}

fn put(cluster: &Cluster, user: &User, op: execute_request::Op) -> Option<ErrorCode> {
    match cluster.client.execute(user.shard(), request_id(), op) {
        Ok(_) => None,
        Err(failure) => code(&failure),
    }
}

/// Nobody cut it into chunks.
fn too_large(user: &User, path: &str) -> execute_request::Op {
    Client::put_op(user, path, &vec![b'x'; INLINE_BODY_BYTES_MAX + 1])
}

#[test]
fn a_body_that_is_too_large_is_refused_after_everything_else() {
    let cluster = Cluster::initialized(1);
    let (user, stranger) = (User::new(20), User::new(21));
    cluster.client.signup(&user);
    assert_eq!(put(&cluster, &stranger, too_large(&stranger, "/pub/a")), Some(ErrorCode::NoSession));
    assert_eq!(put(&cluster, &user, too_large(&user, "/other/a")), Some(ErrorCode::WriteOutsideRoots));
    assert_eq!(put(&cluster, &user, too_large(&user, "/pub/a")), Some(ErrorCode::BodyTooLarge));
    let whole = vec![b'x'; INLINE_BODY_BYTES_MAX];
    assert_eq!(put(&cluster, &user, Client::put_op(&user, "/pub/a", &whole)), None);
    assert_eq!(put(&cluster, &user, Client::put_op(&user, "/pub/a/b", b"x")), Some(ErrorCode::PathCollision));
}

#[test]
fn wrong_versions_and_wrong_shards_are_told_apart() {
    let cluster = Cluster::initialized(1);
    let user = User::new(22);
    let read = query_request::Op::ReadEntry(ReadEntry {
        tenant: user.tenant(),
        path: "/pub/a".into(),
        ..ReadEntry::default()
    });
    let query = |version, group| {
        let request = QueryRequest { version, group, op: Some(read.clone()), ..QueryRequest::default() };
        match cluster.client.query_once(cluster.address(0), request).and_then(|reply| reply.result) {
            Some(query_reply::Result::Failure(failure)) => code(&failure),
            other => panic!("not refused: {other:?}"),
        }
    };
    assert_eq!(query(WIRE_VERSION + 1, user.shard()), Some(ErrorCode::WrongVersion));
    assert_eq!(query(WIRE_VERSION, 4000), Some(ErrorCode::WrongReplica));
    assert_eq!(query(WIRE_VERSION, rowhouse_proto::META_GROUP), Some(ErrorCode::WrongReplica));

    let request = ExecuteRequest {
        version: WIRE_VERSION,
        group: (user.shard() + 1) % super::harness::SHARDS,
        request_id: request_id(),
        op: Some(Client::put_op(&user, "/pub/a", b"x")),
        ..ExecuteRequest::default()
    };
    let reply = cluster.client.execute_once(cluster.address(0), request).and_then(|reply| reply.result);
    let Some(execute_reply::Result::Failure(failure)) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(code(&failure), Some(ErrorCode::WrongReplica), "another shard's user");
}

#[test]
fn logging_out_what_is_not_logged_in_writes_nothing() {
    let cluster = Cluster::initialized(1);
    let applied = || {
        let status = cluster.status(0, false).expect("answers");
        status.groups.iter().find(|group| group.group == 1).map(|group| group.last_log)
    };
    let before = applied();
    for n in 0..20u8 {
        let logout = BearerLogout { bearer_hash: Bytes::copy_from_slice(&[n; 32]) };
        let op = execute_request::Op::BearerLogout(logout);
        cluster.client.execute(1, request_id(), op).expect("nothing to do is success");
    }
    assert_eq!(applied(), before);
}

#[test]
fn writes_stop_while_two_of_three_disks_are_low_and_resume_by_themselves() {
    let mut cluster = Cluster::initialized(3);
    let user = User::new(23);
    cluster.client.signup(&user);
    cluster.client.put(&user, "/pub/kept", b"x");
    for n in [0, 1] {
        cluster.stop(n);
        let mut low = config(cluster.dir(n), cluster.address(n), "low");
        low.storage.free_space_min_bytes = u64::MAX / 1_000;
        cluster.nodes[n] =
            Some(TestNode::try_start(low).expect("a low disk does not keep a node from starting"));
    }
    wait_for("new writes to be refused", || {
        let refused = put(&cluster, &user, Client::put_op(&user, "/pub/new", b"x"));
        (refused == Some(ErrorCode::DiskFull)).then_some(())
    });
    assert!(cluster.client.get(&user, "/pub/kept").is_some(), "reads go on");
    cluster.client.delete(&user, "/pub/kept").expect("deletes go on");
    cluster.stop(0);
    cluster.restart(0);
    wait_for("writes to be taken again", || {
        put(&cluster, &user, Client::put_op(&user, "/pub/new", b"x")).is_none().then_some(())
    });
    assert!(cluster.client.get(&user, "/pub/new").is_some());
}
