//! One version of the cluster's map, made ready for routing: each shard with its replicas' connections
//! and the replica last seen leading. Immutable but for the leader hints. A new version replaces it, and takes over the
//! groups that did not change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use pubky_common::crypto::PublicKey;
use rowhouse_peer::Dialer;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::domain::slot::{SHARD_COUNT_MAX, Slot};
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, ReplicaInfo};

use super::Node;

/// No replica is known to lead.
const UNKNOWN: usize = usize::MAX;

/// One version of the cluster's map. A new version is a new `Map`.
pub struct Map {
    pub version: u64,
    pub cluster_id: Bytes,
    shards: Vec<Arc<Group>>,
    meta: Arc<Group>,
    nodes: BTreeMap<Vec<u8>, Arc<Node>>,
    packet: Bytes,
    defaults: UserQuota,
}

impl Map {
    /// `None` while the cluster is not initialized, or for a map that cannot be routed by. Of
    /// `previous`, connections and leader hints are kept, and groups as a whole that did not change.
    pub fn build(wire: &ClusterMap, previous: Option<&Self>, dialer: &Dialer) -> Option<Self> {
        if wire.cluster_id.is_empty()
            || !wire.shard_count.is_power_of_two()
            || wire.shard_count > SHARD_COUNT_MAX
        {
            return None;
        }
        let mut nodes = BTreeMap::new();
        for info in &wire.nodes {
            let known =
                previous.and_then(|map| map.nodes.get(info.node_uuid.as_ref())).filter(|node| node.is(info));
            let node = match known {
                Some(node) => Arc::clone(node),
                None => Arc::new(Node::known(info, dialer).ok()?),
            };
            nodes.insert(info.node_uuid.to_vec(), node);
        }
        let infos: BTreeMap<u32, &GroupInfo> = wire.groups.iter().map(|info| (info.group, info)).collect();
        let group = |number: u32, before: Option<&Arc<Group>>| {
            infos.get(&number).map(|info| Group::build(info, &nodes, before))
        };
        let shards = (0..wire.shard_count)
            .map(|shard| group(shard, previous.and_then(|map| map.shards.get(shard as usize))))
            .collect::<Option<Vec<Arc<Group>>>>()?;
        let meta = group(META_GROUP, previous.map(|map| &map.meta)).unwrap_or_default();
        Some(Self {
            version: wire.map_version,
            cluster_id: wire.cluster_id.clone(),
            shards,
            meta,
            nodes,
            packet: wire.packet.clone(),
            defaults: wire.settings.as_ref().and_then(|it| it.defaults.clone()).unwrap_or_default(),
        })
    }

    /// A power of two, at most `SHARD_COUNT_MAX`; it never changes in the life of a cluster.
    pub fn shard_count(&self) -> u32 {
        // At most SHARD_COUNT_MAX: checked when built.
        u32::try_from(self.shards.len()).unwrap_or(SHARD_COUNT_MAX)
    }

    /// The shard that owns a hash slot.
    pub fn shard_of_slot(&self, slot: Slot) -> u32 {
        slot.shard(self.shard_count())
    }

    /// The shard that owns all rows of a user.
    pub fn shard_of_user(&self, user: &PublicKey) -> u32 {
        self.shard_of_slot(Slot::of_user(user))
    }

    /// A shard, or the meta group for `META_GROUP`.
    pub fn group(&self, number: u32) -> Option<&Group> {
        if number == META_GROUP {
            Some(&self.meta)
        } else {
            self.shards.get(number as usize).map(AsRef::as_ref)
        }
    }

    /// All nodes of the map, in the order of their uuids.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// What a user may use who has no quota of their own.
    pub fn defaults(&self) -> &UserQuota {
        &self.defaults
    }

    /// The node with this uuid, whether or not it hosts a replica.
    pub fn node(&self, node_uuid: &[u8]) -> Option<&Arc<Node>> {
        self.nodes.get(node_uuid)
    }

    /// The committed PKARR packet: the homeserver's key, then what a relay takes. Empty before the first.
    pub fn packet(&self) -> &Bytes {
        &self.packet
    }
}

/// The replicas of one group, in the map's order, and behind them the one that is on its way in.
#[derive(Default)]
pub struct Group {
    places: Vec<Arc<Node>>,
    /// Of the places, those that are not on their way in.
    settled: usize,
    voter_sets: Vec<VoterSet>,
    leader: AtomicUsize,
}

/// Replicas of which a majority must have what is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterSet {
    /// Positions among the group's places.
    pub members: Vec<usize>,
    /// How many of them are enough.
    pub majority: usize,
}

impl VoterSet {
    /// A replica whose node the map does not name counts, and never has anything.
    fn of(wanted: &[&ReplicaInfo], places: &[Arc<Node>]) -> Self {
        let position = |replica: &&ReplicaInfo| places.iter().position(|it| it.uuid() == replica.node_uuid);
        Self { members: wanted.iter().filter_map(position).collect(), majority: wanted.len() / 2 + 1 }
    }
}

impl Group {
    fn build(
        info: &GroupInfo,
        nodes: &BTreeMap<Vec<u8>, Arc<Node>>,
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let node = |replica: &ReplicaInfo| nodes.get(replica.node_uuid.as_ref()).map(Arc::clone);
        let mut places: Vec<Arc<Node>> = info.replicas.iter().filter_map(node).collect();
        let settled = places.len();
        places.extend(info.places().skip(info.replicas.len()).filter_map(node));
        let mut voter_sets = vec![VoterSet::of(&info.replicas.iter().collect::<Vec<_>>(), &places)];
        if info.moving.is_some() {
            voter_sets.push(VoterSet::of(&info.replicas_after(), &places));
        }
        let leader = before
            .and_then(|group| group.leader().and_then(|index| group.places.get(index)))
            .and_then(|node| places.iter().position(|place| place.uuid() == node.uuid()));
        let leader = AtomicUsize::new(leader.unwrap_or(UNKNOWN));
        let group = Self { places, settled, voter_sets, leader };
        match before {
            Some(before) if before.is_same(&group) => Arc::clone(before),
            _ => Arc::new(group),
        }
    }

    /// Whether both have the same replicas on the same connections. Who leads is no part of that.
    fn is_same(&self, other: &Self) -> bool {
        let Self { places, settled, voter_sets, leader: _ } = other;
        self.settled == *settled
            && self.voter_sets == *voter_sets
            && self.places.len() == places.len()
            && self.places.iter().zip(places).all(|(ours, theirs)| Arc::ptr_eq(ours, theirs))
    }

    /// The nodes that host the group's replicas; positions in it are positions among `places` as well.
    pub fn replicas(&self) -> &[Arc<Node>] {
        &self.places[..self.settled]
    }

    /// The nodes of all replicas, the one that is on its way in too. Positions in it are this module's replica indices.
    pub fn places(&self) -> &[Arc<Node>] {
        &self.places
    }

    /// The sets of which each must have a majority for what is kept outside the log: the replicas as they are, and
    /// while one moves also as they will be.
    pub fn voter_sets(&self) -> &[VoterSet] {
        &self.voter_sets
    }

    /// The replica last seen leading.
    pub fn leader(&self) -> Option<usize> {
        let index = self.leader.load(Ordering::Relaxed);
        (index < self.places.len()).then_some(index)
    }

    /// Remembers the replica at this position as the leader.
    pub fn set_leader(&self, index: usize) {
        if self.leader.load(Ordering::Relaxed) != index {
            self.leader.store(index, Ordering::Relaxed);
        }
    }

    /// It failed to answer as a leader: forget it, unless someone has learned a newer one meanwhile.
    pub fn forget_leader(&self, index: usize) {
        let _ = self.leader.compare_exchange(index, UNKNOWN, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The position of the replica on this node; `None` if it hosts none.
    pub fn position(&self, node_uuid: &[u8]) -> Option<usize> {
        self.places.iter().position(|place| place.uuid() == node_uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::meta::{NodeInfo, ReplicaMove, Settings};

    fn build(wire: &ClusterMap, previous: Option<&Map>) -> Option<Map> {
        Map::build(wire, previous, &Dialer::plaintext())
    }

    fn wire(version: u64, addresses: &[&str]) -> ClusterMap {
        let uuid = |index: usize| vec![index as u8 + 1; 16];
        let replicas: Vec<ReplicaInfo> = (0..addresses.len())
            .map(|index| ReplicaInfo { replica_id: index as u64 + 1, node_uuid: uuid(index).into() })
            .collect();
        ClusterMap {
            map_version: version,
            cluster_id: vec![9; 16].into(),
            shard_count: 2,
            nodes: addresses
                .iter()
                .enumerate()
                .map(|(index, address)| NodeInfo {
                    node_uuid: uuid(index).into(),
                    address: (*address).into(),
                    name: String::new(),
                    ..NodeInfo::default()
                })
                .collect(),
            groups: [0, 1, META_GROUP]
                .map(|group| GroupInfo { group, epoch: 1, replicas: replicas.clone(), moving: None })
                .to_vec(),
            settings: Some(Settings { signup_mode: "open".into(), defaults: None }),
            ..ClusterMap::default()
        }
    }

    #[tokio::test]
    async fn a_change_of_one_group_leaves_all_others_and_all_nodes_as_they_are() {
        const SHARDS: u32 = 4_096;
        let addresses = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"];
        let mut wire = wire(1, &addresses);
        let all = wire.groups[0].replicas.clone();
        let group = |group| GroupInfo { group, replicas: all[..3].to_vec(), ..GroupInfo::default() };
        wire.shard_count = SHARDS;
        wire.groups = (0..SHARDS).chain([META_GROUP]).map(group).collect();
        let first = build(&wire, None).expect("complete");
        let moved = 1_234;
        wire.map_version += 1;
        wire.groups[moved as usize].replicas = all[1..].to_vec();
        let second = build(&wire, Some(&first)).expect("complete");
        for number in (0..SHARDS).chain([META_GROUP]) {
            let (before, after) =
                (first.group(number).expect("a group"), second.group(number).expect("a group"));
            assert_eq!(std::ptr::eq(before, after), number != moved, "group {number}");
        }
        assert!(first.nodes().zip(second.nodes()).all(|(before, after)| Arc::ptr_eq(before, after)));
        let uuids = second.group(moved).expect("moved").replicas().iter().map(|node| node.uuid().to_vec());
        assert!(uuids.eq(all[1..].iter().map(|replica| replica.node_uuid.to_vec())));
        first.group(0).expect("a group").set_leader(2);
        assert_eq!(
            second.group(0).expect("a group").leader(),
            Some(2),
            "learned by a request of the old map"
        );
    }

    #[tokio::test]
    async fn unchanged_nodes_keep_their_connections_and_leaders() {
        let first = build(&wire(1, &["127.0.0.1:1", "127.0.0.1:2"]), None).expect("complete");
        first.group(0).expect("shard").set_leader(1);
        let second = build(&wire(2, &["127.0.0.1:3", "127.0.0.1:2"]), Some(&first)).expect("complete");
        let (before, after) = (first.group(0).expect("shard"), second.group(0).expect("shard"));
        assert!(Arc::ptr_eq(&before.replicas()[1], &after.replicas()[1]));
        assert!(!Arc::ptr_eq(&before.replicas()[0], &after.replicas()[0]), "its address changed");
        assert_eq!(after.leader(), Some(1));
        assert_eq!(second.group(1).expect("shard").leader(), None);
        after.forget_leader(0);
        assert_eq!(after.leader(), Some(1), "someone else's failure");
        after.forget_leader(1);
        assert_eq!(after.leader(), None);
    }

    fn positions(group: &Group) -> Vec<(Vec<usize>, usize)> {
        group.voter_sets().iter().map(|set| (set.members.clone(), set.majority)).collect()
    }

    #[tokio::test]
    async fn a_replica_on_its_way_in_is_a_place_and_no_replica_yet() {
        let addresses = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"];
        let mut settled = wire(1, &addresses);
        let add = settled.groups[0].replicas[3].clone();
        settled.groups[0].replicas.truncate(3);
        let mut moving = ClusterMap { map_version: 2, ..settled.clone() };
        moving.groups[0].moving =
            Some(ReplicaMove { add: Some(add.clone()), remove: 2, ..ReplicaMove::default() });
        let mut moved = ClusterMap { map_version: 3, ..settled.clone() };
        moved.groups[0].replicas.remove(1);
        moved.groups[0].replicas.push(add);

        let before = build(&settled, None).expect("complete");
        assert_eq!(positions(before.group(0).expect("shard")), [(vec![0, 1, 2], 2)]);
        before.group(0).expect("shard").set_leader(2);
        let during = build(&moving, Some(&before)).expect("complete");
        let group = during.group(0).expect("shard");
        assert_eq!((group.replicas().len(), group.places().len(), group.leader()), (3, 4, Some(2)));
        assert_eq!(positions(group), [(vec![0, 1, 2], 2), (vec![0, 2, 3], 2)]);
        assert_eq!(group.position(&[4; 16]), Some(3), "a hint may name it");
        group.set_leader(3);
        let after = build(&moved, Some(&during)).expect("complete");
        let group = after.group(0).expect("shard");
        assert_eq!((group.replicas().len(), group.places().len(), group.leader()), (3, 3, Some(2)));
        assert_eq!(positions(group), [(vec![0, 1, 2], 2)]);
        let mut grows = moving.clone();
        grows.groups[0].moving.as_mut().expect("moves").remove = 0;
        let grows = build(&grows, None).expect("complete");
        let sets = positions(grows.group(0).expect("shard"));
        assert_eq!(sets, [(vec![0, 1, 2], 2), (vec![0, 1, 2, 3], 3)]);
    }

    #[tokio::test]
    async fn maps_that_cannot_be_routed_by_are_no_maps() {
        let mut uninitialized = wire(1, &["127.0.0.1:1"]);
        uninitialized.cluster_id = Default::default();
        assert!(build(&uninitialized, None).is_none());
        for shard_count in [0, 3, 8192] {
            assert!(build(&ClusterMap { shard_count, ..wire(1, &["127.0.0.1:1"]) }, None).is_none());
        }
        let mut incomplete = wire(1, &["127.0.0.1:1"]);
        incomplete.groups.retain(|group| group.group != 1);
        assert!(build(&incomplete, None).is_none());
    }
}
