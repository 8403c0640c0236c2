//! The longest lease this node may have granted, over restarts.
//!
//! A restarted voter keeps what it promised before, and that may have been more than it promises now: the
//! lease is a setting. The record is raised before anything is promised, and lowered only when what was
//! promised before this start is over.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::error::Error;
use crate::log_store::LogEngine;
use crate::runtime::Runtime;

/// Key of the node record: milliseconds, 8 bytes, big endian.
const RECORD: &str = "granted_lease_ms";

pub(super) struct Granted {
    /// Not kept open by whoever waits here: the store may be opened again meanwhile.
    engine: Weak<dyn LogEngine>,
    own: Duration,
    longest: OnceCell<Duration>,
}

impl Granted {
    /// `own` is the lease that replicas of this run grant.
    pub fn new(engine: &Arc<dyn LogEngine>, own: Duration) -> Self {
        Self { engine: Arc::downgrade(engine), own, longest: OnceCell::new() }
    }

    /// The longest lease that a replica on this node may have granted and that may still hold. What this run
    /// grants is on the disk when it returns.
    pub async fn longest<R: Runtime>(&self) -> Result<Duration, Error> {
        self.longest.get_or_try_init(|| self.record::<R>()).await.copied()
    }

    async fn record<R: Runtime>(&self) -> Result<Duration, Error> {
        let engine = self.engine.upgrade().ok_or(Error::Stopped)?;
        let stored = match engine.node_record(RECORD)? {
            Some(bytes) => Some(decode(&bytes)?),
            None => None,
        };
        let longest = stored.map_or(self.own, |stored| stored.max(self.own));
        if stored != Some(longest) {
            R::blocking(move || write(engine.as_ref(), longest)).await?;
        }
        if longest > self.own {
            let (engine, own) = (self.engine.clone(), self.own);
            drop(R::spawn(async move {
                R::sleep(longest).await;
                let lowered = R::blocking(move || {
                    engine.upgrade().map_or(Ok(()), |engine| write(engine.as_ref(), own))
                });
                if let Err(error) = lowered.await {
                    tracing::warn!(%error, "the longer lease of before is kept: voters wait longer after a restart");
                }
            }));
        }
        Ok(longest)
    }
}

fn decode(bytes: &[u8]) -> Result<Duration, Error> {
    let bytes =
        bytes.try_into().map_err(|_| Error::corrupt("the record of the lease", "it is not 8 bytes"))?;
    Ok(Duration::from_millis(u64::from_be_bytes(bytes)))
}

fn write(engine: &dyn LogEngine, lease: Duration) -> Result<(), Error> {
    let lease_ms = lease.as_millis() as u64;
    engine.put_node_record(RECORD, Bytes::copy_from_slice(&lease_ms.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use openraft::AsyncRuntime;

    use super::*;
    use crate::sim::{LossyLog, LossyOptions, Simulation};

    const LONG: Duration = Duration::from_millis(5000);
    const SHORT: Duration = Duration::from_millis(600);

    /// The longest lease as a process sees it that starts now and promises `own`.
    async fn longest(engine: &Arc<dyn LogEngine>, own: Duration) -> Duration {
        Granted::new(engine, own).longest::<Simulation>().await.expect("readable")
    }

    fn with_engine<T>(test: impl AsyncFnOnce(Arc<dyn LogEngine>) -> T) -> T {
        Simulation::with_seed(1).block_on(test(LossyLog::<Simulation>::new(LossyOptions::default())))
    }

    #[test]
    fn a_lease_made_shorter_is_honoured_at_its_old_length_over_every_restart_within_it() {
        with_engine(async |engine| {
            assert_eq!(longest(&engine, LONG).await, LONG);
            for _ in 0..3 {
                assert_eq!(longest(&engine, SHORT).await, LONG);
                Simulation::sleep(LONG / 4).await;
            }
            Simulation::sleep(LONG).await;
            assert_eq!(longest(&engine, SHORT).await, SHORT, "nobody relies on the long one any more");
        });
    }

    #[test]
    fn a_lease_made_longer_is_on_the_disk_before_it_is_granted() {
        with_engine(async |engine| {
            assert_eq!(longest(&engine, SHORT).await, SHORT);
            assert_eq!(longest(&engine, LONG).await, LONG);
            assert_eq!(longest(&engine, SHORT).await, LONG);
        });
    }

    #[test]
    fn a_damaged_record_is_no_lease() {
        with_engine(async |engine| {
            engine.put_node_record(RECORD, Bytes::from_static(b"600")).expect("writes");
            let error = Granted::new(&engine, SHORT).longest::<Simulation>().await.expect_err("3 bytes");
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        });
    }
}
