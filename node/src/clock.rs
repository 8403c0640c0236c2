//! The node's hybrid logical clock (consensus.md §6): physical time that no step of the wall clock moves,
//! and above it a counter that never falls, not even over a crash.
//!
//! Order and event ids come from `now`; windows and expiries from `physical_ms`, never from the HLC.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rowhouse_raft::log_store::LogEngine;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::actor::Pace;

const RESERVATION: &str = "hlc_reserved_until";
/// Lost at a crash at most; long enough that one synced write serves many thousand events.
const AHEAD_US: u64 = 10_000_000;
/// The reservation is extended when less than this is left.
const EXTEND_BELOW_US: u64 = AHEAD_US / 2;
/// 500 ppm: the fastest a clock may be slewed and still measure durations well.
const SLEW_US_PER_SECOND: i64 = 500;
/// How far physical time may be above that of most nodes: more is a clock that runs away.
const ABOVE_OTHERS_MAX_US: i64 = 500_000;
/// How often the reservation and the slew are looked after.
const TICK: Duration = Duration::from_secs(1);

/// Reads of physical time in µs since the Unix epoch.
#[derive(Clone, Copy)]
pub struct TimeSource {
    /// Driven by the monotonic clock.
    pub steady_us: fn() -> u64,
    /// The wall clock, which may step.
    pub wall_us: fn() -> u64,
}

impl TimeSource {
    pub fn system() -> Self {
        Self { steady_us: <crate::Runtime as rowhouse_raft::runtime::Runtime>::wall_us, wall_us: system_us }
    }
}

fn system_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

pub struct Clock {
    engine: Arc<dyn LogEngine>,
    time: TimeSource,
    /// Added to the steady clock.
    slew_us: AtomicI64,
    /// What is added to the steady clock is never more, whatever our own reading.
    offset_max_us: AtomicI64,
    last: AtomicU64,
    /// Every value handed out lies below it; durable.
    reserved: AtomicU64,
    extending: Mutex<()>,
}

impl Clock {
    /// Goes on from max(reservation, physical time). Blocks on the disk.
    pub fn open(engine: Arc<dyn LogEngine>, time: TimeSource) -> Result<Self, Error> {
        let reserved = match engine.node_record(RESERVATION)? {
            Some(bytes) => u64::from_be_bytes(
                bytes[..].try_into().map_err(|_| Error::DamagedRecord { key: RESERVATION })?,
            ),
            None => 0,
        };
        let start = reserved.max((time.steady_us)());
        let clock = Self {
            engine,
            time,
            slew_us: AtomicI64::new(0),
            offset_max_us: AtomicI64::new(i64::MAX),
            last: AtomicU64::new(start),
            reserved: AtomicU64::new(reserved),
            extending: Mutex::new(()),
        };
        clock.extend(start)?;
        Ok(clock)
    }

    /// Physical time that others would agree to.
    pub fn physical_us(&self) -> u64 {
        let slew = self.slew_us.load(Ordering::Relaxed);
        let offset = slew.min(self.offset_max_us.load(Ordering::Relaxed));
        (self.time.steady_us)().saturating_add_signed(offset)
    }

    /// Physical time as this node alone knows it: what it tells others.
    pub fn reading_us(&self) -> u64 {
        (self.time.steady_us)().saturating_add_signed(self.slew_us.load(Ordering::Relaxed))
    }

    /// How far a reading that has just arrived is above the steady clock; 0 is none.
    pub fn offset_of(&self, reading_us: u64) -> Option<i64> {
        (reading_us != 0)
            .then(|| reading_us.cast_signed().saturating_sub((self.time.steady_us)().cast_signed()))
    }

    /// Holds physical time at the median of all readings, our own among them, and a little above
    /// (consensus.md §6 (d)). Of an even number it is the upper one: of two nobody knows which is wrong.
    pub fn judge(&self, mut offsets_us: Vec<i64>) {
        let own = self.slew_us.load(Ordering::Relaxed);
        offsets_us.push(own);
        offsets_us.sort_unstable();
        let max = offsets_us[offsets_us.len() / 2].saturating_add(ABOVE_OTHERS_MAX_US);
        let before = self.offset_max_us.swap(max, Ordering::Relaxed);
        if own > max && own <= before {
            tracing::error!(
                above_us = own - max,
                "this node's clock is ahead of most others; it is held back"
            );
        }
    }

    pub fn physical_ms(&self) -> u64 {
        self.physical_us() / 1000
    }

    /// Strictly above everything handed out or merged before, on this node, over restarts too.
    pub fn now(&self) -> Result<u64, Error> {
        let physical = self.physical_us();
        let next = |last: u64| physical.max(last + 1);
        let before = match self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)))
        {
            Ok(before) | Err(before) => before,
        };
        let now = next(before);
        if now >= self.reserved.load(Ordering::SeqCst) {
            self.extend(now)?;
        }
        Ok(now)
    }

    /// The largest value so far, for others to merge.
    pub fn latest(&self) -> u64 {
        self.last.load(Ordering::SeqCst).max(self.physical_us())
    }

    /// Takes in a peer's or gateway's clock. Never refused: skew is an alarm, not an error.
    pub fn merge(&self, remote: u64) {
        self.last.fetch_max(remote, Ordering::SeqCst);
    }

    /// Makes the reservation reach past `value`, durably. Rare on a request's path: only when the
    /// background tick was late or a peer's clock is far ahead.
    fn extend(&self, value: u64) -> Result<(), Error> {
        let _one_at_a_time = match self.extending.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        };
        if value + EXTEND_BELOW_US < self.reserved.load(Ordering::SeqCst) {
            return Ok(());
        }
        let until = value + AHEAD_US;
        self.engine.put_node_record(RESERVATION, Bytes::copy_from_slice(&until.to_be_bytes()))?;
        self.reserved.fetch_max(until, Ordering::SeqCst);
        Ok(())
    }

    /// One second's worth of slewing towards the wall clock; returns the skew that is left.
    fn slew(&self) -> i64 {
        let skew = (self.time.wall_us)().cast_signed() - self.reading_us().cast_signed();
        self.slew_us.fetch_add(skew.clamp(-SLEW_US_PER_SECOND, SLEW_US_PER_SECOND), Ordering::Relaxed);
        skew
    }

    /// Extends the reservation ahead of need and slews. Runs until stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let mut pace = Pace::new(TICK, stop);
        while pace.goes_on().await {
            let skew = self.slew();
            if skew.unsigned_abs() > AHEAD_US {
                tracing::warn!(skew_us = skew, "the wall clock was stepped; it is followed slowly");
            }
            let latest = self.latest();
            if latest + EXTEND_BELOW_US >= self.reserved.load(Ordering::SeqCst) {
                let clock = Arc::clone(&self);
                tokio::task::spawn_blocking(move || clock.extend(latest))
                    .await
                    .map_err(|_| Error::Stopped)??;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
