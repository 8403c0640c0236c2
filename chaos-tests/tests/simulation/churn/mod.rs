//! A cluster grows from three nodes to five and shrinks again, under faults, while clients use it: one node dies for
//! good, one disk is wiped, one node is drained.
//!
//! The plan, the machines and the groups are the real ones. Stand-ins are disks, network, and the loops of nodes.

mod boot;
mod calls;
mod coordinator;
mod faults;
mod ledger;
mod objects;
mod settle;
mod supervisor;
mod world;

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use rowhouse_chaos_tests::history::{Action, Key, Operation, Outcome};
use rowhouse_chaos_tests::oracle::check_events;
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{DirectNode, RegisterNode, RemoveNode};
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;

use self::faults::Faults;
use self::ledger::Counts;
use self::settle::settle;
use self::supervisor::supervise_all;
use self::world::{PATHS, SHARD_COUNT, World};
use crate::auditor;
use crate::client::{Answer, execute, read};
use crate::load::{
    self, GROUPS, Pace, Report, Shared, note, now_us, path, sign_up, spawn_clients, user_of, with,
};
use crate::meta_client::{MetaClient, line};
use crate::run::{check_registers, event_log};
use crate::trace::tell;

const FOUNDERS: usize = 3;
/// Faults of each act.
const FAULT_ROUNDS: u32 = 5;
const PACE: Pace = Pace { clients_per_group: 2, pause_ms_max: 400 };
/// Virtual time until an operator's word is in the map, or a read is served.
const PATIENCE: Duration = Duration::from_secs(60);

/// The course of a run; two runs of a seed are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Churned {
    pub load: Report,
    pub faults: Faults,
    pub counts: Counts,
}

impl Churned {
    pub fn add(&mut self, other: &Self) {
        self.load.add(&other.load);
        self.faults.add(&other.faults);
        self.counts.add(&other.counts);
    }
}

/// Runs one seed; panics, naming it, if anything that must hold does not.
pub fn run(seed: u64) -> Churned {
    SimRuntime::with_seed(seed).block_on(async {
        let (world, started) = World::new();
        let supervised = pin!(supervise_all(&world, started));
        match select(pin!(simulate(&world, seed)), supervised).await {
            Either::Left((churned, _)) => churned,
            Either::Right(_) => panic!("seed {seed}: the supervisors ended"),
        }
    })
}

async fn simulate(world: &World, seed: u64) -> Churned {
    let (record, mut operator) = (Shared::default(), Operator::new(seed));
    boot::found(world, FOUNDERS).await;
    drop(Simulation::spawn(boot::watch(world.clone())));
    let founders: Vec<_> = (0..FOUNDERS).map(|node| world.uuid(node)).collect();
    operator.say(world, MetaClient::bootstrap(SHARD_COUNT, &founders)).await;
    settle(world, seed, "it begins", false).await;
    sign_up(world, seed).await;
    write_once(world, &record).await;
    let clients = spawn_clients(world, &record, PACE);
    let auditor = auditor::spawn(world, &record, world::ids(), seed);
    let mut faults = Faults::default();
    for (act, name) in ["it grows", "a node dies", "a disk is wiped", "a node is drained"].iter().enumerate()
    {
        tell(|| (*name).to_owned());
        operator.act(world, act).await;
        faults.add(&faults::run(world, FAULT_ROUNDS).await);
        tell(|| "faults are over".to_owned());
        operator.follow_up(world, name).await;
        settle(world, seed, name, true).await;
    }
    with(&record, |record| record.stop = true);
    for client in clients {
        client.await.unwrap_or_else(|error| panic!("seed {seed}: client: {error}"));
    }
    let auditor = auditor.await.unwrap_or_else(|error| panic!("seed {seed}: auditor: {error}"));
    read_all(world, &record, seed).await;
    let audit = auditor.finish().await;
    with(&record, |record| record.report.audit = audit);
    settle(world, seed, "it ends", false).await;
    let churned = check(world, &record, faults, seed);
    for node in world.living() {
        world.crash(node);
    }
    churned
}

/// Paths that clients never write again: their objects are as old as the cluster.
async fn write_once(world: &World, record: &Shared) {
    for group in GROUPS {
        for number in load::PATHS..PATHS {
            let (key, called_ns) = (key(group, number), now_us() * 1000);
            let value = u64::from(group) * 100_000_000 + number;
            let answer = execute(world, group, user_of(group).put(&key.path, value)).await;
            let outcome = match answer {
                Answer::Done(outcome) if outcome.code == 0 => Outcome::Done,
                _ => Outcome::Unknown,
            };
            let action = Action::Put(value);
            note(record, Operation { key, action, called_ns, returned_ns: now_us() * 1000, outcome });
        }
    }
}

fn key(group: u16, number: u64) -> Key {
    Key { user: usize::from(group), path: path(number) }
}

/// Every path once more: a lost write contradicts the history.
async fn read_all(world: &World, record: &Shared, seed: u64) {
    let deadline_us = now_us() + PATIENCE.as_micros() as u64;
    for (group, number) in GROUPS.into_iter().flat_map(|group| (0..PATHS).map(move |number| (group, number)))
    {
        let (key, called_ns) = (key(group, number), now_us() * 1000);
        let value = loop {
            if let Answer::Done(value) = read(world, group, &user_of(group), &key.path).await {
                break value;
            }
            assert!(now_us() < deadline_us, "seed {seed}: group {group} does not serve after healing");
        };
        let (action, outcome) = (Action::Read, Outcome::Saw(value));
        note(record, Operation { key, action, called_ns, returned_ns: now_us() * 1000, outcome });
    }
}

fn check(world: &World, record: &Shared, faults: Faults, seed: u64) -> Churned {
    boot::look(world);
    let violations = world.ledger().violations();
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    assert!(world.ledger().compared() > 0, "seed {seed}: hashes were compared");
    assert_eq!(world.living().len(), FOUNDERS, "seed {seed}");
    let (mut load, history) =
        with(record, |record| (std::mem::take(&mut record.report), std::mem::take(&mut record.history)));
    check_registers(&history, seed);
    let handles: Vec<_> = GROUPS
        .into_iter()
        .filter_map(|group| world.lives().into_iter().find_map(|life| life.host.group(group)))
        .collect();
    let logs: Vec<_> = handles.iter().map(|handle| event_log(handle, world::ids(), &history, seed)).collect();
    let violations = check_events(&history, &logs, world::ids());
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    load.state_hashes = handles.iter().map(|handle| handle.status().state_hash).collect();
    load.elapsed_us = now_us();
    Churned { load, faults, counts: world.ledger().counts }
}

/// Whoever adds, replaces and drains nodes.
struct Operator {
    seed: u64,
    client: MetaClient,
    drained: Option<usize>,
}

impl Operator {
    fn new(seed: u64) -> Self {
        Self { seed, client: MetaClient::default(), drained: None }
    }

    /// Says it until it is accepted.
    async fn say(&mut self, world: &World, body: Body) {
        let deadline_us = now_us() + PATIENCE.as_micros() as u64;
        loop {
            match self.client.propose(world, body.clone()).await {
                Some(outcome) if outcome.accepted => return,
                other => assert!(now_us() < deadline_us, "seed {}: {body:?}: {other:?}", self.seed),
            }
            Simulation::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A machine with an empty disk joins, as soon as it is heard.
    async fn add(&mut self, world: &World) {
        let node = world.add();
        boot::start(world, node);
        let line = line(uuid_of(world, node), format!("node-{node}:1"));
        self.say(world, Body::RegisterNode(RegisterNode { node: Some(line), name_proven: false })).await;
    }

    async fn direct(&mut self, world: &World, node: usize, leaving: bool, lost: bool) {
        let node_uuid = uuid_of(world, node);
        self.say(world, Body::DirectNode(DirectNode { node_uuid, leaving, lost })).await;
    }

    async fn act(&mut self, world: &World, act: usize) {
        let living = world.living();
        let node = living[Simulation::random_u64() as usize % living.len()];
        match act {
            0 => {
                self.add(world).await;
                self.add(world).await;
            }
            1 => {
                tell(|| format!("node {node} dies for good"));
                world.lose(node);
                self.direct(world, node, false, true).await;
            }
            2 => {
                tell(|| format!("the disk of node {node} is wiped"));
                world.lose(node);
                self.add(world).await;
                self.direct(world, node, false, true).await;
            }
            _ => {
                tell(|| format!("node {node} is drained"));
                self.direct(world, node, true, false).await;
                self.drained = Some(node);
            }
        }
    }

    /// A drained node leaves the map when it is empty, and its disk has only tombstones then.
    async fn follow_up(&mut self, world: &World, act: &str) {
        let Some(node) = self.drained.take() else { return };
        self.say(world, Body::RemoveNode(RemoveNode { node_uuid: uuid_of(world, node) })).await;
        let deadline_us = now_us() + PATIENCE.as_micros() as u64;
        while world.life(node).is_none_or(|life| life.host.held().is_ok_and(|held| !held.is_empty())) {
            assert!(now_us() < deadline_us, "seed {}: {act}: the drained node keeps replicas", self.seed);
            Simulation::sleep(Duration::from_millis(50)).await;
        }
        world.lose(node);
    }
}

fn uuid_of(world: &World, node: usize) -> Bytes {
    Bytes::copy_from_slice(&world.uuid(node))
}
