//! Hands over the groups that this node leads, for as long as it is asked to: before it stops, and on an operator's
//! wish.
//!
//! The node goes on following and voting. If an election makes it a leader, it hands that over too: somebody must lead
//! even if this node alone has the longest log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use rowhouse_raft::{Heir, Host};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::peers::Cluster;
use crate::{Error, Group, Runtime};

/// Transfers at once: each stops its group for some milliseconds, and gateways follow them one by one.
const TRANSFERS_AT_ONCE: usize = 2;
/// A transfer not finished within this will not: openraft never cancels one, so the group serves
/// nothing until an election (docs/rules/consensus.md#leaders-move-slowly).
const TRANSFER_MAX: Duration = Duration::from_millis(500);
/// How often it is looked for something to hand over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether the node drains, and what came of it. One for each node.
pub struct Drain {
    host: Arc<Host<Runtime>>,
    cluster: Arc<Cluster>,
    on: watch::Sender<bool>,
    handed_over: AtomicU64,
    failovers: AtomicU64,
}

impl Drain {
    /// Off.
    pub fn new(host: Arc<Host<Runtime>>, cluster: Arc<Cluster>) -> Self {
        let (on, _) = watch::channel(false);
        Self { host, cluster, on, handed_over: AtomicU64::new(0), failovers: AtomicU64::new(0) }
    }

    /// Starts or ends it; returns at once.
    pub fn set(&self, on: bool) {
        if self.on.send_replace(on) != on {
            info!(on, "draining");
        }
    }

    /// Whether the node drains now.
    pub fn is_on(&self) -> bool {
        *self.on.borrow()
    }

    /// Groups this node leads that others could, now or once they have caught up.
    pub fn led(&self) -> usize {
        self.to_give().len()
    }

    fn to_give(&self) -> Vec<Arc<Group>> {
        let takes = |group: &Group| group.other_voters().iter().any(|node| self.cluster.peers.may_lead(node));
        self.host.groups().into_iter().filter(|group| group.is_leader() && takes(group)).collect()
    }

    /// For whoever tells the others of it.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.on.subscribe()
    }

    /// Leaderships given away, and those an election had to settle.
    pub fn counts(&self) -> (u64, u64) {
        (self.handed_over.load(Ordering::Relaxed), self.failovers.load(Ordering::Relaxed))
    }

    /// Returns when nothing is left to hand over; the caller bounds it.
    pub async fn done(&self) {
        while self.led() > 0 {
            sleep(LOOK_EVERY / 2).await;
        }
    }

    /// The actor: hands over whatever is led while draining is on.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut on = self.on.subscribe();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                asked = on.wait_for(|on| *on) => drop(asked.map_err(|_| Error::Stopped)?),
            }
            futures::stream::iter(self.to_give())
                .for_each_concurrent(TRANSFERS_AT_ONCE, |group| async move { self.hand_over(&group).await })
                .await;
            sleep(LOOK_EVERY).await;
        }
    }

    #[tracing::instrument(name = "node.hand_over", parent = None, skip_all, fields(raft.group = group.id()))]
    async fn hand_over(&self, group: &Group) {
        let Some(heir) = self.heir(group) else {
            // Looked for again: a voter that was away comes back, or one that lags catches up.
            return debug!(group = group.id(), "nobody to hand over to");
        };
        if let Err(error) = group.transfer_leader(heir.replica).await {
            return warn!(group = group.id(), %error, "leadership not handed over");
        }
        let given = async {
            while group.is_leader() {
                group.leadership_changed().await;
            }
        };
        if timeout(TRANSFER_MAX, given).await.is_ok() {
            self.handed_over.fetch_add(1, Ordering::Relaxed);
            debug!(group = group.id(), to = heir.replica, "leadership handed over");
        } else {
            self.failovers.fetch_add(1, Ordering::Relaxed);
            warn!(group = group.id(), to = heir.replica, "a hand-over did not finish; the group will elect");
        }
    }

    fn heir(&self, group: &Group) -> Option<Heir> {
        group.heirs().into_iter().find(|heir| self.cluster.peers.may_lead(&heir.node))
    }
}
