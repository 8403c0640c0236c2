//! The measurements of `pubky-homeserver`, under its names and its meter, so that dashboards made for it go on working.
//!
//! Two of them stay 0: here no broadcast lies between an event and a stream that could lag. Names, labels and buckets
//! are the reference's; `docs/operations/metrics.md` says where a meaning differs.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use opentelemetry::{KeyValue, global};
use tokio::time::Instant;

const METER: &str = "pubky_homeserver";
const CONNECTION_MS: &[f64] = &[10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

struct Instruments {
    events_query: Histogram<f64>,
    stream_query: Histogram<f64>,
    connections: UpDownCounter<i64>,
    connection: Histogram<f64>,
    signups: Counter<u64>,
    storage_requests: Counter<u64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter(METER);
    meter
        .u64_counter("event_stream_broadcast_lagged_count")
        .with_description("Number of times event stream broadcast channel lagged: never")
        .build()
        .add(0, &[]);
    meter
        .u64_counter("event_stream_broadcast_half_full_count")
        .with_description("Number of times event stream broadcast channel reached half capacity: never")
        .build()
        .add(0, &[]);
    let connections = meter
        .i64_up_down_counter("event_stream_active_connections")
        .with_description("Number of active event stream connections")
        .build();
    connections.add(0, &[]);
    let signups =
        meter.u64_counter("signup_count").with_description("Total number of successful signups").build();
    signups.add(0, &[]);
    Instruments {
        events_query: meter
            .f64_histogram("events_db_query_duration_ms")
            .with_description("Duration of /events reads of all shards in milliseconds")
            .build(),
        stream_query: meter
            .f64_histogram("event_stream_db_query_duration_ms")
            .with_description("Duration of /events-stream reads of shards in milliseconds")
            .build(),
        connections,
        connection: meter
            .f64_histogram("event_stream_connection_duration_ms")
            .with_description("Duration of event stream connections in milliseconds")
            .with_boundaries(CONNECTION_MS.to_vec())
            .build(),
        signups,
        storage_requests: meter
            .u64_counter("storage_request_count")
            .with_description("Number of client storage requests by migration mode")
            .build(),
    }
});

/// Shows from the start what was not counted yet.
pub fn begin() {
    LazyLock::force(&INSTRUMENTS);
}

/// A page of `/events/` was read.
pub fn events_read(took: Duration) {
    INSTRUMENTS.events_query.record(whole_ms(took), &[]);
}

/// A stream read a page.
pub fn stream_read(took: Duration) {
    INSTRUMENTS.stream_query.record(whole_ms(took), &[]);
}

/// A user was made.
pub fn signed_up() {
    INSTRUMENTS.signups.add(1, &[]);
}

/// An event stream that is open, as a batch or live.
pub struct StreamConnection(Instant);

impl StreamConnection {
    /// It is open until this is dropped.
    pub fn open() -> Self {
        INSTRUMENTS.connections.add(1, &[]);
        Self(Instant::now())
    }
}

impl Drop for StreamConnection {
    fn drop(&mut self) {
        INSTRUMENTS.connections.add(-1, &[]);
        INSTRUMENTS.connection.record(whole_ms(self.0.elapsed()), &[]);
    }
}

/// How a storage request named its tenant and showed who it is.
pub struct StorageRequest {
    /// `path` or `legacy`.
    pub addressing_mode: &'static str,
    /// `absent`, `matching` or `other`.
    pub pubky_host_header: &'static str,
    /// The query has a `pubky-host`.
    pub pubky_host_query: bool,
    /// `none`, `cookie` or `grant`.
    pub auth_method: &'static str,
}

/// A storage request was answered.
pub fn storage_requested(request: &StorageRequest) {
    let labels = [
        KeyValue::new("addressing_mode", request.addressing_mode),
        KeyValue::new("pubky_host_header", request.pubky_host_header),
        KeyValue::new("pubky_host_query", request.pubky_host_query),
        KeyValue::new("auth_method", request.auth_method),
    ];
    INSTRUMENTS.storage_requests.add(1, &labels);
}

/// The reference counts whole milliseconds.
fn whole_ms(took: Duration) -> f64 {
    took.as_millis() as f64
}
