//! `cluster init`: explicit, once, repeatable; and nodes that join later.

use std::path::Path;

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_raft::ReplicaId;
use rowhouse_raft::log_store::{LogEngine, LogOp, LogOptions, MetaKind, RocksLog};

use super::harness::{Cluster, SHARDS, TestNode, config, wait_for};

fn complete(map: &ClusterMap) -> bool {
    map.groups.len() == SHARDS as usize + 1
}

#[test]
fn a_cluster_begins_once_and_every_node_knows_the_map() {
    let cluster = Cluster::started(3);
    assert!(cluster.running().all(|node| node.map().cluster_id.is_empty()), "nothing happens by itself");
    let refused = cluster.initialize_as("closed").expect_err("there is no such mode");
    assert!(refused.to_string().contains("must be `open`"), "{refused}");
    assert!(cluster.running().all(|node| node.map().cluster_id.is_empty()), "nothing was begun");
    let first = cluster.initialize().expect("initializes");
    assert!(first.created);
    let again = cluster.initialize().expect("a second time is harmless");
    assert!(!again.created);
    assert_eq!(again.cluster_id, first.cluster_id);

    for node in cluster.running() {
        let map = wait_for("the whole map", || Some(node.map()).filter(complete));
        assert_eq!(map.cluster_id, first.cluster_id[..]);
        assert_eq!((map.shard_count, map.nodes.len()), (SHARDS, 3));
        let mut replicas: Vec<u64> =
            map.groups.iter().flat_map(|group| &group.replicas).map(|replica| replica.replica_id).collect();
        replicas.sort_unstable();
        assert_eq!(replicas, (1..=3 * (u64::from(SHARDS) + 1)).collect::<Vec<_>>(), "each id once");
    }
    cluster.assert_converged();
}

#[test]
fn a_restarted_cluster_needs_no_init() {
    let mut cluster = Cluster::initialized(3);
    for n in 0..3 {
        cluster.kill(n);
    }
    for n in 0..3 {
        cluster.restart(n);
    }
    for group in (0..SHARDS).chain([META_GROUP]) {
        cluster.leader_of(group);
    }
    assert!(!cluster.initialize().expect("harmless").created);
}

#[test]
fn a_cluster_that_grew_or_lost_a_first_node_is_there_already() {
    let mut cluster = Cluster::started(3);
    let first = cluster.addresses().to_vec();
    cluster.join();
    let made = cluster.found(&first, &[], "open").expect("whoever leads the shards, the fourth node too");
    assert!(made.created);
    cluster.kill(0);
    cluster.wipe(0);
    cluster.restart(0);
    let again = cluster.found(&first, &[], "open").expect("harmless");
    assert_eq!((again.created, again.cluster_id), (false, made.cluster_id));
}

#[test]
fn nothing_is_founded_where_a_cluster_lives_elsewhere() {
    let living = Cluster::initialized(1);
    let empty = Cluster::started(3);
    let elsewhere = ["name.invalid:1".to_owned(), "127.0.0.1:1".to_owned(), living.address(0).to_owned()];
    let found = empty.found(empty.addresses(), &elsewhere, "open").expect("harmless");
    assert!(!found.created);
    assert_eq!(
        living.running().next().map(|node| node.map().cluster_id),
        Some(found.cluster_id.to_vec().into())
    );
    assert!(empty.running().all(|node| node.map().cluster_id.is_empty()), "nothing was begun");
    let alone = empty.found(empty.addresses(), &elsewhere[..2], "open").expect("nobody is there");
    assert!(alone.created);
}

/// What a crash leaves that came after a replica was claimed and before it was initialized.
fn forget_all_but_the_claim(data_dir: &Path, replica: ReplicaId) {
    let log = RocksLog::open(&data_dir.join("log"), &LogOptions::new(1 << 20)).expect("the node is down");
    let forget = |kind| LogOp::Meta { replica, kind, value: None };
    let ops =
        vec![LogOp::Truncate { replica, last: None }, forget(MetaKind::Vote), forget(MetaKind::Committed)];
    log.submit(ops, true, Box::new(|written| written.expect("a healthy disk")));
    drop(log);
    std::fs::remove_dir_all(data_dir.join("state")).expect("it comes back from the log");
}

#[test]
fn a_shard_whose_birth_a_crash_cut_off_comes_to_life_after_it() {
    let mut cluster = Cluster::initialized(1);
    cluster.leader_of(0);
    let map = cluster.running().next().expect("runs").map();
    let shard = map.groups.iter().find(|group| group.group == 0).expect("placed");
    let replica = shard.replicas[0].replica_id;
    cluster.stop(0);
    forget_all_but_the_claim(&cluster.dir(0).path().join("data"), replica);
    cluster.restart(0);
    cluster.leader_of(0);
    cluster.assert_converged();
}

#[test]
fn a_new_node_joins_by_its_seeds_and_is_told_the_map() {
    let cluster = Cluster::initialized(1);
    let dir = tempfile::tempdir().expect("a folder");
    let mut newcomer = config(&dir, "127.0.0.1:0", "late");
    newcomer.node.seeds = vec![cluster.address(0).to_owned()];
    let newcomer = TestNode::try_start(newcomer).expect("starts");
    let map = wait_for("the newcomer in the map", || {
        let map = newcomer.map();
        map.nodes.iter().any(|node| node.node_uuid == newcomer.uuid()).then_some(map)
    });
    assert_eq!(map.nodes.len(), 2);
    assert!(complete(&map));
    newcomer.stop();
}
