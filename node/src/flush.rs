//! Makes applied state durable and lets logs shrink behind it (docs/rules/storage.md#durable-by-flush).

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::actor::Pace;
use crate::local::Local;

/// Replayed after a crash at most, however fast it was written.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How often it is looked whether a flush is due.
const TICK: Duration = Duration::from_secs(1);

/// Flushes every `every`, or when the log grew by `LOG_BYTES_MAX`, until stopped.
pub async fn run(local: &Local, every: Duration, stop: CancellationToken) -> Result<(), Error> {
    let written = || local.engine.metrics().bytes.load(Ordering::Relaxed);
    let mut pace = Pace::new(TICK.min(every), stop);
    let (mut flushed_at, mut flushed_bytes) = (Instant::now(), written());
    while pace.goes_on().await {
        let bytes = written();
        let idle = bytes == flushed_bytes;
        if (!idle && flushed_at.elapsed() >= every) || bytes - flushed_bytes >= LOG_BYTES_MAX {
            local.host.flush().await?;
            (flushed_at, flushed_bytes) = (Instant::now(), bytes);
        }
    }
    Ok(())
}
