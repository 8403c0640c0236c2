//! Removes chunks that no row knows. Some come from uploads whose object was never begun, others from objects that were
//! forgotten while this replica was away. A crash of the store that undid a delete leaves some too.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::progress::Progress;
use super::shared::{Objects, millis};
use crate::actor::Pace;
use crate::state::objects::object;
use crate::{Error, Group, read};

const TICK_MIN: Duration = Duration::from_secs(1);
const TICK_MAX: Duration = Duration::from_secs(3600);

/// Runs until stopped.
pub async fn sweep(objects: &Objects, stop: CancellationToken) -> Result<(), Error> {
    let mut pace = Pace::new((objects.limits.orphan_age_s / 4).clamp(TICK_MIN, TICK_MAX), stop);
    while pace.goes_on().await {
        for group in objects.shards() {
            objects.sweep_group(&group).await?;
        }
    }
    Ok(())
}

impl Objects {
    /// By the shard's applied clock: a replica that lags behind the log may hold chunks of objects whose
    /// rows it has yet to see. And by this node's, which may have been corrected since the shard heard of time.
    async fn sweep_group(&self, group: &Group) -> Result<(), Error> {
        let orphan_ms = millis(self.limits.orphan_age_s);
        let Some(physical_ms) = self.local.clock.judged_ms() else { return Ok(()) };
        let now_ms = group.read_latest(read::clock)?.now_ms.min(physical_ms);
        let Some(before_ms) = now_ms.checked_sub(orphan_ms) else { return Ok(()) };
        let mut after = None;
        loop {
            let page = self.held_page(group, after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.version);
            for held in page {
                let known = group.read_latest(|view| object(view, &held.version))?.is_some();
                if !known && held.written_at_ms < before_ms {
                    info!(
                        group = group.id(),
                        chunks = held.chunks,
                        "sweeping chunks that no entry refers to"
                    );
                    self.blobs.delete_version(group.replica(), held.version).await?;
                    Progress::count(&self.progress.swept);
                }
            }
        }
    }
}
