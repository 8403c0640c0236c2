use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::META_GROUP;
use crate::wire::meta::{GatewayInfo, NodeLife, ReplicaInfo, ReplicaMove, Settings};

/// One difference between a map and the next one.
#[derive(Clone, Debug)]
enum Difference {
    Node(u8, u16),
    NoNode(u8),
    Group(u32, u8),
    NewGroup(u32),
    Settings(bool),
    Packet(u8),
    Gateways(u8),
    Counters(u64),
}

impl Difference {
    fn make(self, map: &mut ClusterMap) {
        match self {
            Self::Node(n, port) => {
                let life = (port % 2 == 0).then_some(NodeLife { leaving: true, ..NodeLife::default() });
                merge(&mut map.nodes, vec![NodeInfo { life, address: format!("h:{port}"), ..node(n) }]);
            }
            Self::NoNode(n) => map.nodes.retain(|known| known.node_uuid != node(n).node_uuid),
            Self::Group(number, n) => {
                let at = number as usize % map.groups.len();
                map.groups[at].epoch += 1;
                let add = ReplicaInfo { replica_id: 100, node_uuid: node(n).node_uuid };
                map.groups[at].moving =
                    (n % 2 == 0).then_some(ReplicaMove { add: Some(add), ..ReplicaMove::default() });
            }
            Self::NewGroup(number) => merge(&mut map.groups, vec![group(number)]),
            Self::Settings(open) => {
                let signup_mode = if open { "open" } else { "token_required" }.to_owned();
                map.settings = Some(Settings { signup_mode, defaults: None });
            }
            Self::Packet(byte) => map.packet = vec![byte; usize::from(byte % 4)].into(),
            Self::Gateways(count) => {
                let gateway = |n| GatewayInfo { tls_port: u32::from(n), ..GatewayInfo::default() };
                map.gateways = (0..count % 4).map(gateway).collect();
            }
            Self::Counters(n) => {
                map.next_replica_id += n;
                map.command_version = n as u32 % 3;
                map.rebalance = n % 2 == 0;
            }
        }
    }
}

fn node(n: u8) -> NodeInfo {
    NodeInfo { node_uuid: vec![n; 16].into(), name: format!("n{n}"), ..NodeInfo::default() }
}

fn group(number: u32) -> GroupInfo {
    let replica = |n: u8| ReplicaInfo { replica_id: u64::from(n), node_uuid: node(n).node_uuid };
    GroupInfo { group: number, epoch: 1, replicas: (1..=3).map(replica).collect(), moving: None }
}

fn first(shards: u32) -> ClusterMap {
    ClusterMap {
        version: 2,
        map_version: 1,
        cluster_id: vec![9; 16].into(),
        shard_count: shards,
        homeserver: vec![8; 32].into(),
        nodes: (1..=3).map(node).collect(),
        groups: (0..shards).chain([META_GROUP]).map(group).collect(),
        ..ClusterMap::default()
    }
}

fn difference() -> impl Strategy<Value = Difference> {
    prop_oneof![
        (0..9_u8, 0..4_u16).prop_map(|(n, port)| Difference::Node(n, port)),
        (0..9_u8).prop_map(Difference::NoNode),
        (0..5_u32, 0..9_u8).prop_map(|(number, n)| Difference::Group(number, n)),
        (0..9_u32).prop_map(Difference::NewGroup),
        any::<bool>().prop_map(Difference::Settings),
        any::<u8>().prop_map(Difference::Packet),
        any::<u8>().prop_map(Difference::Gateways),
        any::<u32>().prop_map(|n| Difference::Counters(n.into())),
    ]
}

/// Versions of one map, each with some differences to the one before.
fn versions() -> impl Strategy<Value = Vec<ClusterMap>> {
    let steps = prop::collection::vec(prop::collection::vec(difference(), 0..4), 2..12);
    steps.prop_map(|steps| {
        let mut maps = vec![first(4)];
        for step in steps {
            let mut map = maps.last().cloned().unwrap_or_default();
            map.map_version += 1;
            step.into_iter().for_each(|difference| difference.make(&mut map));
            maps.push(map);
        }
        maps
    })
}

/// As a watcher on the wire would get it.
fn sent(old: &ClusterMap, new: &ClusterMap) -> ClusterMap {
    let bytes = change(old, new).encode_to_vec();
    ClusterMap::decode(&bytes[..]).expect("just encoded")
}

proptest! {
    #[test]
    fn changes_applied_in_order_give_the_same_map(maps in versions(), seen in any::<u16>()) {
        let mut known = Arc::default();
        let mut last = ClusterMap::default();
        // Watches coalesce: some versions are never sent.
        let sent_maps = maps.iter().enumerate().filter(|(at, _)| *at == 0 || seen >> (at % 16) & 1 == 1);
        for (_, map) in sent_maps {
            let message = sent(&last, map);
            prop_assert_eq!(message.change.is_none(), last == ClusterMap::default());
            apply(&mut known, message).expect("the change of what is known");
            prop_assert_eq!(&*known, map);
            last = map.clone();
        }
    }

    #[test]
    fn a_missing_change_is_noticed_and_leaves_the_map_alone(maps in versions(), at in any::<prop::sample::Index>()) {
        let missing = 1 + at.index(maps.len() - 2);
        let mut known = Arc::new(maps[missing - 1].clone());
        let late = sent(&maps[missing], &maps[missing + 1]);
        let wrong = WrongBase { base: maps[missing].map_version, known: maps[missing - 1].map_version };
        prop_assert_eq!(apply(&mut known, late.clone()), Err(wrong));
        prop_assert_eq!(&*known, &maps[missing - 1]);
        apply(&mut known, maps[missing].clone()).expect("a whole map");
        apply(&mut known, late).expect("in order");
        prop_assert_eq!(&*known, &maps[missing + 1]);
    }
}

#[test]
fn a_change_is_small_however_large_the_map_and_a_sign_of_life_smaller() {
    let old = first(4_096);
    let mut new = old.clone();
    new.map_version += 1;
    new.groups[1_234].epoch += 1;
    assert!(old.encoded_len() > 200_000);
    let message = change(&old, &new);
    assert_eq!(message.groups, [new.groups[1_234].clone()]);
    assert!(message.encoded_len() < 256, "{}", message.encoded_len());
    let sign = change(&new, &ClusterMap { hlc: u64::MAX, ..new.clone() });
    assert!(sign.encoded_len() < 64, "{}", sign.encoded_len());
    assert_eq!(sign.hlc, u64::MAX);
}

#[test]
fn a_sign_of_life_copies_nothing() {
    let map = Arc::new(first(4));
    let mut known = Arc::clone(&map);
    apply(&mut known, change(&map, &map)).expect("the same version");
    assert!(Arc::ptr_eq(&map, &known));
}

#[test]
fn where_no_change_can_be_told_the_whole_map_is() {
    let old = first(4);
    let newer = ClusterMap { map_version: 2, ..old.clone() };
    let mut without_group = newer.clone();
    without_group.groups.remove(2);
    let mut out_of_order = newer.clone();
    out_of_order.nodes.swap(0, 1);
    let of_another_cluster = ClusterMap { cluster_id: vec![7; 16].into(), ..newer.clone() };
    for new in [without_group, out_of_order, of_another_cluster, ClusterMap::default()] {
        assert_eq!(change(&old, &new), new);
    }
    assert_eq!(change(&ClusterMap::default(), &old), old);
    assert_eq!(change(&newer, &old), old, "older than what was sent");
    let mut empty = Arc::default();
    let change_of_nothing = ClusterMap { change: Some(MapChange::default()), ..old };
    apply(&mut empty, change_of_nothing).expect_err("a change needs a map");
}
