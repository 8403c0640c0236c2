//! The measurements of the feed, told to whatever collector the process has set up before the first of them.

use std::sync::LazyLock;

use opentelemetry::metrics::{Counter, Gauge, Meter};
use opentelemetry::{KeyValue, global};
use rowhouse_proto::domain::event::{EventIds, unix_ms_of};

const METER: &str = "rowhouse.gateway";

struct Instruments {
    rounds: Counter<u64>,
    lag: Gauge<f64>,
    events: Counter<u64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| Instruments::new(&global::meter(METER)));

impl Instruments {
    fn new(meter: &Meter) -> Self {
        Self {
            rounds: meter
                .u64_counter("rowhouse.gateway.feed.rounds")
                .with_description("Rounds of asking all nodes for their shards' clocks, by how they ended.")
                .build(),
            lag: meter
                .f64_gauge("rowhouse.gateway.feed.frontier_lag")
                .with_unit("s")
                .with_description(
                    "Event time from the frontier to the newest event that any node told of, at the end of the \
                     last round. 0: that event may be emitted.",
                )
                .build(),
            events: meter
                .u64_counter("rowhouse.gateway.feed.events")
                .with_description("Events sent to clients, by route.")
                .build(),
        }
    }
}

/// A round ended: so many shards were closed in it; `None` when it found no frontier.
pub fn round_ended(closed: Option<usize>) {
    let outcome = match closed {
        Some(0) => "quiet",
        Some(_) => "closed",
        None => "failed",
    };
    INSTRUMENTS.rounds.add(1, &[KeyValue::new("outcome", outcome)]);
}

/// The frontier is at the tick `known`, and `newest` is the tick of the newest event that was told of.
pub fn frontier_lags(shard_count: u32, newest: u64, known: u64) {
    if let Some(lag_s) = lag_s(shard_count, newest, known) {
        INSTRUMENTS.lag.record(lag_s, &[]);
    }
}

/// Events were sent to a client of this route.
pub fn events_sent(route: &'static str, count: usize) {
    if count > 0 {
        INSTRUMENTS.events.add(count as u64, &[KeyValue::new("route", route)]);
    }
}

/// Seconds between two ticks, which say by themselves how long they are. `None` before there is a map.
fn lag_s(shard_count: u32, newest: u64, known: u64) -> Option<f64> {
    let ids = EventIds::new(shard_count)?;
    let ms_of = |tick| unix_ms_of(ids.id(tick, 0));
    Some(ms_of(newest).saturating_sub(ms_of(known)) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::domain::event::EVENT_EPOCH_MS;

    #[test]
    fn the_lag_is_event_time_and_nothing_once_the_newest_event_is_covered() {
        let ids = EventIds::new(16).expect("a power of two");
        let tick = |ms: u64| ids.tick((EVENT_EPOCH_MS + ms) * 1000);
        assert_eq!(lag_s(16, tick(5_500), tick(5_000)), Some(0.5));
        assert_eq!(lag_s(16, tick(5_500), tick(5_500)), Some(0.0));
        assert_eq!(lag_s(16, tick(5_500), tick(9_000)), Some(0.0));
        assert_eq!(lag_s(0, 1, 0), None);
    }
}
