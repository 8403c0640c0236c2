//! A cluster in memory that does what steps say: the meta group by its real machine, shards as sets of members.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::place_shards::Placement;
use rowhouse_proto::wire::command::{
    Bootstrap, DirectNode, MetaNode, MetaOutcome, PlaceShards, Rebalance, RegisterNode,
};
use rowhouse_proto::wire::meta::{
    ClusterMap, Follower, GroupInfo, GroupStatus, Members, MembersId, NodeStatusReply,
};
use rowhouse_proto::{COMMAND_VERSION, META_GROUP};
use rowhouse_raft::sim::MemoryState;
use rowhouse_raft::state::{StateBatch, StateEngine, Txn, View};
use rowhouse_raft::{EntryContext, Machine};

use super::super::{Bounds, plan};
use crate::meta::{self, MetaMachine};
use crate::placement::observed::Observed;
use crate::placement::place;
use crate::placement::step::{Change, Step};

pub const BOUNDS: Bounds =
    Bounds { dead_after_ms: 600_000, moves_per_node: 2, disk_used_percent_max: 85, rebalance: true };
const LAST_LOG: u64 = 5_000;
/// Members changed by index; the log of the toy is long, so that every change is committed.
const FIRST_CHANGE: u64 = 100;

/// One group's real members.
#[derive(Clone, Debug)]
pub struct Shard {
    pub sets: Vec<BTreeSet<u64>>,
    pub learners: BTreeSet<u64>,
    pub changed_at: u64,
    pub leader: u64,
    pub bytes: u64,
}

pub struct Toy {
    rows: MemoryState,
    pub shards: BTreeMap<u32, Shard>,
    pub down: BTreeSet<u8>,
    /// Replicas that ended on nodes that are up.
    pub broken: BTreeSet<u64>,
    /// Rounds that each replica has learned for.
    learned: BTreeMap<u64, u32>,
    /// What every replica id ever was on.
    pub nodes_of: BTreeMap<u64, u8>,
    observed: Observed,
    pub now_ms: u64,
    /// Leaders end between two sets of voters.
    pub tears: bool,
}

fn line(n: u8, zone: &str) -> MetaNode {
    MetaNode {
        node_uuid: vec![n; 16].into(),
        address: format!("127.0.0.1:{n}"),
        name: format!("n{n}"),
        command_version_min: COMMAND_VERSION,
        command_version_max: COMMAND_VERSION,
        zone: zone.to_owned(),
    }
}

impl Toy {
    /// Nodes numbered from 1 in these zones, and placed shards.
    pub fn new(zones: &[&str], shard_count: u32) -> Self {
        let mut toy = Self {
            rows: MemoryState::new(),
            shards: BTreeMap::new(),
            down: BTreeSet::new(),
            broken: BTreeSet::new(),
            learned: BTreeMap::new(),
            nodes_of: BTreeMap::new(),
            observed: Observed::default(),
            now_ms: 1_800_000_000_000,
            tears: false,
        };
        let nodes = (1..).zip(zones).map(|(n, zone)| line(n, zone)).collect();
        toy.apply(Body::Bootstrap(Bootstrap {
            cluster_id: vec![9; 16].into(),
            shard_count,
            nodes,
            signup_mode: "open".into(),
            homeserver: vec![7; 32].into(),
        }));
        let placements: Vec<Placement> = place(&toy.map().nodes, shard_count);
        toy.apply(Body::PlaceShards(PlaceShards { placements }));
        for info in toy.map().groups {
            let voters: BTreeSet<u64> = info.replicas.iter().map(|it| it.replica_id).collect();
            let leader = voters.first().copied().expect("a voter");
            let sets = vec![voters];
            let shard = Shard { sets, learners: BTreeSet::new(), changed_at: FIRST_CHANGE, leader, bytes: 0 };
            toy.shards.insert(info.group, shard);
        }
        toy.remember();
        toy
    }

    pub fn map(&self) -> ClusterMap {
        meta::cluster_map(&View::new(&self.rows, Bytes::new())).expect("readable").expect("initialized")
    }

    pub fn apply(&mut self, body: Body) {
        use prost::Message;
        let command = meta::encode(COMMAND_VERSION, body.clone(), self.now_ms);
        let context = EntryContext { group: META_GROUP as u16, term: 1, index: 1, voters: &[] };
        let (reply, writes) = {
            let mut txn = Txn::new(View::new(&self.rows, Bytes::new()));
            let reply = MetaMachine::default().apply(context, &command, &mut txn).expect("understood");
            (reply, txn.into_writes())
        };
        self.rows.write(StateBatch { writes: writes.into_iter().collect() }).expect("in memory");
        let outcome = MetaOutcome::decode(reply).expect("an outcome");
        assert!(outcome.accepted, "{body:?}: {}", outcome.refused);
        self.remember();
    }

    /// No replica id is ever seen on two nodes.
    fn remember(&mut self) {
        for info in self.map().groups {
            for place in info.places() {
                let node = *self.nodes_of.entry(place.replica_id).or_insert(place.node_uuid[0]);
                assert_eq!(node, place.node_uuid[0], "replica {} changed nodes", place.replica_id);
            }
        }
    }

    pub fn join(&mut self, n: u8, zone: &str) {
        self.apply(Body::RegisterNode(RegisterNode { node: Some(line(n, zone)), name_proven: true }));
    }

    pub fn direct(&mut self, n: u8, leaving: bool, lost: bool) {
        self.apply(Body::DirectNode(DirectNode { node_uuid: vec![n; 16].into(), leaving, lost }));
    }

    pub fn rebalance(&mut self) {
        self.apply(Body::Rebalance(Rebalance { on: true }));
    }

    fn is_up(&self, replica: u64) -> bool {
        self.nodes_of.get(&replica).is_some_and(|node| !self.down.contains(node))
            && !self.broken.contains(&replica)
    }

    /// Whether a majority of every set answers.
    pub fn has_quorum(&self, group: u32) -> bool {
        let majority = |set: &BTreeSet<u64>| set.iter().filter(|it| self.is_up(**it)).count() * 2 > set.len();
        self.shards[&group].sets.iter().all(majority)
    }

    fn elect(&mut self) {
        let groups: Vec<u32> = self.shards.keys().copied().collect();
        for group in groups {
            let leads = self.shards[&group].leader;
            let voters: BTreeSet<u64> = self.shards[&group].sets.iter().flatten().copied().collect();
            if voters.contains(&leads) && self.is_up(leads) {
                continue;
            }
            let next = voters.into_iter().find(|it| self.is_up(*it));
            self.shards.get_mut(&group).expect("a group").leader = next.unwrap_or(0);
        }
    }

    fn statuses(&self) -> Vec<NodeStatusReply> {
        let map = self.map();
        let status = |n: u8| {
            let groups = map.groups.iter().flat_map(|info| {
                info.places().filter(|it| it.node_uuid[0] == n).map(|it| self.status_of(info, it.replica_id))
            });
            NodeStatusReply {
                node_uuid: vec![n; 16].into(),
                groups: groups.collect(),
                used_bytes: 10,
                disk_bytes: 100,
                ..NodeStatusReply::default()
            }
        };
        map.nodes.iter().map(|it| it.node_uuid[0]).filter(|n| !self.down.contains(n)).map(status).collect()
    }

    fn status_of(&self, info: &GroupInfo, replica_id: u64) -> GroupStatus {
        let shard = &self.shards[&info.group];
        let leads = shard.leader == replica_id && self.has_quorum(info.group);
        let done = self.learned.get(&replica_id).copied().unwrap_or(u32::MAX) > 2;
        let follower = |id: u64| Follower { replica_id: id, matched: LAST_LOG, answered: self.is_up(id) };
        let voters: BTreeSet<u64> = shard.sets.iter().flatten().copied().collect();
        GroupStatus {
            group: info.group,
            replica_id,
            role: match (self.broken.contains(&replica_id), leads) {
                (true, _) => "broken",
                (false, true) => "leader",
                (false, false) => "follower",
            }
            .into(),
            term: 3,
            last_log: LAST_LOG,
            committed: LAST_LOG,
            followers: voters.iter().chain(&shard.learners).map(|id| follower(*id)).collect(),
            members: Some(Members {
                id: Some(MembersId { term: 3, replica: 1, index: shard.changed_at }),
                joint: shard.sets.len() > 1,
                voters: voters.iter().copied().collect(),
                learners: shard.learners.iter().copied().collect(),
            }),
            objects_seen: Some(LAST_LOG),
            objects_missing: u64::from(!done),
            bytes: shard.bytes,
            ..GroupStatus::default()
        }
    }

    /// One round of the coordinator. Answers its steps.
    pub fn round(&mut self) -> Vec<Step> {
        self.now_ms += 1_000;
        self.elect();
        self.observed = Observed::of(&self.statuses(), &self.observed);
        let map = self.map();
        let silence = |node: &[u8; 16]| {
            let quiet = if self.down.contains(&node[0]) { 3_600 } else { 0 };
            Some(std::time::Duration::from_secs(quiet))
        };
        let listened = std::time::Duration::from_secs(3_600);
        let mut steps = crate::placement::attendance::marks(&map, listened, silence);
        steps.extend(plan(&map, &self.observed, BOUNDS, self.now_ms));
        let groups: Vec<u32> = steps.iter().filter_map(group_of).collect();
        assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), groups.len(), "one step a group: {steps:?}");
        for step in &steps {
            self.take(step);
        }
        self.check();
        steps
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Change(change) => self.change(change),
            Step::Transfer { group, to_replica, .. } => {
                assert!(self.is_up(*to_replica), "handed to one that is down");
                self.shards.get_mut(group).expect("a group").leader = *to_replica;
            }
            _ => self.apply(step.command().expect("an entry")),
        }
    }

    fn change(&mut self, change: &Change) {
        let tears = self.tears;
        for learner in &change.learners {
            self.learned.entry(learner.replica_id).or_insert(0);
        }
        for rounds in self.learned.values_mut() {
            *rounds += 1;
        }
        let shard = self.shards.get_mut(&change.group).expect("a group");
        assert_eq!(change.expect.index, shard.changed_at, "the toy loses no races");
        shard.changed_at += 1;
        let wanted: BTreeSet<u64> = change.voters.iter().map(|it| it.replica_id).collect();
        if shard.sets.len() > 1 {
            shard.sets.remove(0);
            return;
        }
        shard.learners = change.learners.iter().map(|it| it.replica_id).collect();
        if shard.sets[0] == wanted {
            return;
        }
        assert!(wanted.difference(&shard.sets[0]).count() <= 1, "one voter at a time");
        if tears {
            shard.sets.push(wanted);
        } else {
            shard.sets = vec![wanted];
        }
    }

    /// What holds at every moment.
    fn check(&self) {
        for info in self.map().groups {
            let nodes: Vec<u8> = info.replicas_after().iter().map(|it| it.node_uuid[0]).collect();
            assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), nodes.len(), "replicas share a node");
            let places: BTreeSet<u64> = info.places().map(|it| it.replica_id).collect();
            for voter in self.shards[&info.group].sets.iter().flatten() {
                assert!(places.contains(voter), "a voter that the map would have erased");
            }
        }
    }

    /// Learners learn as time goes by.
    pub fn learn(&mut self) {
        for rounds in self.learned.values_mut() {
            *rounds += 1;
        }
    }

    /// A replica has nothing again.
    pub fn forget(&mut self, replica: u64) {
        self.learned.insert(replica, 0);
    }

    /// Learners learn as time goes by; rounds until nothing is left to do.
    pub fn settle(&mut self) -> usize {
        for round in 0..2_000 {
            for rounds in self.learned.values_mut() {
                *rounds += 1;
            }
            let idle = self.round().is_empty() && self.map().groups.iter().all(|it| it.moving.is_none());
            if idle {
                return round;
            }
        }
        panic!("it does not come to rest: {:?}", self.map().groups);
    }

    /// How many shard replicas each node has.
    pub fn held(&self) -> BTreeMap<u8, usize> {
        let mut held = BTreeMap::new();
        for info in self.map().groups.iter().filter(|info| info.group != META_GROUP) {
            for replica in &info.replicas {
                *held.entry(replica.node_uuid[0]).or_default() += 1;
            }
        }
        held
    }
}

fn group_of(step: &Step) -> Option<u32> {
    match step {
        Step::Begin { group, .. } | Step::End { group, .. } | Step::Transfer { group, .. } => Some(*group),
        Step::Change(change) => Some(change.group),
        Step::Mark { .. } | Step::Remove { .. } | Step::EndRebalance => None,
    }
}
