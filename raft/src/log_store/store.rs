//! `LogStore`: one replica's log as openraft sees it.

use std::fmt::Debug;
use std::io;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};

use super::answer::{answered, submit_durably};
use super::budget::TailBudget;
use super::engine::LogEngine;
use super::handle::LogHandle;
use super::reader::LogReader;
use super::replica_log::ReplicaLog;
use crate::codec::{self, Entry, LogId, Vote};
use crate::entry_spans::{EntrySpans, Step};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::{RaftTypes, ReplicaId};

/// One replica's log, for openraft.
pub struct LogStore<R> {
    log: Arc<ReplicaLog>,
    engine: Arc<dyn LogEngine>,
    budget: Arc<TailBudget>,
    _runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> LogStore<R> {
    /// Opens the log of `replica`, empty if it was never here. Waits until the engine has written what
    /// an earlier store of this replica left in its queue.
    pub async fn open(
        engine: Arc<dyn LogEngine>,
        replica: ReplicaId,
        budget: Arc<TailBudget>,
    ) -> Result<Self, Error> {
        submit_durably(engine.as_ref(), Vec::new()).await?;
        let (reader, share) = (engine.clone(), budget.clone());
        let opening: BoxFuture<'static, Result<Arc<ReplicaLog>, Error>> =
            Box::pin(R::blocking(move || ReplicaLog::open(reader.as_ref(), replica, share)));
        let log = opening.await?;
        Ok(Self { log, engine, budget, _runtime: PhantomData })
    }

    /// A handle for the state machine and the host.
    pub fn handle(&self) -> LogHandle<R> {
        LogHandle::new(self.log.clone(), self.engine.clone())
    }

    /// A reader of this log.
    pub fn reader(&self) -> LogReader<R> {
        LogReader::new(self.log.clone(), self.engine.clone())
    }

    /// The vote as saved last.
    pub fn stored_vote(&self) -> Option<Vote> {
        self.log.state().vote
    }
}

impl<R> Drop for LogStore<R> {
    /// The next store of this replica may be open before the last handle of this one is gone.
    fn drop(&mut self) {
        self.log.close();
    }
}

impl<R: Runtime> RaftLogStorage<RaftTypes<R>> for LogStore<R> {
    type LogReader = LogReader<R>;

    async fn get_log_state(&mut self) -> Result<LogState<RaftTypes<R>>, io::Error> {
        let state = self.log.state();
        Ok(LogState { last_purged_log_id: state.positions.purged(), last_log_id: state.positions.last() })
    }

    async fn get_log_reader(&mut self) -> LogReader<R> {
        self.reader()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        Ok(answered(self.log.save_vote(self.engine.as_ref(), *vote)).await?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.log.save_committed(self.engine.as_ref(), committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.state().positions.committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<RaftTypes<R>>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encode = |entry: Entry| {
            let record = codec::encode_entry(&entry);
            (entry, record)
        };
        let entries: Vec<(Entry, Bytes)> = entries.into_iter().map(encode).collect();
        let bytes = entries.iter().map(|(_, record)| record.len()).sum();
        let room = self.budget.admit(bytes).await;
        let appended = entries.iter().map(|(entry, _)| entry);
        let spans = EntrySpans::begin(Step::LogSync, None, self.log.replica(), appended);
        let flushed = move |result: Result<(), Error>| {
            drop((room, spans));
            callback.io_completed(result.map_err(io::Error::from));
        };
        self.log.append(self.engine.as_ref(), entries, flushed)?;
        self.budget.make_room();
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.log.truncate(self.engine.as_ref(), last);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.log.purge(self.engine.as_ref(), upto);
        Ok(())
    }
}

impl<R: Runtime> RaftLogReader<RaftTypes<R>> for LogStore<R> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.reader().try_get_log_entries(range).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.reader().read_vote().await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.reader().limited_get_log_entries(start, end).await
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.reader().stream(&range)
    }
}
