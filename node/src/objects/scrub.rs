//! Reads everything again at a bounded rate, so that what rots on a disk is found while another replica is
//! whole.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::fill::live;
use super::rate::Rate;
use super::{Damage, Objects, Progress};
use crate::{Error, Group};

const SCRUB_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;

/// Runs until stopped.
pub async fn scrub(objects: Arc<Objects>, stop: CancellationToken) -> Result<(), Error> {
    let rate = Rate::new(SCRUB_BYTES_PER_SECOND);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(objects.limits.scrub_interval) => {}
        }
        objects.progress.scrubbed.store(0, Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            read = objects.scrub_all(&rate) => read?,
        }
        objects.progress.scrub_ended_ms.store(objects.clock.physical_ms(), Ordering::Relaxed);
        info!(objects = objects.progress.scrubbed.load(Ordering::Relaxed), "everything was read");
    }
}

impl Objects {
    async fn scrub_all(&self, rate: &Rate) -> Result<(), Error> {
        for group in self.shards() {
            let mut after = None;
            loop {
                let page = self.held_page(&group, after).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.version);
                for held in page {
                    self.scrub_object(&group, held.version, rate).await?;
                }
            }
        }
        Ok(())
    }

    async fn scrub_object(&self, group: &Group, id: [u8; 16], rate: &Rate) -> Result<(), Error> {
        let Some(row) = live(group, &id)? else { return Ok(()) };
        if !self.is_whole(group, id, &row, rate).await? {
            self.progress.damaged(Damage { group: group.id(), object: id, index: None });
        }
        Progress::count(&self.progress.scrubbed);
        Ok(())
    }
}
