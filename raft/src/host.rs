//! Starts, stops and reports the many groups of one node.

mod excluded;
mod granted;
mod keep;
mod shrink;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::{StreamExt, stream};
use openraft::Raft;

use self::excluded::Excluded;
use self::granted::Granted;
pub use self::keep::LogKeep;
use self::shrink::Shrinker;
use self::turns::Turns;
use crate::error::Error;
use crate::group::{CheckPace, Group};
use crate::log_store::{LogEngine, LogStore, ReplicaPhase, ReplicaRecord, TailBudget, make_sole_voter};
use crate::machine::Machine;
use crate::planted;
use crate::runtime::Runtime;
use crate::state::{GroupState, StateStore};
use crate::transport::{SnapshotMetrics, Transport, VoteGuard};
use crate::{GroupId, Replica, ReplicaId};

/// A group without a quorum holds its own check up, for as long as a proposal may take; others go on beside it.
const CHECKS_AT_ONCE: usize = 64;

/// A group to run on this node.
#[derive(Clone)]
pub struct GroupSpec {
    /// The group, one replica of which runs here.
    pub group: GroupId,
    /// Its replica on this node.
    pub replica: ReplicaId,
    /// Applies the group's commands.
    pub machine: Arc<dyn Machine>,
}

/// Everything that the groups of a node share.
pub struct HostOptions<R: Runtime> {
    /// The node's log.
    pub log: Arc<dyn LogEngine>,
    /// The node's state store.
    pub state: Arc<StateStore>,
    /// The way to other nodes.
    pub transport: Arc<Transport<R>>,
    /// Memory for the tails of the logs.
    pub tail: Arc<TailBudget>,
    /// How much log is kept.
    pub keep: LogKeep,
}

type Groups<R> = BTreeMap<GroupId, Arc<Group<R>>>;

/// The groups of one node. Lookups take no lock.
pub struct Host<R: Runtime> {
    options: HostOptions<R>,
    granted: Granted,
    excluded: Excluded,
    groups: ArcSwap<Groups<R>>,
    turns: Turns,
    shrinker: Shrinker<R>,
}

impl<R: Runtime> Host<R> {
    /// A host that runs no group yet.
    pub fn new(options: HostOptions<R>) -> Arc<Self> {
        let granted = Granted::new(&options.log, options.transport.timing().lease());
        let excluded = Excluded::new(&options.log);
        let shrinker = Shrinker::new(options.keep);
        let (groups, turns) = (ArcSwap::default(), Turns::default());
        Arc::new(Self { options, granted, excluded, groups, turns, shrinker })
    }

    /// The group, if a replica of it runs here.
    pub fn group(&self, group: GroupId) -> Option<Arc<Group<R>>> {
        self.groups.load().get(&group).cloned()
    }

    /// Totals of snapshots, of all groups of this node.
    pub fn snapshots(&self) -> &SnapshotMetrics {
        self.options.transport.snapshots()
    }

    /// Every group that runs here.
    pub fn groups(&self) -> Vec<Arc<Group<R>>> {
        self.groups.load().values().cloned().collect()
    }

    /// Starts a replica. Repeating it for a running one returns that one; after `shutdown` nothing starts.
    pub async fn start(&self, spec: GroupSpec) -> Result<Arc<Group<R>>, Error> {
        let _turn = self.turns.of(spec.group).await;
        if self.turns.is_closed() {
            return Err(Error::Stopped);
        }
        if let Some(running) = self.group(spec.group) {
            return if running.replica() == spec.replica {
                Ok(running)
            } else {
                Err(Error::Raft {
                    group: spec.group,
                    detail: format!("replica {} runs, {} was asked for", running.replica(), spec.replica),
                })
            };
        }
        let group = self.open(&spec).await?;
        self.groups.rcu(|groups| {
            let mut groups = Groups::clone(groups);
            groups.insert(spec.group, group.clone());
            groups
        });
        Ok(group)
    }

    async fn open(&self, spec: &GroupSpec) -> Result<Arc<Group<R>>, Error> {
        let GroupSpec { group, replica, machine } = spec.clone();
        self.claim(group, replica).await?;
        let options = &self.options;
        options.transport.exclude(&self.excluded.all()?);
        let log = LogStore::<R>::open(options.log.clone(), replica, options.tail.clone()).await?;
        let timing = *options.transport.timing();
        let guard = VoteGuard::after_restart(&log, self.granted.longest::<R>().await?);
        let log_handle = log.handle();
        let state = GroupState::open(options.state.clone(), group, machine, log_handle.clone()).await?;
        let handle = state.handle();
        let network = options.transport.network(group, replica);
        let raft = Raft::build(replica, timing.openraft()?, network, log, state).await.map_err(|fatal| {
            // What is committed is applied again before it starts, and may halt it again.
            let halted = handle.halted().map(Error::Halted);
            halted.unwrap_or_else(|| Error::Raft { group, detail: fatal.to_string() })
        })?;
        if let Some(wait) = guard.remaining() {
            raft.runtime_config().elect(false);
            let raft = raft.clone();
            drop(R::spawn(async move {
                R::sleep(wait).await;
                raft.runtime_config().elect(true);
            }));
        }
        options.transport.register(group, replica, raft.clone(), guard);
        raft.run();
        Ok(Arc::new(Group::new(group, replica, raft, handle, log_handle, timing)))
    }

    /// Records that the replica lives here; a tombstone never comes back.
    async fn claim(&self, group: GroupId, replica: ReplicaId) -> Result<(), Error> {
        let engine = &self.options.log;
        match ReplicaRecord::read(engine.as_ref(), replica)? {
            Some(record) if record.phase == ReplicaPhase::Tombstone => Err(Error::Tombstone(replica)),
            Some(record) if record.group != group => Err(Error::Raft {
                group,
                detail: format!("replica {replica} belongs to group {}", record.group),
            }),
            Some(record) if record.phase == ReplicaPhase::Live => Ok(()),
            _ => {
                // A crash may have come between an earlier replica's tombstone and the end of its state.
                self.forget_state(group).await?;
                ReplicaRecord { group, phase: ReplicaPhase::Live }.write(engine.as_ref(), replica).await
            }
        }
    }

    /// The replicas that live on this node, whether they run or not.
    pub fn held(&self) -> Result<Vec<(GroupId, ReplicaId)>, Error> {
        let known = ReplicaRecord::all(self.options.log.as_ref())?;
        let live = known.into_iter().filter(|(_, record)| record.phase != ReplicaPhase::Tombstone);
        Ok(live.map(|(replica, record)| (record.group, replica)).collect())
    }

    /// Ends a replica that its group has removed. Its tombstone is durable before anything of it goes, so that it never
    /// starts again, whatever happens here. Repeating it is harmless.
    pub async fn destroy(&self, group: GroupId, replica: ReplicaId) -> Result<(), Error> {
        if self.group(group).is_some_and(|running| running.replica() == replica) {
            self.stop(group).await;
        }
        if planted::forget_tombstones() {
            return Ok(());
        }
        let record = ReplicaRecord { group, phase: ReplicaPhase::Tombstone };
        record.write(self.options.log.as_ref(), replica).await?;
        self.forget_state(group).await
    }

    /// Cuts the other members of a group off for good and makes the replica here its only voter. **What the others
    /// acknowledged and this replica never received is lost.** The replica is stopped; started again, it leads.
    pub async fn make_sole_voter(&self, group: Arc<Group<R>>, at: Replica) -> Result<(), Error> {
        let members = group.members();
        let (number, replica) = (group.id(), group.replica());
        let mut others = members.all_voters();
        others.extend(members.learners);
        others.remove(&replica);
        self.options.transport.exclude(&self.excluded.add::<R>(&others).await?);
        self.stop(number).await;
        make_sole_voter(self.options.log.as_ref(), replica, at).await
    }

    /// Drops the state of a group of which no replica lives here.
    async fn forget_state(&self, group: GroupId) -> Result<(), Error> {
        if self.held()?.iter().any(|(held, _)| *held == group) {
            return Ok(());
        }
        let state = self.options.state.clone();
        R::blocking(move || state.destroy(group)).await
    }

    /// Stops a replica; its data stays.
    pub async fn stop(&self, group: GroupId) {
        let _turn = self.turns.of(group).await;
        let Some(running) = self.group(group) else { return };
        self.groups.rcu(|groups| {
            let mut groups = Groups::clone(groups);
            groups.remove(&group);
            groups
        });
        self.options.transport.unregister(group, running.replica());
        running.shutdown().await;
    }

    /// Makes every group's applied state durable and lets the logs shrink behind it
    /// (docs/rules/storage.md#durable-by-flush), as far as nobody needs them
    /// (docs/rules/storage.md#log-is-kept-for-those-behind).
    pub async fn flush(&self) -> Result<(), Error> {
        let state = self.options.state.clone();
        R::blocking(move || state.flush_all()).await?;
        self.shrinker.shrink(&self.groups(), &self.options.transport).await;
        Ok(())
    }

    /// Tells whether the disk of the log hangs, as somebody with a clock judges it. While it does, the groups led from here
    /// take no proposals and send no heartbeats, so that others lead them (docs/rules/storage.md#a-disk-that-hangs).
    /// To be repeated while it hangs: replicas start meanwhile.
    pub fn judge_log(&self, hangs: bool) {
        self.options.log.progress().judge(hangs);
        self.groups().iter().for_each(|group| group.hold_leadership(!hangs));
    }

    /// Has the groups led from here compare their replicas, where that is due. To be called every second or so.
    pub async fn check_states(&self, pace: &CheckPace) {
        let led = self.groups().into_iter().filter(|group| group.is_leader());
        let checks = stream::iter(led).for_each_concurrent(CHECKS_AT_ONCE, |group| async move {
            if let Err(error) = group.check_state(pace).await {
                tracing::debug!(group = group.id(), %error, "replicas not compared yet");
            }
        });
        checks.await;
    }

    /// Stops every replica, those being started too, and flushes. No replica starts after this.
    pub async fn shutdown(&self) -> Result<(), Error> {
        for group in self.turns.close() {
            self.stop(group).await;
        }
        let state = self.options.state.clone();
        R::blocking(move || state.flush_all()).await
    }
}
