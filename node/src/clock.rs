//! The node's hybrid logical clock (docs/rules/time.md#no-clock-runs-away). Its base is physical time that most nodes
//! agree to and that no step of the wall clock moves; above that it counts.
//!
//! Order and event ids come from the counter; windows and expiries from physical time, never from the HLC. No
//! command is stamped before a majority of the nodes was heard: a clock nobody else has seen may be years off.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rowhouse_proto::lock::lock;
use rowhouse_raft::log_store::LogEngine;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::actor::Pace;

const RESERVATION: &str = "hlc_reserved_until";
/// Lost at a crash at most; long enough that one synced write serves many thousand events.
const AHEAD_US: u64 = 10_000_000;
/// The reservation is extended when less than this is left.
const EXTEND_BELOW_US: u64 = AHEAD_US / 2;
/// Others, and the reservation of an earlier run, lift the HLC so far above physical time at most.
pub const HLC_AHEAD_US_MAX: u64 = AHEAD_US;
/// Further above physical time it can only be because that was corrected: it comes back. Shards keep their ids
/// rising whatever it does.
const HLC_RETURN_US: u64 = 2 * HLC_AHEAD_US_MAX;
/// A reservation further above the HLC than this is of a time that was corrected; it is written anew.
const RESERVED_US_MAX: u64 = HLC_RETURN_US + AHEAD_US;
/// 500 ppm: the fastest a clock may be slewed and still measure durations well.
const SLEW_US_PER_SECOND: i64 = 500;
/// How far physical time may be from that of most nodes: more is a clock that runs away, or one left behind.
const FROM_OTHERS_US_MAX: i64 = 500_000;
/// How often the reservation and the slew are looked after.
const TICK: Duration = Duration::from_secs(1);

type Source = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Reads of physical time in µs since the Unix epoch.
#[derive(Clone)]
pub struct TimeSource {
    /// Driven by the monotonic clock.
    pub steady_us: Source,
    /// The wall clock, which may step.
    pub wall_us: Source,
}

impl TimeSource {
    /// The machine's own clocks.
    pub fn system() -> Self {
        let steady_us = <crate::Runtime as rowhouse_raft::runtime::Runtime>::wall_us;
        Self { steady_us: Arc::new(steady_us), wall_us: Arc::new(system_us) }
    }
}

fn system_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// The readings of its leader's clock that a command carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Order and event ids.
    pub hlc_us: u64,
    /// Windows and expiries.
    pub now_ms: u64,
}

/// One for each node. The HLC that it hands out rises, unless the time it stands at was corrected.
pub struct Clock {
    engine: Arc<dyn LogEngine>,
    time: TimeSource,
    /// Added to the steady clock.
    slew_us: AtomicI64,
    /// The addend to the steady clock is held between these, whatever our own reading.
    offset_min_us: AtomicI64,
    offset_max_us: AtomicI64,
    /// Our own reading above the middle one of those that were heard, and how many they were; for operators.
    own_above_us: AtomicI64,
    heard: AtomicU32,
    /// Physical time is what a majority agrees to, or there is no cluster to ask.
    judged: AtomicBool,
    /// A majority was heard once: later silence does not take it back.
    settled: AtomicBool,
    last: AtomicU64,
    /// Every value handed out lies below it; durable.
    reserved: AtomicU64,
    extending: Mutex<()>,
}

impl Clock {
    /// Blocks on the disk.
    pub fn open(engine: Arc<dyn LogEngine>, time: TimeSource) -> Result<Self, Error> {
        let reserved = match engine.node_record(RESERVATION)? {
            Some(bytes) => u64::from_be_bytes(
                bytes[..].try_into().map_err(|_| Error::DamagedRecord { key: RESERVATION })?,
            ),
            None => 0,
        };
        Ok(Self {
            engine,
            time,
            slew_us: AtomicI64::new(0),
            offset_min_us: AtomicI64::new(i64::MIN),
            offset_max_us: AtomicI64::new(i64::MAX),
            own_above_us: AtomicI64::new(0),
            heard: AtomicU32::new(0),
            judged: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            last: AtomicU64::new(0),
            reserved: AtomicU64::new(reserved),
            extending: Mutex::new(()),
        })
    }

    /// The best this node knows of physical time: for what may be wrong for a moment after a start.
    pub fn physical_us(&self) -> u64 {
        let offset = self.slew_us.load(Ordering::Relaxed).min(self.offset_max_us.load(Ordering::Relaxed));
        self.steady_us().saturating_add_signed(offset.max(self.offset_min_us.load(Ordering::Relaxed)))
    }

    /// As `physical_us`, in ms.
    pub fn physical_ms(&self) -> u64 {
        self.physical_us() / 1000
    }

    /// Physical time that others agree to: for what must not be judged by a wrong clock.
    pub fn judged_us(&self) -> Option<u64> {
        self.judged.load(Ordering::SeqCst).then(|| self.physical_us())
    }

    /// As `judged_us`, in ms.
    pub fn judged_ms(&self) -> Option<u64> {
        Some(self.judged_us()? / 1000)
    }

    /// Time since some moment, which nothing corrects: for rates.
    pub fn steady_us(&self) -> u64 {
        (self.time.steady_us)()
    }

    /// Physical time as this node alone knows it: what it tells others.
    pub fn reading_us(&self) -> u64 {
        self.steady_us().saturating_add_signed(self.slew_us.load(Ordering::Relaxed))
    }

    /// How far a reading that has just arrived is above the steady clock; 0 is none.
    pub fn offset_of(&self, reading_us: u64) -> Option<i64> {
        (reading_us != 0).then(|| reading_us.cast_signed().saturating_sub(self.steady_us().cast_signed()))
    }

    /// Holds physical time near the median of all readings, our own among them (docs/rules/time.md#no-clock-runs-away).
    /// An even number of readings has two in the middle. The upper one bounds from above and the lower one from below,
    /// because nobody knows which of two clocks is wrong. `nodes` is how many the map has, this one included.
    pub fn judge(&self, mut offsets_us: Vec<i64>, nodes: usize) {
        let own = self.slew_us.load(Ordering::Relaxed);
        offsets_us.push(own);
        offsets_us.sort_unstable();
        let heard = offsets_us.len();
        let (upper, lower) = (offsets_us[heard / 2], offsets_us[(heard - 1) / 2]);
        let max = upper.saturating_add(FROM_OTHERS_US_MAX);
        let min = lower.saturating_sub(FROM_OTHERS_US_MAX);
        let middle = lower.saturating_add(upper.saturating_sub(lower) / 2);
        self.own_above_us.store(own.saturating_sub(middle), Ordering::Relaxed);
        self.heard.store(u32::try_from(heard).unwrap_or(u32::MAX), Ordering::Relaxed);
        let max_before = self.offset_max_us.swap(max, Ordering::Relaxed);
        let min_before = self.offset_min_us.swap(min, Ordering::Relaxed);
        let held = |own: i64, min: i64, max: i64| own > max || own < min;
        if held(own, min, max) && !held(own, min_before, max_before) {
            tracing::error!(
                held_by_us = own.clamp(min, max).saturating_sub(own),
                "this node's clock is away from most others; it is held near them"
            );
        }
        if heard * 2 > nodes {
            self.settled.store(true, Ordering::SeqCst);
            self.begin();
        } else if !self.settled.load(Ordering::SeqCst) {
            self.judged.store(false, Ordering::SeqCst);
        }
    }

    /// For operators: our own reading above the middle one of all that were heard, in µs, and how many were heard, our
    /// own among them. (0, 0): none were.
    pub fn offset(&self) -> (i64, u32) {
        (self.own_above_us.load(Ordering::Relaxed), self.heard.load(Ordering::Relaxed))
    }

    /// Whether our own reading is so far from most others that physical time is held near theirs.
    pub fn is_held(&self) -> bool {
        let own = self.slew_us.load(Ordering::Relaxed);
        own > self.offset_max_us.load(Ordering::Relaxed) || own < self.offset_min_us.load(Ordering::Relaxed)
    }

    /// Without a cluster there is nobody to ask.
    pub fn judge_alone(&self) {
        self.begin();
    }

    /// The HLC goes on from the reservation, as far as that may be believed.
    fn begin(&self) {
        if !self.judged.load(Ordering::SeqCst) {
            self.lift(self.reserved.load(Ordering::SeqCst));
            self.judged.store(true, Ordering::SeqCst);
        }
    }

    /// For a proposal.
    pub fn stamp(&self) -> Result<Stamp, Error> {
        let now_ms = self.judged_ms().ok_or(Error::ClockNotJudged)?;
        Ok(Stamp { hlc_us: self.next()?, now_ms })
    }

    /// Above everything handed out or merged before on this node, over restarts too, unless physical time was
    /// corrected.
    fn next(&self) -> Result<u64, Error> {
        let physical = self.physical_us();
        let next = |last: u64| if is_astray(last, physical) { physical } else { physical.max(last + 1) };
        let before = match self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)))
        {
            Ok(before) | Err(before) => before,
        };
        let now = next(before);
        if now >= self.reserved.load(Ordering::SeqCst) {
            // Whoever asks for a stamp must not wait for this disk.
            if self.engine.progress().hangs() {
                return Err(Error::LogHangs);
            }
            self.extend(now)?;
        }
        Ok(now)
    }

    /// The largest value so far, for others to merge; 0 while this node does not know the time.
    pub fn latest(&self) -> u64 {
        let Some(physical) = self.judged_us() else { return 0 };
        let last = self.last.load(Ordering::SeqCst);
        if is_astray(last, physical) { physical } else { physical.max(last) }
    }

    /// Takes in a peer's or gateway's clock, as far as it may be believed. Never refused: skew is an alarm, not
    /// an error.
    pub fn merge(&self, remote: u64) {
        if self.judged.load(Ordering::SeqCst) {
            self.lift(remote);
        }
    }

    fn lift(&self, value: u64) {
        let most = self.physical_us().saturating_add(HLC_AHEAD_US_MAX);
        self.last.fetch_max(value.min(most), Ordering::SeqCst);
    }

    fn is_extension_due(&self, value: u64) -> bool {
        let reserved = self.reserved.load(Ordering::SeqCst);
        value + EXTEND_BELOW_US >= reserved || reserved > value + RESERVED_US_MAX
    }

    /// Makes the reservation reach a little past `value`, durably. Rare on a request's path: only after a start, or
    /// when the background tick was late or a peer's clock is far ahead.
    fn extend(&self, value: u64) -> Result<(), Error> {
        let _one_at_a_time = lock(&self.extending);
        if self.is_extension_due(value) {
            let until = value + AHEAD_US;
            self.engine.put_node_record(RESERVATION, Bytes::copy_from_slice(&until.to_be_bytes()))?;
            self.reserved.store(until, Ordering::SeqCst);
        }
        Ok(())
    }

    /// One second's worth of slewing towards the wall clock; returns the skew that is left.
    fn slew(&self) -> i64 {
        let skew = (self.time.wall_us)().cast_signed() - self.reading_us().cast_signed();
        self.slew_us.fetch_add(skew.clamp(-SLEW_US_PER_SECOND, SLEW_US_PER_SECOND), Ordering::Relaxed);
        skew
    }

    /// Extends the reservation ahead of need and slews. Runs until stopped.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let (mut pace, mut stepped) = (Pace::new(TICK, stop), false);
        while pace.goes_on().await {
            let skew = self.slew();
            let before = std::mem::replace(&mut stepped, skew.unsigned_abs() > AHEAD_US);
            if stepped && !before {
                tracing::warn!(skew_us = skew, "the wall clock was stepped; it is followed slowly");
            }
            let latest = self.latest();
            if latest != 0 && self.is_extension_due(latest) {
                let clock = Arc::clone(self);
                tokio::task::spawn_blocking(move || clock.extend(latest))
                    .await
                    .map_err(|_| Error::Stopped)??;
            }
        }
        Ok(())
    }
}

fn is_astray(last: u64, physical: u64) -> bool {
    last > physical.saturating_add(HLC_RETURN_US)
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
