//! `Permits`: how many snapshots leave a node at once, and who is next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ReplicaId;
use crate::lock::lock;
use crate::runtime::Runtime;
use crate::transport::wire::bulk::TRANSFERS_MAX;

/// Who has waited for a permit comes back for it at once, unless it no longer leads.
const RESERVED_FOR: Duration = Duration::from_secs(10);

/// Permits to send a snapshot, claimed by receiver.
#[derive(Clone)]
pub(in crate::transport) struct Permits {
    free: Arc<Semaphore>,
    reserved: Arc<Mutex<Reserved>>,
}

#[derive(Default)]
struct Reserved {
    last_id: u64,
    permits: BTreeMap<ReplicaId, (u64, OwnedSemaphorePermit)>,
}

impl Permits {
    pub(in crate::transport) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(TRANSFERS_MAX)), reserved: Arc::default() }
    }

    /// A permit to send to `to` now; `None` if it must wait.
    pub(in crate::transport) fn claim(&self, to: ReplicaId) -> Option<OwnedSemaphorePermit> {
        let reserved = self.reserved().permits.remove(&to);
        reserved.map(|(_, permit)| permit).or_else(|| self.free.clone().try_acquire_owned().ok())
    }

    /// Waits, in line, until `claim` would give a permit; it is reserved for `RESERVED_FOR`.
    pub(in crate::transport) async fn wait<R: Runtime>(&self, to: ReplicaId) {
        // Nobody closes the semaphore.
        let Ok(permit) = self.free.clone().acquire_owned().await else { return };
        let id = {
            let mut reserved = self.reserved();
            reserved.last_id += 1;
            let id = reserved.last_id;
            reserved.permits.insert(to, (id, permit));
            id
        };
        let permits = self.clone();
        drop(R::spawn(async move {
            R::sleep(RESERVED_FOR).await;
            let mut reserved = permits.reserved();
            if reserved.permits.get(&to).is_some_and(|(found, _)| *found == id) {
                reserved.permits.remove(&to);
            }
        }));
    }

    fn reserved(&self) -> MutexGuard<'_, Reserved> {
        lock(&self.reserved)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use openraft::AsyncRuntime;

    use super::*;
    use crate::sim::Simulation;

    #[test]
    fn who_waited_finds_a_permit_and_who_does_not_come_loses_it() {
        Simulation::with_seed(1).block_on(async {
            let permits = Permits::new();
            let (first, _second) = (permits.claim(1).expect("free"), permits.claim(2).expect("free"));
            assert!(permits.claim(3).is_none());
            let mut waiting = Box::pin(permits.wait::<Simulation>(3));
            assert!(waiting.as_mut().now_or_never().is_none());
            drop(first);
            assert!(permits.claim(4).is_none(), "another is before it");
            waiting.await;
            assert!(permits.claim(4).is_none(), "it is reserved");
            drop(permits.claim(3).expect("for who waited"));
            permits.wait::<Simulation>(5).await;
            Simulation::sleep(RESERVED_FOR * 2).await;
            assert!(permits.claim(4).is_some(), "nobody came for it");
        });
    }
}
