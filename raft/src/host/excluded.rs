//! Replicas that an operator has cut off for good: their group lost its majority, and goes on without them.
//!
//! Replica ids are never reused, so that the list is exact. It is on the disk before the group goes on.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::ReplicaId;
use crate::error::Error;
use crate::log_store::LogEngine;
use crate::runtime::Runtime;

/// Key of the node record: replica ids, 8 bytes each, big endian, rising.
const RECORD: &str = "excluded_replicas";

/// The list of one node.
pub(super) struct Excluded {
    /// Not kept open by this list: the store may be opened again meanwhile.
    engine: Weak<dyn LogEngine>,
    writing: Mutex<()>,
}

impl Excluded {
    pub fn new(engine: &Arc<dyn LogEngine>) -> Self {
        Self { engine: Arc::downgrade(engine), writing: Mutex::default() }
    }

    /// All of them.
    pub fn all(&self) -> Result<BTreeSet<ReplicaId>, Error> {
        let engine = self.engine.upgrade().ok_or(Error::Stopped)?;
        engine.node_record(RECORD)?.map_or_else(|| Ok(BTreeSet::new()), |record| decode(&record))
    }

    /// Adds some; answers all. Synced when it returns.
    pub async fn add<R: Runtime>(&self, more: &BTreeSet<ReplicaId>) -> Result<BTreeSet<ReplicaId>, Error> {
        let _one_at_a_time = self.writing.lock().await;
        let all: BTreeSet<ReplicaId> = self.all()?.union(more).copied().collect();
        let engine = self.engine.upgrade().ok_or(Error::Stopped)?;
        let record = encode(&all);
        let writing: BoxFuture<'static, Result<(), Error>> =
            Box::pin(R::blocking(move || engine.put_node_record(RECORD, record)));
        writing.await?;
        Ok(all)
    }
}

fn encode(replicas: &BTreeSet<ReplicaId>) -> Bytes {
    let mut record = BytesMut::with_capacity(replicas.len() * size_of::<ReplicaId>());
    for replica in replicas {
        record.put_u64(*replica);
    }
    record.freeze()
}

fn decode(record: &[u8]) -> Result<BTreeSet<ReplicaId>, Error> {
    let (ids, rest) = record.as_chunks::<{ size_of::<ReplicaId>() }>();
    if !rest.is_empty() {
        return Err(Error::corrupt("the record of excluded replicas", "it is not a list of ids"));
    }
    Ok(ids.iter().map(|id| ReplicaId::from_be_bytes(*id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::AsyncRuntime;

    use crate::sim::{LossyLog, LossyOptions, Simulation};

    #[test]
    fn those_that_are_cut_off_stay_so() {
        Simulation::with_seed(1).block_on(async {
            let engine: Arc<dyn LogEngine> = LossyLog::<Simulation>::new(LossyOptions::default());
            let excluded = Excluded::new(&engine);
            assert!(excluded.all().expect("readable").is_empty());
            excluded.add::<Simulation>(&[3, 1].into()).await.expect("writes");
            assert_eq!(excluded.add::<Simulation>(&[7].into()).await.expect("writes"), [1, 3, 7].into());
            assert_eq!(Excluded::new(&engine).all().expect("readable"), [1, 3, 7].into());
        });
        assert!(decode(&[1, 2, 3]).is_err());
    }
}
