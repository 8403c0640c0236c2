//! What a gateway holds at this moment, read at each scrape: pools, connections, the map.

use std::sync::Arc;

use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry::{KeyValue, global};
use tokio::sync::Semaphore;

use crate::cluster::{Cluster, PoolUse};
use crate::reference_metrics;
use crate::settings::Limits;

/// Makes the instruments that read this gateway, for as long as it lives.
pub fn observe(cluster: &Arc<Cluster>, connections: &Arc<Semaphore>, limits: &Limits) {
    reference_metrics::begin();
    let meter = global::meter("rowhouse.gateway");
    observe_pools(&meter, cluster);
    let (open, limit) = (Arc::downgrade(connections), limits.connections_max);
    meter
        .u64_observable_gauge("rowhouse.gateway.connections")
        .with_description("Open connections of clients.")
        .with_callback(move |observer| {
            if let Some(free) = open.upgrade().map(|open| open.available_permits()) {
                observer.observe(limit.saturating_sub(free) as u64, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("rowhouse.gateway.connections_limit")
        .with_description("Connections of clients that may be open at once.")
        .with_callback(move |observer| observer.observe(limit as u64, &[]))
        .build();
    let known = Arc::downgrade(cluster);
    meter
        .u64_observable_gauge("rowhouse.gateway.map_version")
        .with_description("Version of the cluster map in use; 0: none has come.")
        .with_callback(move |observer| {
            if let Some(cluster) = known.upgrade() {
                observer.observe(cluster.map_now().map_or(0, |map| map.version), &[]);
            }
        })
        .build();
}

fn observe_pools(meter: &Meter, cluster: &Arc<Cluster>) {
    let used = pools(cluster, |pool| pool.used);
    let limits = pools(cluster, |pool| pool.limit);
    meter
        .u64_observable_gauge("rowhouse.gateway.admission.used")
        .with_description("Requests, or bytes of bodies, for which room is taken, by pool.")
        .with_callback(used)
        .build();
    meter
        .u64_observable_gauge("rowhouse.gateway.admission.limit")
        .with_description("Requests, or bytes of bodies, for which there is room at all, by pool.")
        .with_callback(limits)
        .build();
}

/// Observes one number of each pool.
fn pools(
    cluster: &Arc<Cluster>,
    number: fn(&PoolUse) -> u64,
) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
    let cluster = Arc::downgrade(cluster);
    move |observer| {
        let Some(cluster) = cluster.upgrade() else { return };
        for pool in cluster.admission().in_use() {
            observer.observe(number(&pool), &[KeyValue::new("pool", pool.name)]);
        }
    }
}
