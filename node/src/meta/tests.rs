use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::place_shards::Placement;
use rowhouse_proto::wire::command::{Bootstrap, MetaNode, MetaOutcome, PlaceShards, RegisterNode, SetPacket};
use rowhouse_proto::wire::meta::{ClusterMap, GatewayInfo};
use rowhouse_raft::state::{ScanOrder, StateRead, Txn, View};
use rowhouse_raft::{EntryContext, Error, Machine};

use super::*;

const NOW_MS: u64 = 1_780_000_000_000;
const HOMESERVER: [u8; 32] = [7; 32];

#[derive(Default)]
struct Store(BTreeMap<Vec<u8>, Bytes>);

impl StateRead for Store {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        _: ScanOrder,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        for (key, value) in self.0.range(from.to_vec()..to.to_vec()) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Store {
    fn apply(&mut self, body: Body) -> MetaOutcome {
        let context = EntryContext { group: META_GROUP as u16, term: 1, index: 1 };
        let (reply, writes) = {
            let mut txn = Txn::new(View::new(self, Bytes::new()));
            let reply = MetaMachine.apply(context, &encode(body, NOW_MS), &mut txn).expect("readable");
            (reply, txn.into_writes())
        };
        for (key, value) in writes {
            match value {
                Some(value) => self.0.insert(key.to_vec(), value),
                None => self.0.remove(&key[..]),
            };
        }
        MetaOutcome::decode(reply).expect("an outcome")
    }

    fn accepted(&mut self, body: Body) {
        let outcome = self.apply(body);
        assert!(outcome.accepted, "{}", outcome.refused);
    }

    fn refused(&mut self, body: Body) {
        let before = self.0.clone();
        assert!(!self.apply(body).accepted);
        assert_eq!(before, self.0, "a refused command changes nothing");
    }

    fn map(&self) -> ClusterMap {
        cluster_map(&View::new(self, Bytes::new())).expect("readable").expect("bootstrapped")
    }
}

fn uuid(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[n; 16])
}

fn bootstrap(nodes: u8, shard_count: u32) -> Body {
    Body::Bootstrap(Bootstrap {
        cluster_id: uuid(0xC),
        shard_count,
        nodes: (1..=nodes)
            .map(|n| MetaNode {
                node_uuid: uuid(n),
                address: format!("127.0.0.1:{n}"),
                name: format!("n{n}"),
            })
            .collect(),
        signup_mode: "open".into(),
        homeserver: Bytes::copy_from_slice(&HOMESERVER),
    })
}

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
    let node = MetaNode { node_uuid: uuid(n), address: address.into(), name: name.into() };
    Body::RegisterNode(RegisterNode { node: Some(node), name_proven })
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

#[test]
fn what_cannot_be_decoded_is_refused_and_changes_nothing() {
    let context = EntryContext { group: META_GROUP as u16, term: 1, index: 1 };
    let store = Store::default();
    let mut txn = Txn::new(View::new(&store, Bytes::new()));
    for bytes in [&b"\xff\xff"[..], b""] {
        let reply = MetaMachine.apply(context, &Bytes::copy_from_slice(bytes), &mut txn).expect("readable");
        assert!(!MetaOutcome::decode(reply).expect("an outcome").accepted);
    }
    assert!(txn.into_writes().is_empty());
}
