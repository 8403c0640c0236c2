//! The bounded queue in front of a link, and how its frames become batches.
//!
//! Bounded twice, by frames and by bytes: heartbeats are many and small, appends few and large.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openraft::Instant;
use prost::Message;
use rowhouse_proto::wire::transport::v1::Frame;
use rowhouse_proto::wire::transport::v1::frame::Body;
use tokio::sync::mpsc;

use super::lane::LinkError;
use crate::runtime::Runtime;

/// Frames waiting on one link: every group of a node may have a heartbeat, a vote and a stream's window
/// queued at once.
pub const QUEUE_FRAMES_MAX: usize = 4096;
/// Bytes waiting on one link: a few append windows; beyond it the senders wait.
pub const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The largest batch.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest message that tonic may send and accept: a batch, or a snapshot chunk of 4 MiB that does not compress.
pub const RPC_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 1024 * 1024;
/// The largest frame: one message with room for the batch's own fields.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 4 * 1024;
/// Frames of one batch, so that the first of many does not wait for the last.
pub const BATCH_FRAMES_MAX: usize = 64;
/// A batch on the log lane closes when it holds this much: large enough to spread the cost of a
/// message, small enough that a reply does not wait long behind it.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Shortest time between two batches of nothing but heartbeats on one link.
///
/// openraft sends ReadIndex probes as heartbeats, and no field tells them apart. So nothing lingers on
/// a quiet link: a lone frame leaves at once. Only what comes within this time after a batch waits for
/// the rest of it, which bounds a link to 500 heartbeat batches a second however many groups there are,
/// at a price of 2 ms to a probe in the worst case.
pub const HEARTBEAT_PACE: Duration = Duration::from_millis(2);
/// Longest wait of an append, or its reply, that only carries a commit index: followers apply a little
/// later, and most such frames leave with the next entries instead of waking the peer twice for each write.
pub const COMMIT_LINGER: Duration = Duration::from_millis(10);
/// Tag and length of a frame inside its batch.
const FRAME_OVERHEAD_BYTES: usize = 8;

struct Queued {
    frame: Frame,
    bytes: usize,
    haste: Haste,
}

/// How long a frame may wait for company; a batch is as hasty as its hastiest frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Haste {
    /// It brings nothing but a commit index: `COMMIT_LINGER`.
    #[default]
    Lingers,
    /// A heartbeat: `HEARTBEAT_PACE` after the last batch of them.
    Paced,
    Urgent,
}

/// Queues frames for one link.
#[derive(Clone)]
pub struct FrameSender {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<AtomicUsize>,
}

/// The link's end of its queue. Dropping it refuses everything from then on.
pub struct FrameReceiver {
    queue: mpsc::Receiver<Queued>,
    bytes: Arc<AtomicUsize>,
}

/// The two ends of a new link's queue.
pub fn frame_queue() -> (FrameSender, FrameReceiver) {
    let (sender, receiver) = mpsc::channel(QUEUE_FRAMES_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    (FrameSender { queue: sender, bytes: bytes.clone() }, FrameReceiver { queue: receiver, bytes })
}

impl FrameSender {
    /// Queues a frame at once. `LinkError::Full` and `LinkError::TooLarge` leave the link as it is;
    /// `LinkError::Down` means that its other end is gone.
    pub fn try_send(&self, frame: Frame) -> Result<(), LinkError> {
        let haste = haste(&frame);
        let queued = measure(frame, haste)?;
        let bytes = queued.bytes;
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(LinkError::Full);
        }
        self.queue.try_send(queued).map_err(|error| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => LinkError::Full,
                mpsc::error::TrySendError::Closed(_) => closed(),
            }
        })
    }

    /// Waits for room by frames. Replies are small, so their bytes are counted but refuse nothing.
    pub async fn send(&self, frame: Frame) -> Result<(), LinkError> {
        let haste = haste(&frame);
        self.push(measure(frame, haste)?).await
    }

    /// `send` for a reply that tells the peer nothing it waits for.
    pub async fn send_lingering(&self, frame: Frame) -> Result<(), LinkError> {
        self.push(measure(frame, Haste::Lingers)?).await
    }

    async fn push(&self, queued: Queued) -> Result<(), LinkError> {
        let permit = self.queue.reserve().await.map_err(|_| closed())?;
        self.bytes.fetch_add(queued.bytes, Ordering::Relaxed);
        permit.send(queued);
        Ok(())
    }
}

fn closed() -> LinkError {
    LinkError::Down("the link broke".to_owned())
}

fn measure(frame: Frame, haste: Haste) -> Result<Queued, LinkError> {
    let bytes = frame.encoded_len() + FRAME_OVERHEAD_BYTES;
    if bytes > FRAME_BYTES_MAX {
        return Err(LinkError::TooLarge { bytes, max: FRAME_BYTES_MAX });
    }
    Ok(Queued { frame, bytes, haste })
}

impl FrameReceiver {
    /// `None` once every sender is gone and the queue is empty.
    pub async fn recv(&mut self) -> Option<Frame> {
        let queued = self.queue.recv().await?;
        Some(self.release(queued).frame)
    }

    fn try_recv(&mut self) -> Option<Queued> {
        let queued = self.queue.try_recv().ok()?;
        Some(self.release(queued))
    }

    fn release(&self, queued: Queued) -> Queued {
        self.bytes.fetch_sub(queued.bytes, Ordering::Relaxed);
        queued
    }
}

/// Turns a queue into batches: takes what is there, and lets frames that may wait gather.
pub struct Batcher<R: Runtime> {
    queue: FrameReceiver,
    /// Taken from the queue, but too large for the batch it would have closed.
    carried: Option<Queued>,
    /// When the last batch of nothing but heartbeats left.
    paced: Option<R::Instant>,
}

impl<R: Runtime> Batcher<R> {
    /// Batches of what arrives in `queue`.
    pub fn new(queue: FrameReceiver) -> Self {
        Self { queue, carried: None, paced: None }
    }

    /// The next batch, never empty; `None` once every sender is gone and the queue is empty.
    pub async fn next(&mut self) -> Option<Vec<Frame>> {
        let mut batch = Batch::default();
        match self.carried.take() {
            Some(queued) => batch.push(queued),
            None => {
                let queued = self.queue.queue.recv().await?;
                batch.push(self.queue.release(queued));
            }
        }
        self.drain(&mut batch);
        if batch.haste == Haste::Lingers {
            self.gather(&mut batch, R::Instant::now() + COMMIT_LINGER).await;
        }
        if batch.haste == Haste::Paced
            && let Some(paced) = self.paced
        {
            self.gather(&mut batch, paced + HEARTBEAT_PACE).await;
        }
        if batch.haste == Haste::Paced {
            self.paced = Some(R::Instant::now());
        }
        Some(batch.frames)
    }

    fn drain(&mut self, batch: &mut Batch) {
        while !batch.closed() && self.carried.is_none() {
            let Some(queued) = self.queue.try_recv() else { return };
            self.add(batch, queued);
        }
    }

    fn add(&mut self, batch: &mut Batch, queued: Queued) {
        if batch.bytes + queued.bytes > FRAME_BYTES_MAX {
            self.carried = Some(queued);
        } else {
            batch.push(queued);
        }
    }

    /// Collects until `until`, or until something hastier comes.
    async fn gather(&mut self, batch: &mut Batch, until: R::Instant) {
        let haste = batch.haste;
        while batch.haste == haste && !batch.closed() && self.carried.is_none() {
            if R::Instant::now() >= until {
                return;
            }
            match R::timeout_at(until, self.queue.queue.recv()).await {
                Ok(Some(queued)) => {
                    let queued = self.queue.release(queued);
                    self.add(batch, queued);
                    self.drain(batch);
                }
                Ok(None) | Err(_) => return,
            }
        }
    }
}

#[derive(Default)]
struct Batch {
    frames: Vec<Frame>,
    bytes: usize,
    haste: Haste,
}

impl Batch {
    fn push(&mut self, queued: Queued) {
        self.bytes += queued.bytes;
        self.haste = self.haste.max(queued.haste);
        self.frames.push(queued.frame);
    }

    fn closed(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.frames.len() >= BATCH_FRAMES_MAX
    }
}

/// Frames of the log lane belong to a stream and carry a `seq` above 0.
fn haste(frame: &Frame) -> Haste {
    match &frame.body {
        Some(Body::Append(append)) if append.entries.is_empty() => match frame.seq {
            0 => Haste::Paced,
            _ => Haste::Lingers,
        },
        Some(Body::AppendReply(_)) if frame.seq == 0 => Haste::Paced,
        _ => Haste::Urgent,
    }
}

#[cfg(test)]
mod tests;
