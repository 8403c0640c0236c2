//! Makes this node's replicas complete: they hold every chunk of every live object, undamaged.
//!
//! A replica that is new or was away, or that an upload did not wait for, fetches chunks from another one. Damaged
//! chunks are mended in this way too. Several replicas are worked on at once, so that a large object of one does not
//! hold up the others; all of them share one rate.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, try_join};
use rowhouse_raft::{GroupId, ReplicaId};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::shared::Objects;
use crate::actor::Pace;
use crate::{Error, Group};

const TICK: Duration = Duration::from_millis(500);
/// Replicas worked on at once.
const REPLICAS_AT_ONCE: usize = 8;
/// Objects of one replica worked on at once: while one waits for its sync, another one's chunks travel. With the above
/// it bounds the chunks in memory, to a MiB each.
const OBJECTS_AT_ONCE: usize = 4;
/// A replica whose chunks cannot be read or written is left alone for this long.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// Runs until stopped.
pub async fn fill(objects: &Objects, stop: CancellationToken) -> Result<(), Error> {
    try_join!(objects.look_often(stop.clone()), objects.complete_often(stop))?;
    Ok(())
}

/// Who is worked on now.
#[derive(Default)]
struct Workshop {
    busy: BTreeSet<ReplicaId>,
    /// Nobody could help them: they wait for the next beat.
    waiting: BTreeSet<ReplicaId>,
    /// The last one taken in: the next ones come first, so that each has its turn.
    last: GroupId,
}

impl Workshop {
    /// The next of `groups` to work on, of those that `lacks` says something of.
    fn next(&mut self, groups: &[(GroupId, ReplicaId)], lacks: impl Fn(ReplicaId) -> bool) -> Option<usize> {
        if self.busy.len() >= REPLICAS_AT_ONCE {
            return None;
        }
        let is_due = |replica: &ReplicaId| {
            !self.busy.contains(replica) && !self.waiting.contains(replica) && lacks(*replica)
        };
        let due = groups.iter().enumerate().filter(|(_, (_, replica))| is_due(replica));
        let (at, (group, replica)) = due.min_by_key(|(_, (group, _))| (*group <= self.last, *group))?;
        self.last = *group;
        self.busy.insert(*replica);
        Some(at)
    }

    fn done(&mut self, replica: ReplicaId, progressed: bool) {
        self.busy.remove(&replica);
        if !progressed {
            self.waiting.insert(replica);
        }
    }
}

impl Objects {
    async fn complete_often(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut pace = Pace::new(TICK, stop);
        let (mut workshop, mut working) = (Workshop::default(), FuturesUnordered::new());
        loop {
            tokio::select! {
                goes_on = pace.goes_on() => {
                    if !goes_on {
                        return Ok(());
                    }
                    workshop.waiting.clear();
                }
                Some((replica, progressed)) = working.next() => workshop.done(replica, progressed),
            }
            // The rest of a disk that is low belongs to the log.
            if self.local.space.is_low() {
                continue;
            }
            let groups = self.shards();
            let replicas: Vec<_> = groups.iter().map(|group| (group.id(), group.replica())).collect();
            while let Some(at) = workshop.next(&replicas, |replica| self.inventory.lacks(replica)) {
                let group = Arc::clone(&groups[at]);
                working.push(async move { (group.replica(), self.complete(&group).await) });
            }
        }
    }

    /// Works once on all that the replica is known to lack; whether it lacks less now.
    async fn complete(&self, group: &Group) -> bool {
        match self.try_complete(group).await {
            Ok(progressed) => progressed,
            Err(error) => {
                error!(group = group.id(), %error, "a replica is not made complete");
                tokio::time::sleep(FAILURE_PAUSE).await;
                false
            }
        }
    }

    async fn try_complete(&self, group: &Group) -> Result<bool, Error> {
        let (replica, inventory) = (group.replica(), &self.inventory);
        let mut progressed = false;
        let flaws = stream::iter(inventory.damaged(replica))
            .map(|flaw| async move { Ok::<_, Error>((flaw, self.repair(group, flaw).await?)) });
        let mut flaws = flaws.buffer_unordered(OBJECTS_AT_ONCE);
        while let Some(repaired) = flaws.next().await {
            let (flaw, is_mended) = repaired?;
            if is_mended {
                inventory.mended(replica, &flaw);
                progressed = true;
            }
        }
        let missing = stream::iter(inventory.missing(replica))
            .map(|id| async move { Ok::<_, Error>((id, self.fill_object(group, id).await?)) });
        let mut missing = missing.buffer_unordered(OBJECTS_AT_ONCE);
        while let Some(filled) = missing.next().await {
            let (id, is_whole) = filled?;
            if is_whole {
                inventory.filled(replica, &id);
                progressed = true;
            }
        }
        Ok(progressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replica_has_its_turn_and_few_at_once() {
        let groups: Vec<(GroupId, ReplicaId)> = (0..20).map(|n| (n, u64::from(n) + 100)).collect();
        let mut workshop = Workshop::default();
        let mut taken = Vec::new();
        while let Some(at) = workshop.next(&groups, |replica| replica != 102) {
            taken.push(groups[at].0);
        }
        assert_eq!(taken, [1, 3, 4, 5, 6, 7, 8, 9], "not more at once, and only who lacks something");
        workshop.done(101, true);
        workshop.done(103, false);
        let next = |workshop: &mut Workshop| Some(groups[workshop.next(&groups, |_| true)?].0);
        assert_eq!([next(&mut workshop), next(&mut workshop)], [Some(10), Some(11)]);
        for replica in 104..=111 {
            workshop.done(replica, false);
        }
        let mut rest: Vec<_> = std::iter::from_fn(|| next(&mut workshop)).collect();
        assert_eq!(rest, [12, 13, 14, 15, 16, 17, 18, 19]);
        for replica in 112..=119 {
            workshop.done(replica, false);
        }
        rest = std::iter::from_fn(|| next(&mut workshop)).collect();
        assert_eq!(rest, [0, 1, 2], "the others wait for the next beat");
        workshop.waiting.clear();
        assert_eq!(next(&mut workshop), Some(3));
    }
}
