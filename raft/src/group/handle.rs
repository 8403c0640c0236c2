//! One group on this node.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, InitializeError, RaftError};
use openraft::impls::OneshotResponder;
use openraft::{LogIdOptionExt, Raft};

use super::admission::Admission;
use super::check::Unchecked;
use super::leader::leader_node;
use super::read_barrier::ReadBarrier;
use super::status::GroupStatus;
use crate::config::RaftTiming;
use crate::error::{Error, ProposeError, ReadError};
use crate::log_store::LogHandle;
use crate::runtime::Runtime;
use crate::state::{Applied, GroupState, StateHandle, View};
use crate::{Envelope, GroupId, RaftTypes, Replica, ReplicaId};

/// openraft's handle with our types.
pub type RaftOf<R> = Raft<RaftTypes<R>, GroupState<R>>;

/// A running replica of a group.
pub struct Group<R: Runtime> {
    group: GroupId,
    replica: ReplicaId,
    raft: RaftOf<R>,
    state: StateHandle,
    log: LogHandle<R>,
    admission: Admission,
    barrier: ReadBarrier,
    pub(super) unchecked: Unchecked<R>,
    timing: RaftTiming,
}

impl<R: Runtime> Group<R> {
    pub(crate) fn new(
        group: GroupId,
        replica: ReplicaId,
        raft: RaftOf<R>,
        state: StateHandle,
        log: LogHandle<R>,
        timing: RaftTiming,
    ) -> Self {
        let barrier = ReadBarrier::new(timing.read_lease(), timing.propose_deadline());
        let (admission, unchecked) = (Admission::default(), Unchecked::default());
        Self { group, replica, raft, state, log, admission, barrier, unchecked, timing }
    }

    /// Its group.
    pub fn id(&self) -> GroupId {
        self.group
    }

    /// Its replica on this node.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// openraft itself, for the transport and for tests.
    pub fn raft(&self) -> &RaftOf<R> {
        &self.raft
    }

    pub(crate) fn log(&self) -> &LogHandle<R> {
        &self.log
    }

    pub(super) fn timing(&self) -> &RaftTiming {
        &self.timing
    }

    /// Makes `members` the group's first voters. Repeating it with the same set is harmless.
    pub async fn initialize(&self, members: BTreeMap<ReplicaId, Replica>) -> Result<(), Error> {
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Proposes a command under the present leadership and waits until it is applied here.
    ///
    /// `trace` is empty or the 25 bytes of a trace context; it travels beside the command.
    pub async fn propose(&self, command: Bytes, trace: Bytes) -> Result<Bytes, ProposeError> {
        self.write(Envelope::of_command(command, trace)).await
    }

    pub(super) async fn write(&self, envelope: Envelope) -> Result<Bytes, ProposeError> {
        if self.log.hangs() {
            return Err(ProposeError::NotLeader { leader_node: None });
        }
        let Some(_permit) = self.admission.try_claim(envelope.command.len()) else {
            return Err(ProposeError::Busy);
        };
        let leader = match self.raft.as_leader() {
            Ok(leader) => leader.to_committed_leader_id(),
            Err(forward) => return Err(ProposeError::NotLeader { leader_node: leader_node(&forward) }),
        };
        let (responder, outcome) = OneshotResponder::new_pair();
        let write = self.raft.write(envelope).with_leader(leader).responder(responder);
        let applied = async move {
            write.await.map_err(|fatal| ProposeError::Unknown(fatal.to_string()))?;
            outcome.await.map_err(|_| ProposeError::Unknown("the replica stopped".to_owned()))
        };
        match R::timeout(self.timing.propose_deadline(), applied).await {
            Ok(Ok(Ok(response))) => Ok(response.data.0),
            Ok(Ok(Err(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(ProposeError::NotLeader { leader_node: leader_node(&forward) })
            }
            Ok(Ok(Err(other))) => Err(ProposeError::Unknown(other.to_string())),
            Ok(Err(unknown)) => Err(unknown),
            Err(_) => Err(ProposeError::Unknown("not applied in time".to_owned())),
        }
    }

    /// Proposals of this replica that are not applied or given up yet.
    pub fn pending_proposals(&self) -> usize {
        self.admission.held()
    }

    /// Returns when a read of the applied state, begun now, is linearizable.
    pub async fn read_barrier(&self) -> Result<(), ReadError> {
        self.barrier.pass(&self.raft, &self.state, self.log.hangs()).await
    }

    /// Reads a consistent snapshot of the applied state; call `read_barrier` first.
    pub fn read<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        self.state.read(read)
    }

    /// Reads the applied state without a snapshot: for single keys; call `read_barrier` first.
    pub fn read_latest<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        self.state.read_latest(read)
    }

    /// How far this replica has applied its log.
    pub fn applied(&self) -> Applied {
        self.state.applied()
    }

    /// Index of the last entry applied here; 0: none.
    pub fn applied_index(&self) -> u64 {
        self.state.applied_index()
    }

    /// Whether entries are in this replica's log that it has not applied yet.
    pub fn has_unapplied(&self) -> bool {
        let last = self.raft.metrics().borrow_watched().last_log_index.unwrap_or(0);
        last > self.applied_index()
    }

    /// Index of the last entry whose effect a crash cannot take back; 0: none.
    pub fn durable_index(&self) -> u64 {
        self.state.durable_applied().map_or(0, |log_id| log_id.index)
    }

    /// Whether this replica leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.raft.is_leader()
    }

    /// This replica as an operator sees it now.
    pub fn status(&self) -> GroupStatus {
        let applied = self.state.applied();
        let mut metrics = self.raft.metrics();
        drop(metrics.borrow_and_update());
        // A core that panicked says nothing more: its end of the channel is gone.
        let ended = matches!(metrics.changed().now_or_never(), Some(Err(_)));
        let status = GroupStatus::new::<R>(self.group, &metrics.borrow_watched(), &applied, ended);
        match self.state.halted() {
            Some(error) => status.halted(&error),
            None => status,
        }
    }

    /// Why its state machine applies nothing more, if that is so.
    pub fn halted(&self) -> Option<Arc<Error>> {
        self.state.halted()
    }

    /// Returns when role, term or leader differ from what they were at the call, or the replica ended.
    pub async fn leadership_changed(&self) {
        let mut metrics = self.raft.server_metrics();
        let before = {
            let now = metrics.borrow_watched();
            (now.state, now.vote, now.current_leader)
        };
        loop {
            if metrics.changed().await.is_err() {
                return;
            }
            let now = metrics.borrow_watched();
            if (now.state, now.vote, now.current_leader) != before {
                return;
            }
        }
    }

    /// Whether this replica holds its leadership, if it has one. Without heartbeats another one is elected once the lease
    /// of this one has run out.
    pub(crate) fn hold_leadership(&self, holds: bool) {
        self.raft.runtime_config().heartbeat(holds);
    }

    /// Hands leadership to `to`; returns when asked, not when done. Until an election the group serves
    /// nothing, so choose a caught-up, answering voter.
    pub async fn transfer_leader(&self, to: ReplicaId) -> Result<(), Error> {
        let term = self.raft.metrics().borrow_watched().current_term;
        self.barrier.withhold_lease(term);
        self.raft.trigger().transfer_leader(to).await.map_err(|fatal| self.error(fatal))
    }

    /// Entries applied since openraft last took a snapshot's log id.
    pub(crate) fn entries_since_snapshot(&self) -> u64 {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let applied = metrics.last_applied.index().unwrap_or(0);
        applied.saturating_sub(metrics.snapshot.index().unwrap_or(0))
    }

    /// Lets openraft take a snapshot's log id as its new purge bound.
    pub async fn trigger_snapshot(&self) -> Result<(), Error> {
        self.raft.trigger().snapshot().await.map_err(|fatal| self.error(fatal))
    }

    /// Lets openraft purge the entries up to `upto` that its snapshot covers, once nobody reads them.
    pub(crate) async fn purge_log(&self, upto: u64) -> Result<(), Error> {
        self.raft.trigger().purge_log(upto).await.map_err(|fatal| self.error(fatal))
    }

    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(group = self.group, %error, "replica did not stop cleanly");
        }
    }

    fn error(&self, error: impl ToString) -> Error {
        Error::Raft { group: self.group, detail: error.to_string() }
    }
}
