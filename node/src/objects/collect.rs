//! The leader proposes that due objects move on to their next state. Followers see the same rows and wait for the
//! entry.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::wire::command::{CollectObjects, Command, command::Body};
use rowhouse_proto::wire::state::object::State;
use rowhouse_raft::ProposeError;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::shared::{Objects, millis};
use crate::actor::Pace;
use crate::clock::Stamp;
use crate::proposal::propose;
use crate::state::log_time::{self, AGE_GAP_MS_MAX};
use crate::state::objects::{Place, in_state};
use crate::state::records;
use crate::{Error, Group};

/// Due rows wait no longer than a tenth of the grace, and it is looked at most so often.
const TICK_MIN: Duration = Duration::from_millis(200);
const TICK_MAX: Duration = Duration::from_secs(5);
/// While a row waits for its time, the shard hears of time at least so often: it would take longer gaps for sleep.
const AGE_EVERY_MS: u64 = AGE_GAP_MS_MAX / 6;
/// Commands in one look at a shard: 16,384 objects of each kind. The rest waits for the next look.
const COLLECTIONS_MAX: usize = 64;

/// Runs until stopped.
pub async fn collect(objects: &Objects, stop: CancellationToken) -> Result<(), Error> {
    let limits = objects.limits;
    let shortest = limits.garbage_grace_s.min(limits.upload_expiry_s);
    let mut pace = Pace::new((shortest / 10).clamp(TICK_MIN, TICK_MAX), stop);
    while pace.goes_on().await {
        for group in objects.shards() {
            for _ in 0..COLLECTIONS_MAX {
                if !group.is_leader() || !objects.is_due(&group)? {
                    break;
                }
                objects.propose_collection(&group).await?;
            }
        }
    }
    Ok(())
}

impl Objects {
    /// True also once in half an orphan's age, with nothing due. Sweeps count by the shard's clock, and nothing else
    /// moves that of a shard without writes.
    fn is_due(&self, group: &Group) -> Result<bool, Error> {
        // Nothing is proposed before the time is known.
        let Some(physical_ms) = self.local.clock.judged_ms() else { return Ok(false) };
        let (grace_ms, orphan_ms) = (millis(self.limits.garbage_grace_s), millis(self.limits.orphan_age_s));
        let due = group.read_latest(|view| {
            let mut shard = records::shard(view)?;
            let shard_ms = shard.now_ms;
            log_time::advance(&mut shard, physical_ms);
            let before_ms = shard.age_ms.checked_sub(grace_ms);
            let mut waiting = false;
            for (state, due_ms) in
                [(State::Dead, before_ms), (State::Garbage, before_ms), (State::Staged, Some(shard.age_ms))]
            {
                let first = in_state(view, state, Place::first_at(0), u64::MAX - 1, 1)?;
                let Some(first) = first.first() else { continue };
                if due_ms.is_some_and(|due_ms| first.at <= due_ms) {
                    return Ok(true);
                }
                waiting = true;
            }
            let behind_ms = shard.now_ms.abs_diff(shard_ms);
            Ok(waiting && behind_ms >= AGE_EVERY_MS
                || shard_ms != 0 && shard_ms.saturating_add(orphan_ms / 2) < physical_ms)
        });
        due.map_err(|error: rowhouse_raft::Error| error.into())
    }

    async fn propose_collection(&self, group: &Group) -> Result<(), Error> {
        let Stamp { hlc_us, now_ms } = self.local.clock.stamp()?;
        let command = Command {
            version: self.cluster.view.command_version(),
            hlc_us,
            now_ms,
            body: Some(Body::CollectObjects(CollectObjects {
                grace_ms: millis(self.limits.garbage_grace_s),
            })),
            ..Command::default()
        };
        match propose(group, command.encode_to_vec().into(), Bytes::new()).await {
            Ok(_) => {}
            // Another leader collects, or this one at the next look.
            Err(ProposeError::NotLeader { .. } | ProposeError::Busy) => {}
            Err(error) => debug!(group = group.id(), %error, "objects not collected yet"),
        }
        Ok(())
    }
}
