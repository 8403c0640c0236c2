//! The transport of one node: who is hosted here, and the way to everyone else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openraft::Raft;
use openraft::storage::RaftStateMachine;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};
use tokio::sync::Semaphore;

use super::bulk::{BulkReceiver, BulkSender};
use super::guard::VoteGuard;
use super::inbound::InboundLink;
use super::network::GroupNetworkFactory;
use super::pending::Pending;
use super::port::{Port, RaftPort};
use super::queue::FrameSender;
use super::wire::{Inbound, Inbox, Lane, LinkError, NodeUuid, Wire};
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
    /// Tells links apart in logs.
    links: AtomicU64,
}

/// What requests of this node share.
pub(super) struct Outgoing<R: Runtime> {
    pub(super) wire: Arc<dyn Wire>,
    pub(super) pending: Arc<Pending>,
    pub(super) bulk: BulkSender<R>,
    pub(super) terms: LeaseTerms,
}

impl<R: Runtime> Transport<R> {
    /// `staging` is a directory for snapshots being received; `timing` is that of every group of this node.
    pub fn new(wire: Arc<dyn Wire>, staging: PathBuf, timing: RaftTiming) -> Arc<Self> {
        let outgoing = Outgoing {
            wire: wire.clone(),
            pending: Arc::default(),
            bulk: BulkSender::new(),
            terms: timing.lease_terms(),
        };
        let transport = Arc::new(Self {
            outgoing: Arc::new(outgoing),
            hosted: Arc::default(),
            bulk: Arc::new(BulkReceiver::new(staging, timing.lease_terms())),
            timing,
            links: AtomicU64::new(0),
        });
        let inbox: Arc<dyn Inbox> = transport.clone();
        let inbox: Weak<dyn Inbox> = Arc::downgrade(&inbox);
        wire.attach(inbox);
        transport
    }

    pub fn timing(&self) -> &RaftTiming {
        &self.timing
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
        self.hosted.insert(
            group,
            replica,
            Seat { port, guard: Arc::new(guard), open: Arc::new(Semaphore::new(0)) },
        );
    }

    /// Lets nothing more in, and ends the replica's inbound streams.
    pub fn unregister(&self, group: GroupId, replica: ReplicaId) {
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

/// A replica that frames reach.
pub(super) struct Seat<R: Runtime> {
    pub(super) port: Arc<dyn Port<R>>,
    pub(super) guard: Arc<VoteGuard<R>>,
    /// Closed when the replica is unregistered: a signal that needs no runtime. It never has permits.
    pub(super) open: Arc<Semaphore>,
}

impl<R: Runtime> Clone for Seat<R> {
    fn clone(&self) -> Self {
        Self { port: self.port.clone(), guard: self.guard.clone(), open: self.open.clone() }
    }
}

/// The replicas of this node. Ids are never reused, so a frame for an old one finds nothing.
pub(super) struct Hosted<R: Runtime> {
    seats: Mutex<BTreeMap<(GroupId, ReplicaId), Seat<R>>>,
}

impl<R: Runtime> Default for Hosted<R> {
    fn default() -> Self {
        Self { seats: Mutex::default() }
    }
}

impl<R: Runtime> Hosted<R> {
    /// `None` for a replica that is not, or no longer, on this node.
    pub(super) fn find(&self, group: u32, replica: ReplicaId) -> Option<Seat<R>> {
        let group = GroupId::try_from(group).ok()?;
        self.seats().get(&(group, replica)).cloned()
    }

    fn insert(&self, group: GroupId, replica: ReplicaId, seat: Seat<R>) {
        if let Some(previous) = self.seats().insert((group, replica), seat) {
            previous.open.close();
        }
    }

    fn remove(&self, group: GroupId, replica: ReplicaId) {
        if let Some(seat) = self.seats().remove(&(group, replica)) {
            seat.open.close();
        }
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<(GroupId, ReplicaId), Seat<R>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
