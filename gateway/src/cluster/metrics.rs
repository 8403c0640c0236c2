//! What it took to get answers from the shards, and what was refused before they were asked.

use std::sync::LazyLock;

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

struct Instruments {
    retries: Counter<u64>,
    given_up: Counter<u64>,
    refused: Counter<u64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter("rowhouse.gateway");
    let counter = |name: &'static str, description: &'static str| {
        meter.u64_counter(name).with_description(description).build()
    };
    let all = Instruments {
        retries: counter(
            "rowhouse.gateway.retries",
            "Attempts that brought no result and are followed by another, by reason.",
        ),
        given_up: counter(
            "rowhouse.gateway.retries_given_up",
            "Requests to shards that were given up: their time for retries was spent.",
        ),
        refused: counter(
            "rowhouse.gateway.admission.refused",
            "Requests and bodies that found no room, by pool.",
        ),
    };
    // Rates need a first value: the second one of a rare event tells too late.
    all.given_up.add(0, &[]);
    for reason in [REDIRECTED, ABSENT, UNANSWERED] {
        all.retries.add(0, &[KeyValue::new("reason", reason)]);
    }
    for pool in [REQUESTS, BODIES, CHUNKS] {
        all.refused.add(0, &[KeyValue::new("pool", pool)]);
    }
    all
});

/// Another replica leads.
pub const REDIRECTED: &str = "redirected";
/// The node has no replica of the shard.
pub const ABSENT: &str = "absent";
/// No answer, or one that another replica may not give.
pub const UNANSWERED: &str = "unanswered";
/// The pool of requests.
pub const REQUESTS: &str = "requests";
/// The pool of small bodies.
pub const BODIES: &str = "bodies";
/// The pool of chunks of large bodies.
pub const CHUNKS: &str = "chunks";

/// Shows from the start what was not counted yet.
pub fn begin() {
    LazyLock::force(&INSTRUMENTS);
}

/// An attempt is followed by another.
pub fn retried(reason: &'static str) {
    INSTRUMENTS.retries.add(1, &[KeyValue::new("reason", reason)]);
}

/// The time for retries is spent.
pub fn given_up() {
    INSTRUMENTS.given_up.add(1, &[]);
}

/// A pool had no room.
pub fn refused(pool: &'static str) {
    INSTRUMENTS.refused.add(1, &[KeyValue::new("pool", pool)]);
}
