//! What operators see of event streams. Events sent are counted with the feed.

use std::sync::LazyLock;

use opentelemetry::metrics::{Counter, UpDownCounter};

/// The instruments of one process: they go where its meter provider sends them.
pub struct StreamMetrics {
    /// Live streams that are open.
    pub live: UpDownCounter<i64>,
    /// Streams whose client took nothing until its connection was cut.
    pub slow_cut: Counter<u64>,
}

/// Made when first used: the meter provider is installed before a gateway starts.
pub static METRICS: LazyLock<StreamMetrics> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("rowhouse.gateway");
    StreamMetrics {
        live: meter
            .i64_up_down_counter("rowhouse.gateway.feed.live_streams")
            .with_description("Live event streams that are open.")
            .build(),
        slow_cut: meter
            .u64_counter("rowhouse.gateway.feed.slow_clients_cut")
            .with_description("Live event streams whose client took nothing until its connection was cut.")
            .build(),
    }
});
