//! Reads every chunk again at a bounded rate, so that decay on a disk is found while another replica is whole.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rowhouse_raft::ReplicaId;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::inventory::Damage;
use super::progress::Progress;
use super::rate::Rate;
use super::shared::{Objects, live, millis};
use super::verify::Verdict;
use crate::blobs::{ScrubMark, VersionId};
use crate::{Error, Group};

const SCRUB_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;
/// A replica that has not come up by then is left out this time.
const REPLICA_WAIT: Duration = Duration::from_secs(300);
const REPLICA_POLL: Duration = Duration::from_secs(1);
const LAST_VERSION: VersionId = [0xff; 16];

/// Runs until stopped. Goes on where it was when the node stopped, and is due when it was.
pub async fn scrub(objects: &Objects, stop: CancellationToken) -> Result<(), Error> {
    let rate = Rate::new(SCRUB_BYTES_PER_SECOND);
    loop {
        let mark = objects.scrub_mark()?;
        objects.progress.scrub_ended_ms.store(mark.ended_ms, Ordering::Relaxed);
        let wait = match mark.cursor {
            Some(_) => Duration::ZERO,
            None => Duration::from_millis(mark.due_ms.saturating_sub(objects.local.clock.physical_ms())),
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(wait) => {}
        }
        objects.progress.scrubbed.store(0, Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            read = objects.scrub_all(mark, &rate) => read?,
        }
        let ended_ms = objects.local.clock.physical_ms();
        let due_ms = ended_ms.saturating_add(millis(objects.limits.scrub_interval_s));
        objects.blobs.set_scrub_mark(&ScrubMark { ended_ms, due_ms, cursor: None })?;
        info!(objects = objects.progress.scrubbed.load(Ordering::Relaxed), "everything was read");
    }
}

impl Objects {
    /// Due an interval after the store was first opened, and never later than an interval from now, should
    /// that have become shorter.
    fn scrub_mark(&self) -> Result<ScrubMark, Error> {
        let mut mark = self.blobs.scrub_mark()?;
        let latest_ms = self.local.clock.physical_ms().saturating_add(millis(self.limits.scrub_interval_s));
        if mark.due_ms == 0 || mark.due_ms > latest_ms {
            mark.due_ms = latest_ms;
            self.blobs.set_scrub_mark(&mark)?;
        }
        Ok(mark)
    }

    /// Goes in the order of the store's index. At a start replicas come up one by one, and those that are not there yet
    /// must not be passed over.
    async fn scrub_all(&self, mut mark: ScrubMark, rate: &Rate) -> Result<(), Error> {
        while let Some((replica, version)) = self.blobs.next_version(mark.cursor)? {
            match self.group_of(replica).await? {
                Some(group) => {
                    // What cannot be read now must not keep the rest from being read.
                    if let Err(error) = self.scrub_object(&group, version, rate).await {
                        warn!(group = group.id(), %error, "an object is not read");
                    }
                    mark.cursor = Some((replica, version));
                }
                None => {
                    warn!(replica, "chunks of a replica that does not run here are not read");
                    mark.cursor = Some((replica, LAST_VERSION));
                }
            }
            self.blobs.set_scrub_mark(&mark)?;
        }
        Ok(())
    }

    async fn group_of(&self, replica: ReplicaId) -> Result<Option<Arc<Group>>, Error> {
        if self.is_dead(replica)? {
            return Ok(None);
        }
        let running = || self.shards().into_iter().find(|group| group.replica() == replica);
        let waiting = async {
            loop {
                match running() {
                    Some(group) => return group,
                    None => sleep(REPLICA_POLL).await,
                }
            }
        };
        Ok(timeout(REPLICA_WAIT, waiting).await.ok())
    }

    async fn scrub_object(&self, group: &Group, id: [u8; 16], rate: &Rate) -> Result<(), Error> {
        let Some(row) = live(group, &id)? else { return Ok(()) };
        if let Verdict::Wrong = self.verify(group, id, &row, Some(rate)).await? {
            self.damaged(Damage { replica: group.replica(), object: id, index: None });
        }
        Progress::count(&self.progress.scrubbed);
        Ok(())
    }
}
