//! The FIFO between those who put and the writer's thread, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rowhouse_proto::lock::{lock, wait};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::direct::BLOCK_BYTES;
use super::key::{ChunkKey, KeyRange};
use super::record::{CHUNK_BYTES, Location};
use super::segments::Record;
use crate::Error;

/// Bytes of one write. They are enough to be worth a sync: half as many cost a third of the rate, and twice as many
/// gain a sixth. They are few enough that the log on the same disk does not wait long.
pub(super) const WRITE_BYTES_MAX: u64 = 8 * (CHUNK_BYTES + BLOCK_BYTES) as u64;
/// Steps of one write, for the same reason. Deletes take no room in bytes, but a place here.
const WRITE_JOBS_MAX: usize = 1_024;
/// Room that a job takes at least, which bounds how many may wait.
const JOB_BYTES_MIN: u64 = 1_024;

/// Where the result of a job goes.
pub(super) type Done<T> = oneshot::Sender<Result<T, Error>>;

/// A step of the writer.
pub(super) enum Job {
    /// Writes a chunk.
    Put { record: Record, done: Done<()> },
    /// Removes the entries of a range; answers whether more are left.
    Delete { range: KeyRange, more: bool, done: Done<bool> },
    /// Writes the living chunks of an old segment again, so that the segment can go.
    Move {
        records: Vec<(Record, Location)>,
        /// Damaged: to be forgotten.
        lost: Vec<(ChunkKey, Location)>,
        done: Done<()>,
    },
    /// Begins a new segment, if this one is still the newest.
    Seal { segment: u64, done: Done<()> },
}

impl Job {
    /// Bytes it appends to a segment.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Put { record, .. } => record.header.record_bytes(),
            Self::Delete { .. } | Self::Seal { .. } => 0,
            Self::Move { records, .. } => {
                records.iter().map(|(record, _)| record.header.record_bytes()).sum()
            }
        }
    }

    /// Ends it with this error.
    pub(super) fn refuse(self, error: Error) {
        // The task that asked may have gone.
        match self {
            Self::Put { done, .. } | Self::Move { done, .. } | Self::Seal { done, .. } => {
                drop(done.send(Err(error)));
            }
            Self::Delete { done, .. } => drop(done.send(Err(error))),
        }
    }
}

/// A job and the room it takes until it is done.
pub(super) struct Accepted {
    pub(super) job: Job,
    _room: OwnedSemaphorePermit,
}

/// The waiting jobs, and the room they take.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    room: Arc<Semaphore>,
    permits: u32,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Accepted>,
    closed: bool,
}

impl Queue {
    /// Empty, with room for `permits` bytes.
    pub(super) fn new(permits: u32) -> Self {
        let room = Arc::new(Semaphore::new(permits as usize));
        Self { waiting: Mutex::default(), filled: Condvar::new(), room, permits }
    }

    /// Waits for room, then queues the job and tells `accepted` its bytes. An accepted job is done even if nobody waits
    /// for it any more. `Stopped` once the queue is closed.
    pub(super) async fn push(&self, job: Job, accepted: impl FnOnce(u64)) -> Result<(), Error> {
        let bytes = job.bytes();
        let permits = u32::try_from(bytes.max(JOB_BYTES_MIN)).unwrap_or(u32::MAX).min(self.permits);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Error::Stopped)?;
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(Error::Stopped);
        }
        accepted(bytes);
        waiting.jobs.push_back(Accepted { job, _room: room });
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Nothing more is accepted.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.room.close();
        self.filled.notify_one();
    }

    /// Waits for jobs and takes what makes one write; `None` once the queue is closed and empty. A move
    /// goes by itself: it rests on what the index says before the write.
    pub(super) fn take(&self) -> Option<Vec<Accepted>> {
        let mut waiting = self.waiting();
        while waiting.jobs.is_empty() && !waiting.closed {
            waiting = wait(&self.filled, waiting);
        }
        let (mut bytes, mut taken) = (0, 0);
        for Accepted { job, .. } in &waiting.jobs {
            bytes += job.bytes();
            let alone = matches!(job, Job::Move { .. });
            if taken > 0 && (alone || bytes > WRITE_BYTES_MAX || taken >= WRITE_JOBS_MAX) {
                break;
            }
            taken += 1;
            if alone {
                break;
            }
        }
        (taken > 0).then(|| waiting.jobs.drain(..taken).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}
