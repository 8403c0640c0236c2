//! Lets the logs of a node shrink behind what is durable, as `keep` plans it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftMetrics;
use openraft::{Instant, LogIdOptionExt};

use super::keep::{LogKeep, Standing, Written, plan};
use crate::group::Group;
use crate::lock::lock;
use crate::runtime::Runtime;
use crate::transport::Transport;
use crate::{GroupId, RaftTypes, ReplicaId};

/// A follower that is silent for less may only be slow.
const PRESENT_MIN: Duration = Duration::from_secs(5);

type Logs<I> = BTreeMap<(GroupId, ReplicaId), Written<I>>;

/// The pace of every log on a node.
pub(super) struct Shrinker<R: Runtime> {
    keep: LogKeep,
    written: Mutex<Logs<R::Instant>>,
}

impl<R: Runtime> Shrinker<R> {
    pub fn new(keep: LogKeep) -> Self {
        Self { keep, written: Mutex::default() }
    }

    /// To be called after a flush. openraft purges only what a snapshot covers that was taken before: what
    /// is durable now may go after the next flush.
    pub async fn shrink(&self, groups: &[Arc<Group<R>>], transport: &Transport<R>) {
        let standings = self.standings(groups, transport);
        for (group, shrink) in groups.iter().zip(plan(&standings, &self.keep)) {
            let Some(shrink) = shrink else { continue };
            if shrink.gives_up {
                tracing::warn!(
                    group = group.id(),
                    replica_bytes_max = self.keep.replica_bytes_max,
                    node_bytes_max = self.keep.node_bytes_max,
                    "a replica that is behind needs more log than is kept: it is sent another snapshot. If this \
                     repeats, raise storage.log_replica_bytes_max, storage.log_bytes_max or \
                     placement.bytes_per_second, or see why that replica is slow"
                );
            }
            // Not 0: something goes before it.
            if let Err(error) = group.purge_log(shrink.from - 1).await {
                // It ended; the logs of the others must shrink all the same.
                tracing::warn!(group = group.id(), %error, "its log does not shrink");
            }
        }
        for group in groups {
            if group.entries_since_snapshot() > self.keep.step_entries
                && let Err(error) = group.trigger_snapshot().await
            {
                tracing::warn!(group = group.id(), %error, "no snapshot was taken");
            }
        }
    }

    fn standings(&self, groups: &[Arc<Group<R>>], transport: &Transport<R>) -> Vec<Standing> {
        let now = <R::Instant as Instant>::now();
        let mut written = lock(&self.written);
        let names: BTreeSet<_> = groups.iter().map(|group| (group.id(), group.replica())).collect();
        written.retain(|name, _| names.contains(name));
        let standing = |group: &Arc<Group<R>>| {
            let name = (group.id(), group.replica());
            let metrics = group.raft().metrics();
            let metrics = metrics.borrow_watched();
            let applied = metrics.last_applied.next_index();
            Standing {
                begin: metrics.purged.next_index(),
                covered: metrics.snapshot.next_index(),
                applied,
                recent: written.entry(name).or_default().note(now, applied, self.keep.span),
                followers: lacking(&metrics, now, self.keep.span.max(PRESENT_MIN)),
                snapshot: transport.oldest_snapshot(group.id(), group.replica()),
                volume: group.log().volume(),
            }
        };
        groups.iter().map(standing).collect()
    }
}

/// The first entry that each follower lacks which answered within `present`; none unless this replica leads.
fn lacking<R: Runtime>(metrics: &RaftMetrics<RaftTypes<R>>, now: R::Instant, present: Duration) -> Vec<u64> {
    let (Some(replication), Some(heartbeat)) = (&metrics.replication, &metrics.heartbeat) else {
        return Vec::new();
    };
    let answers = |replica: &ReplicaId| {
        let acked = heartbeat.get(replica).copied().flatten();
        acked.is_some_and(|acked| acked.into_inner() + present > now)
    };
    let others = replication.iter().filter(|(replica, _)| **replica != metrics.id && answers(replica));
    others.map(|(_, matched)| matched.next_index()).collect()
}
