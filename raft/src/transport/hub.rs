//! The transport of one node: who is hosted here, and the way to everyone else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openraft::Raft;
use openraft::storage::RaftStateMachine;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};

use super::incoming::guard::VoteGuard;
use super::incoming::hosted::{Hosted, Seat};
use super::incoming::link::InboundLink;
use super::incoming::port::{Port, RaftPort};
use super::incoming::snapshot::BulkReceiver;
use super::metrics::SnapshotMetrics;
use super::outgoing::network::GroupNetworkFactory;
use super::outgoing::shared::Outgoing;
use super::wire::bulk::BulkOptions;
use super::wire::contract::{Inbound, Inbox, Wire};
use super::wire::lane::{Lane, LinkError, NodeUuid};
use super::wire::queue::FrameSender;
use crate::config::RaftTiming;
use crate::lease::LeaseTerms;
use crate::runtime::Runtime;
use crate::state::SnapshotData;
use crate::{GroupId, RaftTypes, ReplicaId};

/// Raft's way in and out of this node, for all its groups.
pub struct Transport<R: Runtime> {
    outgoing: Arc<Outgoing<R>>,
    hosted: Arc<Hosted<R>>,
    bulk: Arc<BulkReceiver>,
    timing: RaftTiming,
    snapshots: Arc<SnapshotMetrics>,
    /// Tells links apart in logs.
    links: AtomicU64,
}

impl<R: Runtime> Transport<R> {
    /// `bulk` tells how snapshots travel, or only the folder for those on their way in; `timing` is that of every group
    /// of this node.
    pub fn new(wire: Arc<dyn Wire>, bulk: impl Into<BulkOptions>, timing: RaftTiming) -> Arc<Self> {
        let bulk = bulk.into();
        let snapshots = Arc::<SnapshotMetrics>::default();
        let transport = Arc::new(Self {
            outgoing: Arc::new(Outgoing::new(wire.clone(), &bulk, timing.lease_terms(), snapshots.clone())),
            hosted: Arc::default(),
            bulk: Arc::new(BulkReceiver::new(bulk, timing.lease_terms(), snapshots.clone())),
            timing,
            snapshots,
            links: AtomicU64::new(0),
        });
        let inbox: Arc<dyn Inbox> = transport.clone();
        let inbox: Weak<dyn Inbox> = Arc::downgrade(&inbox);
        wire.attach(inbox);
        transport
    }

    /// The timing of every group of this node.
    pub fn timing(&self) -> &RaftTiming {
        &self.timing
    }

    /// Totals of snapshots, of all groups of this node.
    pub fn snapshots(&self) -> &SnapshotMetrics {
        &self.snapshots
    }

    /// The way out for one replica of this node.
    pub fn network(&self, group: GroupId, from: ReplicaId) -> GroupNetworkFactory<R> {
        GroupNetworkFactory::new(self.outgoing.clone(), group, from)
    }

    /// Lets frames in to a replica of this node.
    pub fn register<S>(
        &self,
        group: GroupId,
        replica: ReplicaId,
        raft: Raft<RaftTypes<R>, S>,
        guard: VoteGuard<R>,
    ) where
        S: RaftStateMachine<RaftTypes<R>, SnapshotData = SnapshotData>,
    {
        self.host(group, replica, RaftPort::share(raft), guard);
    }

    pub(super) fn host(
        &self,
        group: GroupId,
        replica: ReplicaId,
        port: Arc<dyn Port<R>>,
        guard: VoteGuard<R>,
    ) {
        self.hosted.insert(group, replica, Seat::new(port, guard));
    }

    /// Lets nothing in any more that comes from these replicas.
    pub fn exclude(&self, replicas: &BTreeSet<ReplicaId>) {
        self.hosted.exclude(replicas);
    }

    /// Index of the first entry behind the oldest snapshot that leaves a replica of this node, or left it before the
    /// last call.
    pub(crate) fn oldest_snapshot(&self, group: GroupId, from: ReplicaId) -> Option<u64> {
        self.outgoing.holds.oldest(group, from)
    }

    /// Lets nothing more in, and ends the replica's inbound streams.
    pub fn unregister(&self, group: GroupId, replica: ReplicaId) {
        self.outgoing.holds.forget(group, replica);
        self.hosted.remove(group, replica);
    }
}

impl<R: Runtime> Inbox for Transport<R> {
    fn reply(&self, from: NodeUuid, frame: Frame) {
        self.outgoing.pending.reply(from, frame);
    }

    fn link_lost(&self, peer: NodeUuid, lane: Lane) {
        self.outgoing.pending.link_lost(peer, lane);
    }

    fn lease_terms(&self) -> LeaseTerms {
        self.timing.lease_terms()
    }

    fn accept(
        &self,
        peer: NodeUuid,
        lane: Lane,
        terms: LeaseTerms,
        replies: FrameSender,
    ) -> Result<Box<dyn Inbound>, LinkError> {
        self.lease_terms().suits(terms).map_err(LinkError::Refused)?;
        let link = self.links.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(InboundLink::new(self.hosted.clone(), link, peer, lane, replies)))
    }

    fn snapshot(
        &self,
        peer: NodeUuid,
        chunks: BoxStream<'static, Result<SnapshotChunk, LinkError>>,
    ) -> BoxFuture<'static, SnapshotReply> {
        let (bulk, hosted) = (self.bulk.clone(), self.hosted.clone());
        async move { bulk.receive(hosted, peer, chunks).await }.boxed()
    }
}
