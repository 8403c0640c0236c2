//! `LogReader`: entries from the tail, older ones from the engine. In steady state it never reads disk.

use std::fmt::Debug;
use std::io;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use openraft::{OptionalSend, RaftLogReader};

use super::engine::{LogEngine, LogRecord};
use super::replica_log::ReplicaLog;
use crate::RaftTypes;
use crate::codec::{self, Entry, Vote};
use crate::error::Error;
use crate::runtime::Runtime;

/// Bytes of one read: what replication sends in one request. openraft caps by entry count only.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// A read is repeated when the log was truncated under it. Truncations follow elections, so a read that
/// meets this many in a row is not worth finishing.
const READ_ATTEMPTS_MAX: usize = 16;

/// Reads one replica's log. Clones read the same log.
pub struct LogReader<R> {
    log: Arc<ReplicaLog>,
    engine: Arc<dyn LogEngine>,
    _runtime: PhantomData<fn() -> R>,
}

impl<R> Clone for LogReader<R> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), engine: self.engine.clone(), _runtime: PhantomData }
    }
}

impl<R: Runtime> LogReader<R> {
    pub(super) fn new(log: Arc<ReplicaLog>, engine: Arc<dyn LogEngine>) -> Self {
        Self { log, engine, _runtime: PhantomData }
    }

    /// A prefix of `from <= index < to` of at most about `READ_BYTES_MAX`, never empty if the log has
    /// an entry there. Purged entries are passed over.
    pub(super) async fn read(&self, from: u64, to: u64) -> Result<Vec<Entry>, Error> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let found = self.log.find(from, to, READ_BYTES_MAX);
            let Some((first, end)) = found.engine else { return Ok(found.tail) };
            let (engine, replica) = (self.engine.clone(), self.log.replica());
            let records = R::blocking(move || engine.read(replica, first, end, READ_BYTES_MAX)).await?;
            if self.log.state().durability.epoch() != found.epoch {
                continue;
            }
            return self.decode(records, first);
        }
        Err(Error::corrupt("the Raft log", "a read met a truncation each time it was tried"))
    }

    fn decode(&self, records: Vec<LogRecord>, first: u64) -> Result<Vec<Entry>, Error> {
        let begin = records.first().map_or(first, |record| record.index);
        // Entries may have been purged since the read began, but only from the front.
        let purged = self.log.purged();
        if records.is_empty() || begin > first && purged.is_none_or(|purged| purged.index + 1 < begin) {
            let detail = format!("replica {}: entry {first} is missing", self.log.replica());
            return Err(Error::corrupt("the Raft log", detail));
        }
        let mut entries = Vec::with_capacity(records.len());
        for (expected, record) in (begin..).zip(records) {
            let entry = codec::decode_entry(record.bytes)?;
            if record.index != expected || entry.log_id.index != expected {
                let detail = format!("replica {}: no entry {expected}", self.log.replica());
                return Err(Error::corrupt("the Raft log", detail));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The entries of `range` in bounded reads.
    pub(super) fn stream(self, range: &impl RangeBounds<u64>) -> BoxStream<'static, io::Result<Entry>> {
        let (from, to) = bounds(range);
        let chunks = stream::try_unfold((self, from), move |(reader, next)| async move {
            let entries = reader.read(next, to).await?;
            let Some(last) = entries.last() else { return Ok::<_, Error>(None) };
            let next = last.log_id.index + 1;
            Ok(Some((stream::iter(entries.into_iter().map(Ok::<_, Error>)), (reader, next))))
        });
        chunks.try_flatten().map(|entry| entry.map_err(io::Error::from)).boxed()
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(from) => from.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(to) => to.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl<R: Runtime> RaftLogReader<RaftTypes<R>> for LogReader<R> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.clone().stream(&range).try_collect().await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.state().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        Ok(self.read(start, end).await?)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.clone().stream(&range)
    }
}
