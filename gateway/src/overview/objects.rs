//! The part of `ctl status` about bodies outside the log.

use rowhouse_proto::wire::meta::NodeStatusReply;
use serde::Serialize;

use super::table::Table;

const MIB: f64 = 1024.0 * 1024.0;

/// Bodies outside the log of one node. Counters run since its process started; fields are only ever added.
#[derive(Debug, Default, Serialize, PartialEq)]
pub struct Objects {
    /// Chunks that count, on disk.
    pub live_bytes: u64,
    /// Chunks erased whose room is not given back yet.
    pub dead_bytes: u64,
    /// Segment files that hold them.
    pub segments: u64,
    /// Live objects of which its replicas lack chunks.
    pub missing: u64,
    /// Chunks or objects known to be damaged there and not mended yet.
    pub damaged: u64,
    /// Objects completed from other replicas.
    pub filled: u64,
    /// Damaged chunks mended from other replicas.
    pub repaired: u64,
    /// Objects erased because their entry was deleted or replaced, or their upload was given up.
    pub erased: u64,
    /// Objects erased because no entry knew them.
    pub swept: u64,
    /// Objects read by the scrub that runs, or by the last one.
    pub scrubbed: u64,
    /// Unix time in ms; absent: none has ended yet.
    pub scrub_ended_ms: Option<u64>,
}

impl Objects {
    /// Takes what the node reported.
    pub fn of(reply: &NodeStatusReply) -> Self {
        let status = reply.objects.unwrap_or_default();
        Self {
            live_bytes: status.live_bytes,
            dead_bytes: status.dead_bytes,
            segments: status.segments,
            missing: reply.groups.iter().map(|group| group.objects_missing).sum(),
            damaged: reply.groups.iter().map(|group| group.objects_damaged).sum(),
            filled: status.filled,
            repaired: status.repaired,
            erased: status.erased,
            swept: status.swept,
            scrubbed: status.scrubbed,
            scrub_ended_ms: Some(status.scrub_ended_ms).filter(|ended| *ended != 0),
        }
    }
}

/// One row for each node that answered.
pub fn table<'a>(nodes: impl Iterator<Item = (&'a str, &'a Objects)>) -> Table {
    let mut table = Table::new([
        "OBJECTS ON",
        "LIVE MIB",
        "DEAD MIB",
        "MISSING",
        "FILLED",
        "MENDED",
        "ERASED",
        "SCRUBBED",
    ]);
    for (name, objects) in nodes {
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB);
        table.row([
            name.to_owned(),
            mib(objects.live_bytes),
            mib(objects.dead_bytes),
            objects.missing.to_string(),
            objects.filled.to_string(),
            objects.repaired.to_string(),
            (objects.erased + objects.swept).to_string(),
            objects.scrubbed.to_string(),
        ]);
    }
    table
}
