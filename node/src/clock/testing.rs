//! A log engine that keeps node records only, for tests of what stands on them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use rowhouse_raft::log_store::{LogEngine, LogMetrics, LogOp, LogRecord, MetaKind};
use rowhouse_raft::{Error as RaftError, ReplicaId};

#[derive(Default)]
pub struct Records {
    records: Mutex<BTreeMap<String, Bytes>>,
    metrics: LogMetrics,
}

impl LogEngine for Records {
    fn submit(&self, _: Vec<LogOp>, _: bool, on_durable: Box<dyn FnOnce(Result<(), RaftError>) + Send>) {
        on_durable(Ok(()));
    }
    fn read(&self, _: ReplicaId, _: u64, _: u64, _: usize) -> Result<Vec<LogRecord>, RaftError> {
        Ok(Vec::new())
    }
    fn last_index(&self, _: ReplicaId) -> Result<Option<u64>, RaftError> {
        Ok(None)
    }
    fn meta(&self, _: ReplicaId, _: MetaKind) -> Result<Option<Bytes>, RaftError> {
        Ok(None)
    }
    fn replicas(&self) -> Result<Vec<(ReplicaId, Bytes)>, RaftError> {
        Ok(Vec::new())
    }
    fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }
    fn node_record(&self, key: &str) -> Result<Option<Bytes>, RaftError> {
        Ok(self.records.lock().expect("not poisoned").get(key).cloned())
    }
    fn put_node_record(&self, key: &str, value: Bytes) -> Result<(), RaftError> {
        self.records.lock().expect("not poisoned").insert(key.to_owned(), value);
        Ok(())
    }
}
