//! What each meta command does to the cluster record, and what it refuses.

use crate::machine_fixture::meta_store::*;

use bytes::Bytes;
use prost::Message;
use rowhouse_node::meta::{MetaMachine, announce, encode, raisable, refresh, withdraw};
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::place_shards::Placement;
use rowhouse_proto::wire::command::{
    Bootstrap, MetaCommand, MetaNode, PlaceShards, RaiseCommandVersion, RegisterNode, SetPacket,
};
use rowhouse_proto::wire::meta::{ClusterMap, GatewayInfo};
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSION_MIN, COMMAND_VERSIONS, META_GROUP, VersionRange};
use rowhouse_raft::state::{Txn, View};
use rowhouse_raft::{EntryContext, Error, Machine};

fn placements(shards: u32, nodes: u8) -> Body {
    let node_uuids: Vec<Bytes> = (1..=nodes).map(uuid).collect();
    let placements = (0..shards).map(|group| Placement { group, node_uuids: node_uuids.clone() }).collect();
    Body::PlaceShards(PlaceShards { placements })
}

fn packet(timestamp_us: u64, content: u8) -> Bytes {
    let mut packet = HOMESERVER.to_vec();
    packet.extend_from_slice(&[0; 64]);
    packet.extend_from_slice(&timestamp_us.to_be_bytes());
    packet.push(content);
    packet.into()
}

fn set_packet(timestamp_us: u64, content: u8) -> Body {
    Body::SetPacket(SetPacket { packet: packet(timestamp_us, content), network_us: 0 })
}

fn gateway_info(public_ip: &str, tls_port: u32) -> GatewayInfo {
    GatewayInfo {
        public_ip: public_ip.into(),
        tls_port,
        http_port: 6286,
        icann_domain: "localhost".into(),
        since: 0,
    }
}

fn gateway(public_ip: &str, tls_port: u32) -> Body {
    announce(gateway_info(public_ip, tls_port))
}

#[test]
fn a_cluster_promises_signup_tokens_once_it_has_them() {
    let in_mode = |signup_mode: &str| {
        let Body::Bootstrap(bootstrap) = bootstrap(3, 16) else { panic!("another command") };
        Body::Bootstrap(Bootstrap { signup_mode: signup_mode.into(), ..bootstrap })
    };
    let mut store = Store::default();
    for signup_mode in ["", "anything"] {
        store.refused(in_mode(signup_mode));
    }
    assert!(!store.apply_as(3, in_mode("token_required")).accepted, "as that version always did");
    store.accepted(in_mode("token_required"));
    assert_eq!(store.map().settings.expect("settings").signup_mode, "token_required");
}

#[test]
fn bootstrap_happens_once_and_repeats_harmlessly() {
    let mut store = Store::default();
    store.refused(bootstrap(3, 12));
    store.accepted(bootstrap(3, 16));
    let map = store.map();
    assert_eq!((map.map_version, map.nodes.len(), map.groups.len()), (1, 3, 1));
    let ids: Vec<u64> = map.groups[0].replicas.iter().map(|replica| replica.replica_id).collect();
    assert_eq!((map.groups[0].group, ids), (META_GROUP, vec![1, 2, 3]));
    store.accepted(bootstrap(3, 16));
    assert_eq!(store.map(), map);
    let Body::Bootstrap(mut other) = bootstrap(3, 16) else { unreachable!("built above") };
    other.cluster_id = uuid(0xD);
    store.refused(Body::Bootstrap(other));
}

#[test]
fn replica_ids_are_handed_out_once_and_never_twice() {
    let mut store = Store::default();
    store.refused(placements(16, 3));
    store.accepted(bootstrap(3, 16));
    store.refused(placements(15, 3));
    store.refused(placements(16, 4));
    store.accepted(placements(16, 3));
    let map = store.map();
    let mut ids: Vec<u64> =
        map.groups.iter().flat_map(|group| &group.replicas).map(|replica| replica.replica_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=51).collect::<Vec<u64>>());
    assert_eq!(map.map_version, 2);
    store.refused(placements(16, 3));
}

#[test]
fn a_packet_must_be_newer_but_not_from_the_future() {
    let mut store = Store::default();
    let now_us = NOW_MS * 1000;
    store.refused(set_packet(now_us, 1));
    store.accepted(bootstrap(3, 16));
    store.accepted(set_packet(now_us, 1));
    let version = store.map().map_version;
    store.accepted(set_packet(now_us, 1));
    assert_eq!(store.map().map_version, version, "the same bytes again change nothing");
    store.refused(set_packet(now_us, 2));
    store.refused(set_packet(now_us - 1, 2));
    store.refused(set_packet(now_us + 60_000_001, 2));
    store.accepted(set_packet(now_us + 1, 2));
    assert_eq!(store.map().packet, packet(now_us + 1, 2));
    let network_us = now_us + 3_600_000_000;
    let forced = SetPacket { packet: packet(network_us + 1, 3), network_us };
    store.accepted(Body::SetPacket(forced));
}

#[test]
fn a_clock_that_ran_away_once_stops_no_later_packet() {
    let mut store = Store::default();
    store.accepted(bootstrap(3, 16));
    // The leader's clock was a year ahead, and nothing got out.
    let far_us = (NOW_MS + 365 * 86_400_000) * 1000;
    let forced = SetPacket { packet: packet(far_us, 1), network_us: far_us - 1 };
    store.accepted(Body::SetPacket(forced));
    store.refused(set_packet(NOW_MS * 1000, 2));
    store.refused(set_packet(far_us + 2, 2));
    store.accepted(set_packet(far_us + 1, 2));
}

#[test]
fn a_packet_of_another_key_is_refused() {
    let mut store = Store::default();
    store.accepted(bootstrap(1, 1));
    let mut foreign = packet(NOW_MS * 1000, 1).to_vec();
    foreign[0] ^= 1;
    store.refused(Body::SetPacket(SetPacket { packet: foreign.into(), network_us: 0 }));
    store.refused(Body::SetPacket(SetPacket { packet: Bytes::from_static(b"short"), network_us: 0 }));
}

#[test]
fn nodes_move_by_changing_their_address() {
    let mut store = Store::default();
    store.accepted(bootstrap(3, 16));
    let node = |n, address: &str| register(n, address, "n", false);
    store.accepted(node(2, "127.0.0.1:99"));
    store.accepted(node(4, "127.0.0.1:4"));
    let version = store.map().map_version;
    store.accepted(node(4, "127.0.0.1:4"));
    assert_eq!(store.map().map_version, version);
    store.refused(node(5, ""));
    let map = store.map();
    assert_eq!(map.nodes.len(), 4);
    assert_eq!(map.nodes[1].address, "127.0.0.1:99");
}

fn register(n: u8, address: &str, name: &str, name_proven: bool) -> Body {
    Body::RegisterNode(RegisterNode { node: Some(meta_node(n, address, name)), name_proven })
}

#[test]
fn a_proven_name_is_kept_for_life() {
    let mut store = Store::default();
    store.accepted(bootstrap(3, 16));
    store.accepted(register(2, "127.0.0.1:99", "n2", true));
    store.refused(register(2, "127.0.0.1:99", "other", true));
    store.accepted(register(4, "127.0.0.1:4", "n4", true));
    let map = store.map();
    assert_eq!((map.nodes[1].name.as_str(), map.nodes[1].address.as_str()), ("n2", "127.0.0.1:99"));
    assert_eq!(map.nodes[3].name, "n4");
}

#[test]
fn a_gateway_with_other_ports_evicts_nobody() {
    let mut store = Store::default();
    store.accepted(bootstrap(3, 16));
    store.accepted(gateway("127.0.0.1", 6287));
    store.accepted(gateway("127.0.0.2", 6287));
    store.accepted(gateway("127.0.0.3", 7000));
    store.accepted(gateway("127.0.0.1", 7000));
    let version = store.map().map_version;
    for known in [("127.0.0.1", 6287), ("127.0.0.1", 7000), ("127.0.0.3", 7000)] {
        store.accepted(gateway(known.0, known.1));
    }
    let map = store.map();
    assert_eq!(map.map_version, version, "what is known is not announced again");
    let known: Vec<(&str, u32, u64)> = map
        .gateways
        .iter()
        .map(|gateway| (gateway.public_ip.as_str(), gateway.tls_port, gateway.since))
        .collect();
    assert_eq!(
        known,
        [("127.0.0.1", 6287, 1), ("127.0.0.1", 7000, 4), ("127.0.0.2", 6287, 2), ("127.0.0.3", 7000, 3)]
    );
    for left in [("127.0.0.1", 6287), ("127.0.0.2", 6287), ("127.0.0.3", 7000)] {
        store.accepted(withdraw(gateway_info(left.0, left.1)));
    }
    assert_eq!(store.map().gateways, [GatewayInfo { since: 4, ..gateway_info("127.0.0.1", 7000) }]);
}

#[test]
fn what_no_packet_can_carry_is_not_announced() {
    let mut store = Store::default();
    store.accepted(bootstrap(3, 16));
    for (public_ip, tls_port) in
        [("example.com", 6287), ("0.0.0.0", 6287), ("::", 6287), ("224.0.0.1", 6287), ("127.0.0.1", 0)]
    {
        store.refused(gateway(public_ip, tls_port));
    }
    for domain in ["-x.example", "a..example", &"a".repeat(64)] {
        store.refused(announce(GatewayInfo {
            icann_domain: domain.into(),
            ..gateway_info("127.0.0.1", 6287)
        }));
    }
}

#[test]
fn the_table_of_gateways_is_bounded() {
    let mut store = Store::default();
    store.accepted(bootstrap(3, 16));
    for n in 1..=64 {
        store.accepted(gateway(&format!("192.0.2.{n}"), 6000 + n % 2));
    }
    store.refused(gateway("192.0.2.65", 6001));
    store.accepted(withdraw(gateway_info("192.0.2.1", 6001)));
    store.accepted(gateway("192.0.2.65", 6001));
}

#[test]
fn a_withdrawn_gateway_goes_and_the_last_one_stays() {
    let mut store = Store::default();
    store.accepted(withdraw(gateway_info("127.0.0.1", 6287)));
    store.accepted(bootstrap(3, 16));
    store.accepted(gateway("127.0.0.1", 6287));
    store.accepted(gateway("127.0.0.2", 6287));
    let version = store.map().map_version;
    store.accepted(withdraw(gateway_info("127.0.0.2", 7000)));
    store.accepted(withdraw(gateway_info("127.0.0.3", 6287)));
    assert_eq!(store.map().map_version, version, "neither is in the map");
    store.accepted(withdraw(gateway_info("127.0.0.1", 6287)));
    let last = [GatewayInfo { since: 2, ..gateway_info("127.0.0.2", 6287) }];
    assert_eq!(store.map().gateways, last);
    let version = store.map().map_version;
    store.accepted(withdraw(gateway_info("127.0.0.2", 6287)));
    assert_eq!(store.map().gateways, last, "nobody else is there");
    assert_eq!(store.map().map_version, version);
}

/// A node that understands commands up to `newest`.
fn upgraded(n: u8, newest: u32) -> Body {
    let node = meta_node(n, &format!("127.0.0.1:{n}"), &format!("n{n}"));
    let node = Some(MetaNode { command_version_max: newest, ..node });
    Body::RegisterNode(RegisterNode { node, name_proven: false })
}

fn raise(to: u32) -> Body {
    Body::RaiseCommandVersion(RaiseCommandVersion { to })
}

#[test]
fn the_command_version_rises_once_every_known_node_understands_it_and_never_falls() {
    let (old, new) = (COMMAND_VERSION, COMMAND_VERSION + 1);
    let mut store = Store::default();
    store.refused(raise(new));
    store.accepted(bootstrap(3, 16));
    assert_eq!((store.map().command_version, raisable(&store.map())), (old, None));
    for n in 1..=3 {
        let outcome = store.apply(raise(new));
        assert!(outcome.refused.contains(&format!("version {new} is in force")), "{}", outcome.refused);
        assert_eq!(raisable(&store.map()), None);
        store.accepted(upgraded(n, new + u32::from(n)));
    }
    assert_eq!(raisable(&store.map()), Some(new + 1), "the newest that all understand");
    store.accepted(raise(new));
    assert_eq!(store.map().command_version, new);
    let version = store.map().map_version;
    store.accepted(raise(new));
    assert_eq!(store.map().map_version, version, "it is so already");
    store.refused(raise(old));
    store.refused(raise(new + 2));
}

#[test]
fn a_node_that_does_not_understand_the_version_in_force_is_refused_with_both_named() {
    let (old, new) = (COMMAND_VERSION, COMMAND_VERSION + 1);
    let mut store = Store::default();
    store.accepted(bootstrap(1, 16));
    store.refused(upgraded(4, 0));
    store.accepted(upgraded(1, new));
    store.accepted(raise(new));
    let understood = VersionRange { min: COMMAND_VERSION_MIN, max: old };
    for n in [1, 4] {
        let refused = store.apply(upgraded(n, old)).refused;
        for told in [
            format!("node n{n} understands command version {understood}"),
            format!("version {new} is in force"),
        ] {
            assert!(refused.contains(&told), "{refused}");
        }
    }
    store.accepted(upgraded(4, new));
    let left_behind = MetaNode {
        command_version_min: new + 1,
        command_version_max: new + 2,
        ..meta_node(5, "127.0.0.1:5", "n5")
    };
    store.refused(Body::RegisterNode(RegisterNode { node: Some(left_behind), name_proven: false }));
}

#[test]
fn what_it_does_not_understand_stops_it_and_changes_nothing() {
    let context = EntryContext { group: META_GROUP as u16, term: 1, index: 17, voters: &[] };
    let store = Store::default();
    let mut txn = Txn::new(View::new(&store.0, Bytes::new()));
    let newer = MetaCommand { version: COMMAND_VERSION + 1, now_ms: NOW_MS, body: Some(bootstrap(1, 1)) };
    let bodiless = MetaCommand { version: COMMAND_VERSION, now_ms: NOW_MS, body: None };
    let mut with_more = encode(COMMAND_VERSION, bootstrap(1, 1), NOW_MS).to_vec();
    // Field 31, as an unknown body or another field of a later version would lie there.
    with_more.extend_from_slice(&[0xfa, 0x01, 0x00]);
    for bytes in
        [b"\xff\xff".to_vec(), Vec::new(), newer.encode_to_vec(), bodiless.encode_to_vec(), with_more]
    {
        let stopped = MetaMachine::default().apply(context, &bytes.into(), &mut txn).expect_err("must stop");
        assert!(matches!(&stopped, Error::Unapplicable { group: 0xFFFF, index: 17, .. }), "{stopped}");
        let told = format!("understands command version {COMMAND_VERSIONS}");
        assert!(stopped.to_string().contains(&told), "{stopped}");
    }
    assert!(txn.into_writes().is_empty());
}

#[test]
fn a_map_is_read_again_only_when_its_version_is_another_one() {
    let mut store = Store::default();
    let mut known = None;
    refresh(&View::new(&store.0, Bytes::new()), &mut known).expect("readable");
    assert_eq!(known, None, "not initialized");
    store.accepted(bootstrap(3, 4));
    refresh(&View::new(&store.0, Bytes::new()), &mut known).expect("readable");
    assert_eq!(known, Some(store.map()));
    // Told from what the store has, so that another read of it would be noticed.
    let marked = ClusterMap { hlc: 7, ..store.map() };
    known = Some(marked.clone());
    refresh(&View::new(&store.0, Bytes::new()), &mut known).expect("readable");
    assert_eq!(known, Some(marked), "the version is the same");
    store.accepted(placements(4, 3));
    refresh(&View::new(&store.0, Bytes::new()), &mut known).expect("readable");
    assert_eq!(known, Some(store.map()));
}
