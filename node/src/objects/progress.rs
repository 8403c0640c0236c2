//! Counters of the work that the keepers of objects have done, and the queue of damage they have to mend.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rowhouse_proto::lock::lock;
use rowhouse_raft::GroupId;
use tokio::sync::mpsc;

use crate::state::objects::ObjectId;

/// Damage found and not mended yet: beyond it the next scrub finds it again.
const DAMAGE_MAX: usize = 1024;

/// A chunk that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The shard whose replica holds it.
    pub group: GroupId,
    /// The object it belongs to.
    pub object: ObjectId,
    /// Its number in the object; `None`: the object as a whole.
    pub index: Option<u32>,
}

/// Counters since the node started, and the queue of damage that was found.
pub struct Progress {
    /// For each group, the number of objects of which its replica lacks chunks.
    missing: Mutex<BTreeMap<GroupId, u64>>,
    /// Objects completed from other replicas.
    pub filled: AtomicU64,
    /// Damaged chunks mended from other replicas.
    pub repaired: AtomicU64,
    /// Objects erased because the shard no longer keeps them.
    pub erased: AtomicU64,
    /// Objects erased because no entry knew them.
    pub swept: AtomicU64,
    /// Objects read by the scrub that runs, or by the last one.
    pub scrubbed: AtomicU64,
    /// Unix ms at which a scrub last ended; 0: none has.
    pub scrub_ended_ms: AtomicU64,
    report: mpsc::Sender<Damage>,
}

impl Progress {
    /// Counters at zero, and the end of the queue at which found damage arrives.
    pub fn new() -> (Self, mpsc::Receiver<Damage>) {
        let (report, reports) = mpsc::channel(DAMAGE_MAX);
        let progress = Self {
            missing: Mutex::default(),
            filled: AtomicU64::new(0),
            repaired: AtomicU64::new(0),
            erased: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            scrubbed: AtomicU64::new(0),
            scrub_ended_ms: AtomicU64::new(0),
            report,
        };
        (progress, reports)
    }

    /// Logs the damage and queues it, to be mended from another replica.
    pub fn damaged(&self, damage: Damage) {
        tracing::error!(?damage, "a chunk on this disk is damaged; it is fetched from another replica");
        self.lacks(damage);
    }

    /// Queues what is missing, to be fetched from another replica unless it is filled already.
    pub fn lacks(&self, damage: Damage) {
        // A full queue is no loss: the damage stays and is found again.
        let _full = self.report.try_send(damage);
    }

    /// The replica of the group lacks chunks of so many objects.
    pub fn set_missing(&self, group: GroupId, objects: u64) {
        lock(&self.missing).insert(group, objects);
    }

    /// The number last set; 0 if none was.
    pub fn missing(&self, group: GroupId) -> u64 {
        lock(&self.missing).get(&group).copied().unwrap_or(0)
    }

    /// One more.
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
