//! Makes applied state durable and lets logs shrink behind it (consensus.md R2, R3).

use std::sync::Arc;
use std::time::Duration;

use rowhouse_raft::Host;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{Error, Runtime};

/// Flushes every `every` until stopped.
pub async fn run(host: Arc<Host<Runtime>>, every: Duration, stop: CancellationToken) -> Result<(), Error> {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, when there is nothing to flush yet.
    tick.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = tick.tick() => host.flush().await?,
        }
    }
}
