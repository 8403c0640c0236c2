//! The disk of this node, and the chunks of large bodies on it.

use std::sync::atomic::Ordering;

use super::sources::{Sources, Watched};
use crate::objects::Stock;

pub fn observe(watched: &Watched) {
    disk(watched);
    chunks(watched);
    repair(watched);
}

fn disk(watched: &Watched) {
    watched.gauge(
        "rowhouse.disk.size",
        "By",
        "Bytes of the data folder's disk, without root's share.",
        |sources| sources.local.space.used_bytes().ok().map(|(_, all)| all as f64),
    );
    watched.gauge(
        "rowhouse.disk.used",
        "By",
        "Bytes of the data folder's disk that anybody uses.",
        |sources| sources.local.space.used_bytes().ok().map(|(used, _)| used as f64),
    );
    watched.gauge(
        "rowhouse.disk.free",
        "By",
        "Bytes of the data folder's disk that nobody uses.",
        |sources| sources.local.space.unused_bytes().map(|free| free as f64),
    );
    watched.gauge(
        "rowhouse.disk.free_min",
        "By",
        "Free bytes below which the disk counts as low, and new writes are refused.",
        |sources| Some(sources.local.space.min_bytes() as f64),
    );
    watched.gauge("rowhouse.disk.low", "", "1 while the disk counts as low.", |sources| {
        Some(f64::from(u8::from(sources.local.space.is_low())))
    });
    watched.gauge(
        "rowhouse.disk.ballast",
        "By",
        "Bytes held back for a disk that runs full; 0 once they were given back.",
        |sources| Some(sources.local.space.ballast_held() as f64),
    );
}

fn chunks(watched: &Watched) {
    watched.gauge("rowhouse.chunks.live", "By", "Bytes of chunks on disk that some object has.", |sources| {
        Some(sources.objects.blobs.usage().live_bytes as f64)
    });
    watched.gauge(
        "rowhouse.chunks.dead",
        "By",
        "Bytes of chunks on disk that wait for compaction.",
        |sources| Some(sources.objects.blobs.usage().dead_bytes as f64),
    );
    watched.gauge("rowhouse.chunks.segments", "", "Files that hold chunks.", |sources| {
        Some(sources.objects.blobs.usage().segments as f64)
    });
    watched.counter("rowhouse.chunks.syncs", "", "Syncs of chunks. One serves all that waited.", |sources| {
        sources.objects.blobs.metrics().syncs.load(Ordering::Relaxed)
    });
    watched.counter("rowhouse.chunks.records", "", "Chunks written, moved ones among them.", |sources| {
        sources.objects.blobs.metrics().records.load(Ordering::Relaxed)
    });
    watched.counter("rowhouse.chunks.written", "By", "Bytes of chunks written.", |sources| {
        sources.objects.blobs.metrics().bytes.load(Ordering::Relaxed)
    });
    watched.gauge("rowhouse.chunks.queued", "By", "Bytes of chunks that wait for their writer.", |sources| {
        Some(sources.objects.blobs.metrics().queued_bytes.load(Ordering::Relaxed) as f64)
    });
}

fn repair(watched: &Watched) {
    watched.gauge(
        "rowhouse.objects.missing",
        "",
        "Live objects that replicas here lack chunks of, as far as they are known.",
        |sources| Some(stocks(sources, |stock| stock.missing)),
    );
    watched.gauge(
        "rowhouse.objects.damaged",
        "",
        "Chunks and objects here that are known to be damaged and not mended yet.",
        |sources| Some(stocks(sources, |stock| stock.damaged)),
    );
    watched.counter("rowhouse.objects.filled", "", "Objects completed from other replicas.", |sources| {
        sources.objects.progress().filled.load(Ordering::Relaxed)
    });
    watched.counter(
        "rowhouse.objects.repaired",
        "",
        "Damaged chunks mended from other replicas.",
        |sources| sources.objects.progress().repaired.load(Ordering::Relaxed),
    );
    watched.counter(
        "rowhouse.objects.erased",
        "",
        "Objects erased because no shard keeps them.",
        |sources| sources.objects.progress().erased.load(Ordering::Relaxed),
    );
    watched.counter("rowhouse.objects.swept", "", "Objects erased because no entry knew them.", |sources| {
        sources.objects.progress().swept.load(Ordering::Relaxed)
    });
    watched.gauge(
        "rowhouse.objects.scrubbed",
        "",
        "Objects read by the scrub that runs, or by the last one.",
        |sources| Some(sources.objects.progress().scrubbed.load(Ordering::Relaxed) as f64),
    );
    watched.gauge(
        "rowhouse.objects.scrub_ended_time",
        "s",
        "Unix time at which a scrub last ended; absent before the first.",
        |sources| {
            let ended_ms = sources.objects.progress().scrub_ended_ms.load(Ordering::Relaxed);
            (ended_ms > 0).then(|| ended_ms as f64 / 1000.0)
        },
    );
}

/// The sum over all replicas here.
fn stocks(sources: &Sources, of: fn(Stock) -> u64) -> f64 {
    let groups = sources.local.host.groups();
    let sum: u64 = groups.iter().map(|group| of(sources.objects.stock(group.replica()))).sum();
    sum as f64
}
