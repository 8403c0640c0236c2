//! Who speaks: every batch names version, cluster and node, and is refused if one is wrong. With mutual TLS
//! the certificate must be that node's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use openraft::{AsyncRuntime, Instant};
use rowhouse_peer::{Caller, Dialer, Role};
use rowhouse_proto::WIRE_VERSION;
pub(super) use rowhouse_proto::hex;
use rowhouse_proto::wire::transport::v1::{self as wire, Frame, FrameBatch, SnapshotHeader};
use tonic::Status;

use super::{Directory, Peer};
use crate::lease::LeaseTerms;
use crate::lock::lock;
use crate::runtime::Production;
use crate::transport::{Lane, NodeUuid};

/// A refused peer dials again and again; say so this often.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Peers remembered as warned about; more are strangers at the door, and then all is forgotten.
const WARNED_MAX: usize = 256;

type Moment = <Production as AsyncRuntime>::Instant;

pub(super) struct Identity {
    node: NodeUuid,
    directory: Arc<dyn Directory>,
    dialer: Dialer,
    warned: Mutex<BTreeMap<String, Moment>>,
}

impl Identity {
    pub(super) fn new(node: NodeUuid, directory: Arc<dyn Directory>, dialer: Dialer) -> Self {
        Self { node, directory, dialer, warned: Mutex::default() }
    }

    pub(super) fn peer(&self, node: NodeUuid) -> Option<Peer> {
        self.directory.peer(node)
    }

    pub(super) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(super) fn batch(&self, lane: Lane, frames: Vec<Frame>) -> FrameBatch {
        let lane = match lane {
            Lane::Control => wire::Lane::Control,
            Lane::Log => wire::Lane::Log,
        };
        FrameBatch {
            version: WIRE_VERSION,
            cluster_id: self.cluster(),
            node_uuid: self.node(),
            lane: lane.into(),
            frames,
            lease_ms: 0,
            read_lease_ms: 0,
        }
    }

    /// The first batch of a direction.
    pub(super) fn hello(&self, lane: Lane, terms: LeaseTerms) -> FrameBatch {
        FrameBatch {
            lease_ms: terms.granted.as_millis() as u64,
            read_lease_ms: terms.read.as_millis() as u64,
            ..self.batch(lane, Vec::new())
        }
    }

    pub(super) fn sign(&self, header: &mut SnapshotHeader) {
        header.cluster_id = self.cluster();
        header.node_uuid = self.node();
    }

    /// Empty outside a cluster, which no peer accepts.
    fn cluster(&self) -> Bytes {
        self.directory.cluster_id().map(|id| Bytes::copy_from_slice(&id)).unwrap_or_default()
    }

    fn node(&self) -> Bytes {
        Bytes::copy_from_slice(&self.node)
    }

    pub(super) fn check_batch(&self, batch: &FrameBatch) -> Result<(NodeUuid, Lane), String> {
        let peer = self.check(batch.version, &batch.cluster_id, &batch.node_uuid)?;
        match wire::Lane::try_from(batch.lane) {
            Ok(wire::Lane::Control) => Ok((peer, Lane::Control)),
            Ok(wire::Lane::Log) => Ok((peer, Lane::Log)),
            _ => Err(format!("no lane has the number {}", batch.lane)),
        }
    }

    pub(super) fn check_header(&self, version: u32, header: &SnapshotHeader) -> Result<NodeUuid, String> {
        self.check(version, &header.cluster_id, &header.node_uuid)
    }

    fn check(&self, version: u32, cluster: &[u8], node: &[u8]) -> Result<NodeUuid, String> {
        if version != WIRE_VERSION {
            return Err(format!("wire version {version}, this node speaks {WIRE_VERSION}"));
        }
        let Some(own) = self.directory.cluster_id() else {
            return Err("this node belongs to no cluster yet".to_owned());
        };
        if cluster != own {
            return Err(format!("cluster {}, this node belongs to {}", hex(cluster), hex(&own)));
        }
        node.try_into().map_err(|_| "a node uuid is not 16 bytes".to_owned())
    }

    /// Whether the certificate a stream came with is the one of the node it speaks for.
    pub(super) fn check_caller(&self, caller: Option<&Caller>, node: NodeUuid) -> Result<(), Status> {
        if self.dialer.certificates().is_none() {
            return Ok(());
        }
        let Some(known) = self.directory.peer(node) else {
            return Err(Status::unavailable(format!("this node has not heard of node {} yet", hex(&node))));
        };
        let subject = caller.and_then(Caller::subject);
        if subject.is_some_and(|subject| subject.role() == Role::Node && subject.name() == known.name) {
            return Ok(());
        }
        let shown = subject.map_or_else(|| "nobody".to_owned(), ToString::to_string);
        let why = format!("the certificate is of {shown}, not of node {}", known.name);
        self.warn(&hex(&node), &why);
        Err(Status::permission_denied(why))
    }

    /// Logs a refusal, once per peer and `WARN_EVERY`.
    pub(super) fn warn(&self, peer: &str, why: &str) {
        let now = Moment::now();
        let mut warned = lock(&self.warned);
        if warned.get(peer).is_some_and(|last| now - *last < WARN_EVERY) {
            return;
        }
        if warned.len() >= WARNED_MAX {
            warned.clear();
        }
        warned.insert(peer.to_owned(), now);
        tracing::warn!(peer, why, "link refused");
    }
}

/// The sender's lease terms, as its first batch tells them.
pub(super) fn terms(hello: &FrameBatch) -> LeaseTerms {
    LeaseTerms::from_millis(hello.lease_ms, hello.read_lease_ms)
}
