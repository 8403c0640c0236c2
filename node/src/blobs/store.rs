//! `BlobStore`: the face of the chunk store to the rest of the node.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use rowhouse_proto::chunks::Pieces;
use rowhouse_proto::lock::lock;
use rowhouse_raft::ReplicaId;
use rowhouse_raft::fatal::FatalLatch;
use rowhouse_raft::runtime::start_thread;
use tokio::sync::oneshot;

use super::cursor::Cursor;
use super::index::Index;
use super::key::{ChunkKey, HeldVersion, KeyRange, VersionId};
use super::ledger::BlobUsage;
use super::metrics::BlobMetrics;
use super::options::BlobOptions;
use super::queue::{Done, Job, Queue};
use super::record::{CHUNK_BYTES, Header, checksum};
use super::recover::recover;
use super::scrub_mark::ScrubMark;
use super::segments::{Record, Segments};
use super::shared::{Shared, blocking};
use super::sums::Sums;
use super::writer::Writer;
use crate::Error;

/// The chunks of a folder. Dropping it stops the writer and waits for it.
pub struct BlobStore {
    pub(super) shared: Arc<Shared>,
    /// One step at a time; where the next goes on.
    pub(super) compacting: tokio::sync::Mutex<Option<Cursor>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Tells the operator what a new start does after a failed write.
const ADVICE: &str = "what it had acknowledged is on disk, and damaged chunks come from other replicas.";

impl BlobStore {
    /// Opens the store in `dir`, or makes a new one. Blocks: after a crash it reads what the last segment
    /// or so holds, and without an index everything.
    pub fn open(dir: &Path, options: BlobOptions) -> Result<Arc<Self>, Error> {
        std::fs::create_dir_all(dir).map_err(|error| Error::io("the folder of chunks", error))?;
        let segments = Segments::open(dir.join("segments"), options.direct_writes)
            .map_err(|error| Error::io("the folder of segments", error))?;
        let index = Index::open(&dir.join("index"))?;
        let active = recover(&index, &segments)?;
        let (queue, metrics) = (Queue::new(options.queue_permits()), BlobMetrics::default());
        let fatal = FatalLatch::new(options.on_fatal.clone(), "The chunks of large bodies", ADVICE);
        let shared = Arc::new(Shared { index, segments, sums: Sums::new(), queue, metrics, options, fatal });
        let writer = Writer::new(shared.clone(), active);
        let writer = start_thread("blob-writer", move || writer.run())
            .map_err(|error| Error::io("starting the writer of chunks", error))?;
        let (compacting, writer) = (tokio::sync::Mutex::default(), Mutex::new(Some(writer)));
        Ok(Arc::new(Self { shared, compacting, writer }))
    }

    /// Returns when the chunk is durable. Waits while the queue is full. A chunk that is put again with equal bytes mends
    /// a damaged one; with other bytes the later one counts.
    pub async fn put(&self, key: ChunkKey, body: impl Into<Pieces>) -> Result<(), Error> {
        let body = body.into();
        let crc = checksum(&body);
        self.put_verified(key, body, crc).await
    }

    /// As `put`, of bytes whose CRC32C the caller has just found to be this.
    pub async fn put_verified(&self, key: ChunkKey, body: Pieces, crc: u32) -> Result<(), Error> {
        if body.len() > CHUNK_BYTES {
            let detail = format!("{key} has {} bytes, at most {CHUNK_BYTES} may be", body.len());
            return Err(Error::io("a chunk", std::io::Error::other(detail)));
        }
        let written_at_ms = (self.shared.options.now_ms)();
        let header = Header { key, length: body.len() as u32, crc, written_at_ms };
        self.ask(|done| Job::Put { record: Record { header, body }, done }).await
    }

    /// `None` if it is not here. The body is checked: damage is `Error::DamagedChunk`, never wrong bytes.
    pub async fn get(&self, key: ChunkKey) -> Result<Option<Bytes>, Error> {
        let shared = self.shared.clone();
        blocking(move || shared.get(key)).await
    }

    /// As `get`, of a part of the chunk; shorter where the chunk ends before. Nothing unchecked comes out, and a chunk
    /// that was read in parts before is not read whole.
    pub async fn get_part(&self, key: ChunkKey, part: Range<usize>) -> Result<Option<Bytes>, Error> {
        let shared = self.shared.clone();
        blocking(move || shared.get_part(key, part)).await
    }

    /// Asks the index only.
    pub fn has(&self, key: ChunkKey) -> Result<bool, Error> {
        Ok(self.shared.index.get(key)?.is_some())
    }

    /// A crash may bring it back: whoever deletes by the state machine's truth sweeps by it, too.
    pub async fn delete_version(&self, replica: ReplicaId, version: VersionId) -> Result<(), Error> {
        let range = KeyRange::version(replica, version);
        // Each turn removes thousands, and nothing is added in front of where it is: it ends.
        while self.delete_some(&range).await? {}
        Ok(())
    }

    /// As `delete_version`, for some thousand chunks of a replica; whether it has more.
    pub async fn delete_of_replica(&self, replica: ReplicaId) -> Result<bool, Error> {
        self.delete_some(&KeyRange::replica(replica, None)).await
    }

    async fn delete_some(&self, range: &KeyRange) -> Result<bool, Error> {
        self.ask(|done| Job::Delete { range: range.clone(), more: false, done }).await
    }

    /// For sweeps and scrubs: at most `limit` versions after `after`, in order.
    pub fn versions(
        &self,
        replica: ReplicaId,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<HeldVersion>, Error> {
        let mut versions: Vec<HeldVersion> = Vec::new();
        self.shared.index.scan(&KeyRange::replica(replica, after), |key, at| {
            if versions.last().is_none_or(|last| last.version != key.version) {
                if versions.len() >= limit {
                    return ControlFlow::Break(());
                }
                versions.push(HeldVersion { version: key.version, chunks: 0, bytes: 0, written_at_ms: 0 });
            }
            if let Some(held) = versions.last_mut() {
                held.chunks += 1;
                held.bytes += u64::from(at.length);
                held.written_at_ms = held.written_at_ms.max(at.written_at_ms);
            }
            ControlFlow::Continue(())
        })?;
        Ok(versions)
    }

    /// The next version behind `last`, over all replicas.
    pub fn next_version(
        &self,
        last: Option<(ReplicaId, VersionId)>,
    ) -> Result<Option<(ReplicaId, VersionId)>, Error> {
        let mut next = None;
        self.shared.index.scan(&KeyRange::behind(last), |key, _| {
            next = Some((key.replica, key.version));
            ControlFlow::Break(())
        })?;
        Ok(next)
    }

    /// How far the scrub has come; the default if none ever ran.
    pub fn scrub_mark(&self) -> Result<ScrubMark, Error> {
        self.shared.index.scrub_mark()
    }

    /// Not synced: a crash costs what was read in the last moments.
    pub fn set_scrub_mark(&self, mark: &ScrubMark) -> Result<(), Error> {
        self.shared.index.set_scrub_mark(mark)
    }

    /// The replicas that have chunks here.
    pub fn replicas(&self) -> Vec<ReplicaId> {
        self.shared.index.holdings.replicas()
    }

    /// Bytes of a replica's chunks. Counted, not scanned.
    pub fn bytes_of(&self, replica: ReplicaId) -> u64 {
        self.shared.index.holdings.bytes_of(replica)
    }

    /// Bytes of chunks on disk now.
    pub fn usage(&self) -> BlobUsage {
        self.shared.index.ledger.usage()
    }

    /// Counters since the store was opened.
    pub fn metrics(&self) -> &BlobMetrics {
        &self.shared.metrics
    }

    /// Stops the writer after it has written what it accepted. Nothing is accepted afterwards.
    pub async fn close(&self) {
        self.shared.queue.close();
        let writer = self.take_writer();
        // Had it panicked, it would have told.
        drop(blocking(move || Ok(writer.map(JoinHandle::join))).await);
    }

    fn take_writer(&self) -> Option<JoinHandle<()>> {
        lock(&self.writer).take()
    }

    /// Queues a job and waits for what becomes of it; a dropped answer means that the writer is gone.
    pub(super) async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        self.shared.queue.push(job(done), |bytes| self.shared.metrics.queued(bytes)).await?;
        answer.await.unwrap_or(Err(Error::Stopped))
    }
}

impl Drop for BlobStore {
    /// The folder is free afterwards.
    fn drop(&mut self) {
        self.shared.queue.close();
        drop(self.take_writer().map(JoinHandle::join));
    }
}
