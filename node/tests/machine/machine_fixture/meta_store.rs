//! The meta group's state in memory, and the command that begins it.

use bytes::Bytes;
use prost::Message;
use rowhouse_node::meta::{MetaMachine, cluster_map, encode};
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{Bootstrap, MetaNode, MetaOutcome};
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSION_MIN, META_GROUP};
use rowhouse_raft::state::{Txn, View};
use rowhouse_raft::{EntryContext, Machine};

use super::Rows;

pub const NOW_MS: u64 = 1_780_000_000_000;
pub const HOMESERVER: [u8; 32] = [7; 32];

#[derive(Default)]
pub struct Store(pub Rows);

impl Store {
    pub fn apply(&mut self, body: Body) -> MetaOutcome {
        self.apply_as(COMMAND_VERSION, body)
    }

    pub fn apply_as(&mut self, version: u32, body: Body) -> MetaOutcome {
        self.apply_at(version, NOW_MS, body)
    }

    pub fn apply_at(&mut self, version: u32, now_ms: u64, body: Body) -> MetaOutcome {
        let context = EntryContext { group: META_GROUP as u16, term: 1, index: 1, voters: &[] };
        let (reply, writes) = {
            let mut txn = Txn::new(View::new(&self.0, Bytes::new()));
            let command = encode(version, body, now_ms);
            let reply = MetaMachine::default().apply(context, &command, &mut txn).expect("understood");
            (reply, txn.into_writes())
        };
        for (key, value) in writes {
            match value {
                Some(value) => self.0.0.insert(key, value),
                None => self.0.0.remove(&key),
            };
        }
        MetaOutcome::decode(reply).expect("an outcome")
    }

    pub fn accepted(&mut self, body: Body) {
        let outcome = self.apply(body);
        assert!(outcome.accepted, "{}", outcome.refused);
    }

    pub fn refused(&mut self, body: Body) {
        let before = self.0.0.clone();
        assert!(!self.apply(body).accepted);
        assert_eq!(before, self.0.0, "a refused command changes nothing");
    }

    pub fn map(&self) -> ClusterMap {
        cluster_map(&View::new(&self.0, Bytes::new())).expect("readable").expect("bootstrapped")
    }
}

pub fn uuid(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[n; 16])
}

pub fn meta_node(n: u8, address: &str, name: &str) -> MetaNode {
    MetaNode {
        node_uuid: uuid(n),
        address: address.into(),
        name: name.into(),
        command_version_min: COMMAND_VERSION_MIN,
        command_version_max: COMMAND_VERSION,
        zone: String::new(),
    }
}

pub fn bootstrap(nodes: u8, shard_count: u32) -> Body {
    Body::Bootstrap(Bootstrap {
        cluster_id: uuid(0xC),
        shard_count,
        nodes: (1..=nodes).map(|n| meta_node(n, &format!("127.0.0.1:{n}"), &format!("n{n}"))).collect(),
        signup_mode: "open".into(),
        homeserver: Bytes::copy_from_slice(&HOMESERVER),
    })
}
