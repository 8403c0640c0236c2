//! One simulated run: boot, faults under load, healing, then what must hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use rowhouse_chaos_tests::history::{Action, History, Key, Operation, Outcome};
use rowhouse_chaos_tests::oracle::{Event, EventLog, ReplicaHashes, Verdict, check_events, check_register};
use rowhouse_node::apply::ShardMachine;
use rowhouse_node::meta::{self, MetaMachine};
use rowhouse_proto::COMMAND_VERSIONS;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{Group, GroupId, Machine};

use crate::auditor;
use crate::client::{Answer, read};
use crate::cluster::{Clocks, Machines, NODES, SimCluster, uuid};
use crate::load::{
    BUSY, GROUPS, PATHS, Report, Shared, note, now_us, path, sign_up, spawn_clients, user_of, with,
};
use crate::meta_client::{MetaClient, SHARD_COUNT};
use crate::nemesis;
use crate::nodes::Nodes;
use crate::probe;
use crate::trace::tell;

/// Virtual time the healed cluster has to serve again; many elections long.
const RECOVERY: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct SimOptions {
    pub seed: u64,
    pub fault_rounds: u32,
}

/// Runs one seed; panics, naming it, if anything that must hold does not.
pub fn run(options: SimOptions) -> Report {
    let mut runtime = SimRuntime::with_seed(options.seed);
    runtime.block_on(simulate(options))
}

/// As the meta group is told (`MetaClient::bootstrap`).
pub fn ids() -> EventIds {
    EventIds::new(SHARD_COUNT).unwrap_or_else(|| panic!("{SHARD_COUNT} is a power of two"))
}

pub fn machines() -> Machines {
    GROUPS
        .into_iter()
        .map(|group| {
            (group, Arc::new(ShardMachine::new(ids(), COMMAND_VERSIONS, [0; 32])) as Arc<dyn Machine>)
        })
        .chain([(meta::GROUP, Arc::new(MetaMachine::default()) as Arc<dyn Machine>)])
        .collect()
}

async fn simulate(options: SimOptions) -> Report {
    let SimOptions { seed, fault_rounds } = options;
    let cluster = SimCluster::new(machines(), Clocks::Apart);
    cluster.bootstrap().await.unwrap_or_else(|error| panic!("seed {seed}: bootstrap: {error}"));
    let record = Shared::default();
    sign_up(&cluster, seed).await;
    let clients = spawn_clients(&cluster, &record, BUSY);
    let auditor = auditor::spawn(&cluster, &record, ids(), seed);
    let meta_client = Simulation::spawn(use_meta(cluster.clone(), record.clone(), seed));
    let faults = nemesis::run(&cluster, fault_rounds).await;
    tell(|| "faults are over".to_owned());
    with(&record, |record| record.stop = true);
    for client in clients {
        client.await.unwrap_or_else(|error| panic!("seed {seed}: client: {error}"));
    }
    let mut meta_client = meta_client.await.unwrap_or_else(|error| panic!("seed {seed}: meta: {error}"));
    let auditor = auditor.await.unwrap_or_else(|error| panic!("seed {seed}: auditor: {error}"));
    recover(&cluster, &record, seed).await;
    let audit = auditor.finish().await;
    with(&record, |record| record.report.audit = audit);
    let mut report = check(&cluster, &record, seed);
    report.registered = recover_meta(&cluster, &mut meta_client, seed).await;
    report.faults = faults;
    report.elapsed_us = now_us();
    cluster.shutdown().await;
    report
}

async fn use_meta(cluster: SimCluster, record: Shared, seed: u64) -> MetaClient {
    let mut client = MetaClient::default();
    while !with(&record, |record| record.stop) {
        if client.registered() == 0 {
            let founders: Vec<_> = (0..NODES).map(uuid).collect();
            client.propose(&cluster, MetaClient::bootstrap(SHARD_COUNT, &founders)).await;
        }
        client.turn(&cluster, seed).await;
    }
    client
}

/// The healed meta group serves a map that holds whatever was accepted, the same on every node.
async fn recover_meta(cluster: &SimCluster, client: &mut MetaClient, seed: u64) -> u32 {
    let deadline = now_us() + RECOVERY.as_micros() as u64;
    let map = loop {
        if let Some(map) = client.read(cluster).await {
            break map;
        }
        assert!(now_us() < deadline, "seed {seed}: the meta group does not serve after healing");
        Simulation::sleep(Duration::from_millis(50)).await;
    };
    client.check(&map, seed);
    while !agree(cluster, meta::GROUP) {
        assert!(now_us() < deadline, "seed {seed}: the meta group does not converge");
        Simulation::sleep(Duration::from_millis(50)).await;
    }
    let hashes: Vec<_> = (0..NODES)
        .filter_map(|node| cluster.group(node, meta::GROUP))
        .map(|group| group.status().state_hash)
        .collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "seed {seed}: meta replicas differ");
    assert_nobody_halted(cluster, seed);
    client.registered() as u32
}

/// Faults are over: within bounded time every group serves again and its replicas agree.
pub async fn recover(cluster: &SimCluster, record: &Shared, seed: u64) {
    for node in 0..NODES {
        cluster.restart(node).await;
    }
    assert_nobody_halted(cluster, seed);
    let deadline = now_us() + RECOVERY.as_micros() as u64;
    for group in GROUPS {
        for number in 0..PATHS {
            let key = Key { user: usize::from(group), path: path(number) };
            let called_ns = now_us() * 1000;
            let value = loop {
                if let Answer::Done(value) = read(cluster, group, &user_of(group), &key.path).await {
                    break value;
                }
                assert!(now_us() < deadline, "seed {seed}: group {group} does not serve after healing");
            };
            let outcome = Outcome::Saw(value);
            note(
                record,
                Operation { key, action: Action::Read, called_ns, returned_ns: now_us() * 1000, outcome },
            );
        }
        while !agree(cluster, group) {
            assert!(now_us() < deadline, "seed {seed}: replicas of group {group} do not converge");
            Simulation::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A replica that meets an entry it cannot apply, or finds that it is not what its leader is, stops.
fn assert_nobody_halted(cluster: &SimCluster, seed: u64) {
    for (node, group) in
        (0..NODES).flat_map(|node| cluster.groups().into_iter().map(move |group| (node, group)))
    {
        if let Some(why) = cluster.group(node, group).and_then(|handle| handle.halted()) {
            panic!("seed {seed}: a replica on node {node} stopped: {why}");
        }
    }
}

/// Every replica applied the same index.
fn agree(cluster: &SimCluster, group: GroupId) -> bool {
    let indexes: Vec<_> = (0..NODES)
        .filter_map(|node| cluster.group(node, group))
        .map(|handle| handle.status().hash_index)
        .collect();
    indexes.len() == NODES && indexes.iter().all(|index| *index == indexes[0])
}

pub fn check(cluster: &SimCluster, record: &Shared, seed: u64) -> Report {
    assert_nobody_halted(cluster, seed);
    let (mut report, history) =
        with(record, |record| (std::mem::take(&mut record.report), std::mem::take(&mut record.history)));
    check_registers(&history, seed);
    let mut logs = Vec::new();
    let mut hashes = ReplicaHashes::new("chained state hash");
    for group in GROUPS {
        for node in 0..NODES {
            let Some(handle) = cluster.group(node, group) else { continue };
            let status = handle.status();
            hashes.observe(u32::from(group), status.hash_index, &status.state_hash, status.replica);
            if node == 0 {
                report.state_hashes.push(status.state_hash);
                logs.push(event_log(&handle, ids(), &history, seed));
            }
        }
    }
    assert!(hashes.violations().is_empty(), "seed {seed}: {:?}", hashes.violations());
    assert!(hashes.compared() >= GROUPS.len() as u64, "seed {seed}: hashes were compared");
    let violations = check_events(&history, &logs, ids());
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    report
}

/// Each path is a register that each client sees change in one order.
pub fn check_registers(history: &History, seed: u64) {
    for (key, operations) in history.by_key() {
        let verdict = check_register(&operations);
        let story = || operations.iter().map(|operation| format!("{operation:?}\n")).collect::<String>();
        assert_eq!(verdict, Verdict::Linearizable, "seed {seed}: {key:?}\n{}", story());
    }
}

/// The events of a group, with content hashes translated back to the values clients put.
pub fn event_log(handle: &Group<Simulation>, ids: EventIds, history: &History, seed: u64) -> EventLog {
    let group = handle.id();
    let values: BTreeMap<[u8; 32], u64> = history
        .operations
        .iter()
        .filter_map(|operation| match operation.action {
            Action::Put(value) => Some((blake3::hash(value.to_string().as_bytes()).into(), value)),
            _ => None,
        })
        .collect();
    let events = probe::events(handle).unwrap_or_else(|error| panic!("seed {seed}: events: {error}"));
    let events = events
        .into_iter()
        .map(|(t, event)| Event {
            id: ids.id(t, u32::from(group)),
            key: Key { user: usize::from(group), path: event.path },
            value: <[u8; 32]>::try_from(event.hash.as_ref()).ok().and_then(|hash| values.get(&hash).copied()),
        })
        .collect();
    EventLog { shard: u32::from(group), events }
}
