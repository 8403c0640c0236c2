//! Nodes are lost and come back; what was acknowledged stays, and nothing happens twice.

use super::client::{Client, User, request_id};
use super::harness::{Cluster, wait_for};

#[test]
fn losing_the_leader_loses_nothing_acknowledged() {
    let mut cluster = Cluster::initialized(3);
    let user = User::new(1);
    cluster.client.signup(&user);
    cluster.client.put(&user, "/pub/a", b"before");
    assert_eq!(cluster.client.get(&user, "/pub/a").as_deref(), Some(&b"before"[..]));

    let lost = cluster.leader_of(user.shard());
    cluster.kill(lost);
    assert_eq!(cluster.client.get(&user, "/pub/a").as_deref(), Some(&b"before"[..]));
    cluster.client.put(&user, "/pub/b", b"meanwhile");

    cluster.restart(lost);
    cluster.client.put(&user, "/pub/c", b"after");
    for (path, body) in [("/pub/a", &b"before"[..]), ("/pub/b", b"meanwhile"), ("/pub/c", b"after")] {
        assert_eq!(cluster.client.get(&user, path).as_deref(), Some(body), "{path}");
        assert_eq!(cluster.client.events(&user, path), 1, "{path}");
    }
    cluster.assert_converged();
}

#[test]
fn losing_the_meta_leader_stops_no_shard() {
    let mut cluster = Cluster::initialized(3);
    let user = User::new(2);
    cluster.client.signup(&user);
    let lost = cluster.meta_leader();
    cluster.kill(lost);
    cluster.client.put(&user, "/pub/a", b"without");
    let next = wait_for("another coordinator", || Some(cluster.meta_leader()).filter(|next| *next != lost));
    assert!(cluster.nodes[next].is_some());
    cluster.restart(lost);
    cluster.assert_converged();
}

#[test]
fn losing_power_everywhere_loses_nothing_acknowledged() {
    let mut cluster = Cluster::initialized(3);
    let users: Vec<User> = (10..16).map(User::new).collect();
    for user in &users {
        cluster.client.signup(user);
        cluster.client.put(user, "/pub/kept", user.tenant().as_ref());
        cluster.client.put(user, "/pub/gone", b"x");
        cluster.client.delete(user, "/pub/gone").expect("deleted");
    }
    for n in 0..3 {
        cluster.kill(n);
    }
    for n in 0..3 {
        cluster.restart(n);
    }
    for user in &users {
        assert_eq!(cluster.client.get(user, "/pub/kept"), Some(user.tenant()));
        assert_eq!(cluster.client.get(user, "/pub/gone"), None);
        assert_eq!(cluster.client.events(user, "/pub/gone"), 2);
    }
    cluster.assert_converged();
}

#[test]
fn a_clean_stop_of_each_in_turn_goes_unnoticed() {
    let mut cluster = Cluster::initialized(3);
    let user = User::new(3);
    cluster.client.signup(&user);
    for n in 0..3 {
        cluster.stop(n);
        cluster.client.put(&user, &format!("/pub/{n}"), b"x");
        cluster.restart(n);
        cluster.assert_converged();
    }
    for n in 0..3 {
        assert!(cluster.client.get(&user, &format!("/pub/{n}")).is_some());
    }
}

#[test]
fn a_retry_with_the_same_request_id_happens_once() {
    let cluster = Cluster::initialized(3);
    let user = User::new(4);
    cluster.client.signup(&user);
    let id = request_id();
    for _ in 0..3 {
        let op = Client::put_op(&user, "/pub/once", b"x");
        cluster.client.execute(user.shard(), id.clone(), op).expect("stored");
    }
    assert_eq!(cluster.client.events(&user, "/pub/once"), 1);
}
