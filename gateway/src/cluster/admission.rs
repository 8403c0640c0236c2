//! The load that a gateway takes on at once: requests by count, bodies by bytes. Small bodies never queue: one that
//! finds no room is refused at once, with Retry-After, so that memory stays bounded. Chunks of large bodies wait in a
//! queue of their own, so that their clients slow down and small bodies lose no room.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::account_room::{AccountLease, AccountRoom};
use super::metrics::{self, BODIES, CHUNKS, REQUESTS};

/// One pool at one moment, in requests or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// `requests`, `bodies` or `chunks`.
    pub name: &'static str,
    /// So much is taken.
    pub used: u64,
    /// So much can be taken.
    pub limit: u64,
}

/// The bounds of one gateway: one pool for each kind of load. Cheap to clone; clones share the pools.
#[derive(Clone)]
pub struct Admission {
    requests: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
    chunk_bytes: Arc<Semaphore>,
    accounts: Arc<AccountRoom>,
    /// Of the pools, in the order of `in_use`.
    limits: [usize; 3],
}

impl Admission {
    /// `body_bytes_max` bounds inline bodies, `chunk_bytes_max` the chunks of large ones.
    pub fn new(requests_max: usize, body_bytes_max: usize, chunk_bytes_max: usize) -> Self {
        metrics::begin();
        let limits =
            [requests_max, body_bytes_max, chunk_bytes_max].map(|max| max.min(Semaphore::MAX_PERMITS));
        let [requests, body_bytes, chunk_bytes] = limits.map(|limit| Arc::new(Semaphore::new(limit)));
        Self { requests, body_bytes, chunk_bytes, accounts: Arc::default(), limits }
    }

    /// The pools of requests, small bodies and chunks, at this moment.
    pub fn in_use(&self) -> [PoolUse; 3] {
        let [requests, bodies, chunks] = self.limits;
        let use_of = |name, pool: &Semaphore, limit: usize| {
            let used = limit.saturating_sub(pool.available_permits()) as u64;
            PoolUse { name, used, limit: limit as u64 }
        };
        [
            use_of(REQUESTS, &self.requests, requests),
            use_of(BODIES, &self.body_bytes, bodies),
            use_of(CHUNKS, &self.chunk_bytes, chunks),
        ]
    }

    /// Held while a shard is asked.
    pub fn request(&self) -> Result<OwnedSemaphorePermit, ErrorCode> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| no_room(REQUESTS))
    }

    /// An empty lease, to grow as bytes arrive: a slow upload holds what it has sent, not what it may send.
    pub fn bytes(&self) -> ByteLease {
        ByteLease { pool: Arc::clone(&self.body_bytes), held: None }
    }

    /// An empty lease for the body of an account route, which comes from `address`.
    pub fn account(&self, address: IpAddr) -> AccountLease {
        Arc::clone(&self.accounts).lease(address)
    }

    /// Room for a chunk of a large body. Taken whole before its first byte is read: chunks that wait for
    /// each other's last bytes would wait for ever.
    pub async fn chunk(&self, bytes: usize, timeout: Duration) -> Result<ByteLease, ErrorCode> {
        let pool = Arc::clone(&self.chunk_bytes);
        let count = u32::try_from(bytes).map_err(|_| ErrorCode::Overloaded)?;
        match tokio::time::timeout(timeout, Arc::clone(&pool).acquire_many_owned(count)).await {
            Ok(Ok(held)) => Ok(ByteLease { pool, held: Some(held) }),
            Ok(Err(_)) | Err(_) => Err(no_room(CHUNKS)),
        }
    }
}

/// Bytes of bodies in memory, given back on drop.
pub struct ByteLease {
    pool: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl ByteLease {
    /// Takes room for more bytes, or refuses them as `Overloaded` and holds what it held.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        if bytes == 0 {
            return Ok(());
        }
        let bytes = u32::try_from(bytes).map_err(|_| ErrorCode::Overloaded)?;
        let more = Arc::clone(&self.pool).try_acquire_many_owned(bytes).map_err(|_| no_room(BODIES))?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// Gives back all room but that of so many bytes.
    pub fn keep(&mut self, bytes: usize) {
        if let Some(held) = &mut self.held {
            drop(held.split(held.num_permits().saturating_sub(bytes)));
        }
    }
}

/// Counts the refusal.
fn no_room(pool: &'static str) -> ErrorCode {
    metrics::refused(pool);
    ErrorCode::Overloaded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_tell_what_is_taken() {
        let admission = Admission::new(2, 10, 20);
        let _request = admission.request().expect("empty");
        let mut lease = admission.bytes();
        lease.grow(4).expect("fits");
        let used = admission.in_use().map(|pool| (pool.name, pool.used, pool.limit));
        assert_eq!(used, [("requests", 1, 2), ("bodies", 4, 10), ("chunks", 0, 20)]);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_fits_again_when_given_back() {
        let admission = Admission::new(1, 10, 0);
        let first = admission.request().expect("empty");
        assert_eq!(admission.request().err(), Some(ErrorCode::Overloaded));
        drop(first);
        assert!(admission.request().is_ok());

        let mut lease = admission.bytes();
        lease.grow(4).expect("fits");
        lease.grow(6).expect("fits exactly");
        assert_eq!(lease.grow(1), Err(ErrorCode::Overloaded));
        drop(lease);
        assert!(admission.bytes().grow(10).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn chunks_wait_their_turn_for_a_bounded_while() {
        const PATIENCE: Duration = Duration::from_secs(30);
        let admission = Admission::new(1, 0, 10);
        let first = admission.chunk(6, PATIENCE).await.expect("empty");
        assert_eq!(admission.chunk(6, PATIENCE).await.err(), Some(ErrorCode::Overloaded));
        let release = async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(admission.chunk(6, PATIENCE), release);
        let mut second = second.expect("given back");
        second.keep(3);
        assert!(admission.chunk(8, Duration::ZERO).await.is_err());
        assert!(admission.chunk(7, Duration::ZERO).await.is_ok());
    }
}
