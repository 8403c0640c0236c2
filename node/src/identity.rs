//! Who this node is: records in the synced log store, written once and checked at every start.
//!
//! The uuid is made at the first start on an empty folder; the cluster is joined by `cluster init` or by
//! registering with one that runs. Nothing here changes afterwards.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use prost::Message;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::hex;
use rowhouse_proto::wire::meta::CommitInitRequest;
use rowhouse_raft::ReplicaId;
use rowhouse_raft::codec::decode_whole;
use rowhouse_raft::log_store::LogEngine;
use uuid::Uuid;

use crate::Error;

pub use rowhouse_raft::transport::NodeUuid;

/// Drawn by `cluster init`; tells clusters apart that met by mistake.
pub type ClusterId = [u8; 16];

/// Version of everything in a data folder.
const FORMAT_VERSION: u32 = 2;
const FORMAT: &str = "data_folder_version";
const NODE_UUID: &str = "node_uuid";
const CLUSTER_ID: &str = "cluster_id";
const HOMESERVER: &str = "homeserver";
const SHARD_COUNT: &str = "shard_count";
const INIT: &str = "init";
const COMMAND_VERSION: &str = "command_version";

/// The records of one data folder, read once. Methods that write block until they are synced.
pub struct Identity {
    engine: Arc<dyn LogEngine>,
    node_uuid: NodeUuid,
    homeserver: [u8; 32],
    cluster_id: ArcSwapOption<ClusterId>,
    /// By the cluster's number of shards: replicas start before this node has heard of a map.
    event_ids: ArcSwapOption<EventIds>,
    /// The request of `cluster init`, if this node was among the first ones.
    init: ArcSwapOption<CommitInitRequest>,
}

impl Identity {
    /// Reads the records; makes the uuid when the folder is new.
    pub fn open(engine: Arc<dyn LogEngine>, homeserver: [u8; 32]) -> Result<Self, Error> {
        match engine.node_record(FORMAT)? {
            None => engine.put_node_record(FORMAT, Bytes::copy_from_slice(&FORMAT_VERSION.to_be_bytes()))?,
            Some(bytes) => {
                let found = u32::from_be_bytes(fixed(FORMAT, &bytes)?);
                if found != FORMAT_VERSION {
                    return Err(Error::FormatVersion {
                        what: "its node record",
                        found,
                        known: FORMAT_VERSION,
                    });
                }
            }
        }
        let node_uuid = match engine.node_record(NODE_UUID)? {
            Some(bytes) => fixed(NODE_UUID, &bytes)?,
            None => {
                let made = Uuid::now_v7().into_bytes();
                engine.put_node_record(NODE_UUID, Bytes::copy_from_slice(&made))?;
                made
            }
        };
        if let Some(stored) = engine.node_record(HOMESERVER)?
            && stored != homeserver[..]
        {
            return Err(Error::ForeignHomeserver { stored: hex(&stored), configured: hex(&homeserver) });
        }
        let cluster_id =
            engine.node_record(CLUSTER_ID)?.map(|bytes| fixed(CLUSTER_ID, &bytes)).transpose()?;
        let event_ids = engine.node_record(SHARD_COUNT)?.map(|bytes| event_ids(&bytes)).transpose()?;
        let init = match engine.node_record(INIT)? {
            Some(bytes) => {
                // Written back as it is read: nothing may be lost in between.
                Some(decode_whole(INIT, bytes)?)
            }
            None => None,
        };
        Ok(Self {
            engine,
            node_uuid,
            homeserver,
            cluster_id: ArcSwapOption::from_pointee(cluster_id),
            event_ids: ArcSwapOption::from_pointee(event_ids),
            init: ArcSwapOption::from_pointee(init),
        })
    }

    /// This node, for life.
    pub fn node_uuid(&self) -> NodeUuid {
        self.node_uuid
    }

    /// The public key that the folder belongs to.
    pub fn homeserver(&self) -> [u8; 32] {
        self.homeserver
    }

    /// `None` until initialized or joined.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster_id.load().as_deref().copied()
    }

    /// `None` until initialized or joined.
    pub fn event_ids(&self) -> Option<EventIds> {
        self.event_ids.load().as_deref().copied()
    }

    /// The request of `cluster init` that made this node one of the first; `None` for nodes that joined.
    pub fn init(&self) -> Option<Arc<CommitInitRequest>> {
        self.init.load_full()
    }

    /// This node's replica of the meta group: its place in the list of the first nodes.
    pub fn meta_replica(&self) -> Option<ReplicaId> {
        let init = self.init()?;
        let place = init.nodes.iter().position(|node| node.node_uuid == self.node_uuid[..])?;
        Some(place as ReplicaId + 1)
    }

    /// The command version the cluster has in force, as far as this node ever heard. No replica may run here
    /// under a program that does not understand it: it would stop at the next entry, or stop others.
    pub fn command_version(&self) -> Result<Option<u32>, Error> {
        let record = self.engine.node_record(COMMAND_VERSION)?;
        record.map(|bytes| fixed(COMMAND_VERSION, &bytes).map(u32::from_be_bytes)).transpose()
    }

    /// Remembers that the cluster has this version in force. Synced when it returns; blocks.
    pub fn heard_command_version(&self, in_force: u32) -> Result<(), Error> {
        if self.command_version()?.is_none_or(|known| known < in_force) {
            self.engine.put_node_record(COMMAND_VERSION, Bytes::copy_from_slice(&in_force.to_be_bytes()))?;
        }
        Ok(())
    }

    /// Becomes part of `cluster_id`, whose events have ids of this layout; `init` for one of its first nodes.
    /// Synced when it returns; blocks.
    pub fn join(
        &self,
        cluster_id: ClusterId,
        ids: EventIds,
        init: Option<CommitInitRequest>,
    ) -> Result<(), Error> {
        self.engine.put_node_record(HOMESERVER, Bytes::copy_from_slice(&self.homeserver))?;
        let shard_count = Bytes::copy_from_slice(&ids.shard_count().to_be_bytes());
        self.engine.put_node_record(SHARD_COUNT, shard_count)?;
        if let Some(init) = &init {
            self.engine.put_node_record(INIT, init.encode_to_vec().into())?;
        }
        // Last: a node without a cluster id is uninitialized, whatever else is there.
        self.engine.put_node_record(CLUSTER_ID, Bytes::copy_from_slice(&cluster_id))?;
        self.event_ids.store(Some(Arc::new(ids)));
        if let Some(init) = init {
            self.init.store(Some(Arc::new(init)));
        }
        self.cluster_id.store(Some(Arc::new(cluster_id)));
        Ok(())
    }
}

fn fixed<const N: usize>(key: &'static str, bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::DamagedRecord { key })
}

fn event_ids(bytes: &[u8]) -> Result<EventIds, Error> {
    let shard_count = u32::from_be_bytes(fixed(SHARD_COUNT, bytes)?);
    EventIds::new(shard_count).ok_or(Error::DamagedRecord { key: SHARD_COUNT })
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::{NodeInfo, Settings};
    use rowhouse_raft::sim::{LossyLog, LossyOptions};

    use super::*;
    use crate::Runtime;

    fn init() -> CommitInitRequest {
        CommitInitRequest {
            cluster_id: vec![0xC; 16].into(),
            shard_count: 16,
            nodes: vec![NodeInfo {
                node_uuid: vec![1; 16].into(),
                address: "a:1".into(),
                name: "n".into(),
                command_version_min: 2,
                command_version_max: 3,
                ..NodeInfo::default()
            }],
            start: false,
            settings: Some(Settings { signup_mode: "open".into(), defaults: None }),
            homeserver: vec![7; 32].into(),
        }
    }

    /// The records of format 2.
    const GOLDEN: [(&str, &str); 6] = [
        (FORMAT, "00000002"),
        (CLUSTER_ID, "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c"),
        (HOMESERVER, "0707070707070707070707070707070707070707070707070707070707070707"),
        (SHARD_COUNT, "00000010"),
        (
            INIT,
            "0a100c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c10101a1e0a10010101010101010101010101010101011203613a311a016e200228032a060a046f70656e32200707070707070707070707070707070707070707070707070707070707070707",
        ),
        (COMMAND_VERSION, "00000003"),
    ];

    #[test]
    fn the_records_have_the_golden_bytes_and_are_read_back() {
        let engine: Arc<dyn LogEngine> = LossyLog::<Runtime>::new(LossyOptions::default());
        let identity = Identity::open(Arc::clone(&engine), [7; 32]).expect("a new folder");
        let ids = EventIds::new(16).expect("a power of two");
        identity.join([0xC; 16], ids, Some(init())).expect("writes");
        for heard in [3, 2] {
            identity.heard_command_version(heard).expect("writes");
        }
        for (key, golden) in GOLDEN {
            let record = engine.node_record(key).expect("reads").expect("written");
            assert_eq!(hex(&record), golden, "{key}: a difference is a format change (docs/formats.md)");
        }
        let again = Identity::open(engine, [7; 32]).expect("the same folder");
        assert_eq!(again.init().as_deref(), Some(&init()));
        assert_eq!(again.command_version().expect("reads"), Some(3), "it never falls");
    }

    #[test]
    fn an_older_folder_and_what_a_newer_program_added_are_refused() {
        let engine: Arc<dyn LogEngine> = LossyLog::<Runtime>::new(LossyOptions::default());
        engine.put_node_record(FORMAT, Bytes::from_static(&[0, 0, 0, 1])).expect("writes");
        let refused = Identity::open(Arc::clone(&engine), [7; 32]).err().expect("must refuse");
        assert!(matches!(refused, Error::FormatVersion { found: 1, known: FORMAT_VERSION, .. }), "{refused}");
        engine.put_node_record(FORMAT, Bytes::from_static(&[0, 0, 0, 2])).expect("writes");
        let mut newer = init().encode_to_vec();
        newer.extend_from_slice(&[0x78, 1]);
        engine.put_node_record(INIT, newer.into()).expect("writes");
        let refused = Identity::open(engine, [7; 32]).err().expect("must refuse");
        assert!(refused.to_string().contains("fields that this program does not know"), "{refused}");
    }
}
