//! Replicas move: a cluster replaces what it lost, grows and shrinks, and what was acknowledged stays.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use rowhouse_node::NodeConfig;
use rowhouse_proto::wire::meta::node_wish::Fate;
use rowhouse_proto::wire::meta::operate_request::Wish;
use rowhouse_proto::wire::meta::{ClusterMap, MoveWish, NodeWish, RecoverWish, TransferWish};

use super::client::User;
use super::harness::{Cluster, wait_for};

fn map(cluster: &Cluster) -> ClusterMap {
    let maps = cluster.running().map(|node| node.map());
    maps.max_by_key(|map| map.map_version).expect("a node runs")
}

fn wish(cluster: &Cluster, wish: Wish) -> Result<(), String> {
    cluster.client.operate(&map(cluster).cluster_id, wish)
}

fn direct(cluster: &Cluster, node_uuid: &[u8], fate: Fate) -> Result<(), String> {
    let node_uuid = Bytes::copy_from_slice(node_uuid);
    wish(cluster, Wish::Node(NodeWish { node_uuid, fate: fate.into() }))
}

fn uuid(cluster: &Cluster, n: usize) -> Vec<u8> {
    cluster.nodes[n].as_ref().expect("runs").uuid()
}

/// Waits until every group has three replicas, all on these nodes, and nothing moves.
fn settled_on(cluster: &Cluster, nodes: &[usize]) {
    let uuids: BTreeSet<Vec<u8>> = nodes.iter().map(|n| uuid(cluster, *n)).collect();
    wait_for("the replicas to have moved", || {
        let map = map(cluster);
        let rests = map.groups.iter().all(|info| {
            let here = info.replicas.iter().all(|it| uuids.contains(&it.node_uuid[..]));
            info.moving.is_none() && here && info.replicas.len() == 3
        });
        rests.then_some(())
    });
}

/// Waits until the node runs nothing and holds no object.
fn empty(cluster: &Cluster, n: usize) {
    wait_for("the node to be empty", || {
        let status = cluster.status(n, true)?;
        let held = status.objects.and_then(|objects| objects.held);
        (status.groups.is_empty() && held == Some(0)).then_some(())
    });
}

fn users(cluster: &Cluster, seeds: std::ops::Range<u8>) -> Vec<User> {
    let users: Vec<User> = seeds.map(User::new).collect();
    for user in &users {
        cluster.client.signup(user);
        cluster.client.put(user, "/pub/before", user.tenant().as_ref());
    }
    users
}

fn check(cluster: &Cluster, users: &[User], path: &str) {
    for user in users {
        assert_eq!(cluster.client.get(user, path), Some(user.tenant()), "{path}");
        assert_eq!(cluster.client.events(user, path), 1, "{path}");
    }
}

fn impatient(config: &mut NodeConfig) {
    config.placement.dead_after_s = Duration::from_secs(5);
}

#[test]
fn a_lost_node_is_replaced_when_the_operator_says_so() {
    let mut cluster = Cluster::initialized(3);
    let users = users(&cluster, 100..106);
    let lost = uuid(&cluster, 0);
    let refused = direct(&cluster, &lost, Fate::Lost).expect_err("it answers");
    assert!(refused.contains("it answers"), "{refused}");
    cluster.kill(0);
    cluster.wipe(0);
    cluster.restart(0);
    wait_for("the new identity to be on the map", || (map(&cluster).nodes.len() == 4).then_some(()));
    wait_for("the wish to be granted", || direct(&cluster, &lost, Fate::Lost).ok());
    settled_on(&cluster, &[0, 1, 2]);
    for user in &users {
        cluster.client.put(user, "/pub/after", user.tenant().as_ref());
    }
    check(&cluster, &users, "/pub/before");
    check(&cluster, &users, "/pub/after");
    wait_for("the old identity to leave the map", || (map(&cluster).nodes.len() == 3).then_some(()));
    cluster.assert_converged();
}

#[test]
fn a_node_away_for_too_long_is_replaced_and_used_again_when_it_returns() {
    let mut cluster = Cluster::initialized_with(3, impatient);
    let users = users(&cluster, 110..116);
    let fourth = cluster.join();
    let away = (0..3).find(|n| *n != cluster.meta_leader()).expect("a follower");
    let others: Vec<usize> = (0..4).filter(|n| *n != away).collect();
    cluster.kill(away);
    settled_on(&cluster, &others);
    check(&cluster, &users, "/pub/before");

    cluster.restart(away);
    wait_for("it to be used again", || {
        let (map, back) = (map(&cluster), uuid(&cluster, away));
        let used = map.groups.iter().any(|info| info.replicas.iter().any(|it| it.node_uuid == back));
        used.then_some(())
    });
    assert!(cluster.nodes[fourth].is_some());
    for user in &users {
        cluster.client.put(user, "/pub/after", user.tenant().as_ref());
    }
    wait_for("nothing to move", || map(&cluster).groups.iter().all(|it| it.moving.is_none()).then_some(()));
    check(&cluster, &users, "/pub/after");
    cluster.assert_converged();
}

#[test]
fn a_drained_node_empties_while_writes_go_on_and_never_comes_back() {
    let mut cluster = Cluster::initialized(3);
    let users = users(&cluster, 120..126);
    let leaves = uuid(&cluster, 0);
    let refused = direct(&cluster, &leaves, Fate::Leave).expect_err("three nodes are needed");
    assert!(refused.contains("add a node first"), "{refused}");
    cluster.join();
    wait_for("the wish to be granted", || direct(&cluster, &leaves, Fate::Leave).ok());
    let refused = direct(&cluster, &leaves, Fate::Remove).expect_err("it still holds replicas");
    assert!(refused.contains("drain it first"), "{refused}");
    for round in 0..20 {
        for user in &users {
            cluster.client.put(user, &format!("/pub/{round}"), user.tenant().as_ref());
        }
    }
    settled_on(&cluster, &[1, 2, 3]);
    empty(&cluster, 0);
    direct(&cluster, &leaves, Fate::Remove).expect("it is empty");
    for round in 0..20 {
        check(&cluster, &users, &format!("/pub/{round}"));
    }
    cluster.stop(0);
    cluster.restart(0);
    cluster.assert_converged();
    assert_eq!(map(&cluster).nodes.len(), 3, "its folder does not join again");
}

#[test]
fn the_operator_moves_a_shard_and_its_leadership() {
    let mut cluster = Cluster::initialized_with(3, |config| config.placement.rebalance = false);
    let users = users(&cluster, 130..134);
    let fourth = cluster.join();
    let leader = cluster.leader_of(0);
    let (from, to) = (uuid(&cluster, leader), uuid(&cluster, fourth));
    let moved = |cluster: &Cluster| {
        let info = map(cluster).groups.into_iter().find(|info| info.group == 0).expect("a shard");
        (info.moving.is_none() && info.is_on(&to) && !info.is_on(&from)).then_some(())
    };
    let asked = Wish::Move(MoveWish {
        group: 0,
        from_node: Bytes::copy_from_slice(&from),
        to_node: Bytes::copy_from_slice(&to),
    });
    wait_for("the wish to be granted", || wish(&cluster, asked.clone()).ok());
    wait_for("the shard to have moved", || moved(&cluster));
    let lead = Wish::Transfer(TransferWish { group: 0, to_node: Bytes::copy_from_slice(&to) });
    wait_for("the new replica to lead", || {
        wish(&cluster, lead.clone()).ok()?;
        (cluster.leader_of(0) == fourth).then_some(())
    });
    check(&cluster, &users, "/pub/before");
    wait_for("the old replica to be gone", || {
        let groups = cluster.status(leader, false)?.groups;
        groups.iter().all(|status| status.group != 0).then_some(())
    });
    cluster.assert_converged();
    cluster.kill(leader);
    cluster.restart(leader);
    cluster.assert_converged();
}

#[test]
fn a_shard_that_lost_its_majority_goes_on_with_its_last_replica_when_the_operator_insists() {
    let mut cluster = Cluster::initialized_with(5, |config| config.placement.rebalance = false);
    let users = users(&cluster, 140..146);
    let group = users[0].shard();
    let info = map(&cluster).groups.into_iter().find(|info| info.group == group).expect("a shard");
    let on: Vec<usize> = (0..5).filter(|n| info.is_on(&uuid(&cluster, *n))).collect();
    let survivor = on[2];
    let cluster_id = map(&cluster).cluster_id;
    let refused = cluster.client.recover(cluster.address(survivor), &cluster_id, group);
    assert!(refused.expect_err("all are well").contains("a quorum"), "nothing is lost");

    cluster.kill(on[0]);
    cluster.kill(on[1]);
    let replica = wait_for("the loss to be believed", || {
        cluster.client.recover(cluster.address(survivor), &cluster_id, group).ok()
    });
    let shard = Wish::Recover(RecoverWish { group, replica });
    wait_for("the map to follow", || wish(&cluster, shard.clone()).ok());
    for user in users.iter().filter(|user| user.shard() == group) {
        assert_eq!(cluster.client.get(user, "/pub/before"), Some(user.tenant()));
        cluster.client.put(user, "/pub/after", user.tenant().as_ref());
    }
    wait_for("the shard to have three replicas again", || {
        let info = map(&cluster).groups.into_iter().find(|info| info.group == group)?;
        (info.replicas.len() == 3 && info.moving.is_none()).then_some(())
    });
    cluster.restart(on[0]);
    cluster.restart(on[1]);
    cluster.assert_converged();
    for user in users.iter().filter(|user| user.shard() == group) {
        assert_eq!(cluster.client.get(user, "/pub/after"), Some(user.tenant()));
    }
}
