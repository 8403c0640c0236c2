//! What the gateway takes on at once: requests by count, bodies by bytes. Nothing queues here: what
//! does not fit is refused at once, with Retry-After, so that memory stays bounded.

use std::sync::Arc;

use rowhouse_proto::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone)]
pub struct Admission {
    requests: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
}

impl Admission {
    pub fn new(requests_max: usize, body_bytes_max: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS))),
            body_bytes: Arc::new(Semaphore::new(body_bytes_max.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Held while a shard is asked.
    pub fn request(&self) -> Result<OwnedSemaphorePermit, ErrorCode> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| ErrorCode::Overloaded)
    }

    /// An empty lease, to grow as bytes arrive: a slow upload holds what it has sent, not what it may send.
    pub fn bytes(&self) -> ByteLease {
        ByteLease { pool: Arc::clone(&self.body_bytes), held: None }
    }
}

/// Bytes of bodies in memory, given back on drop.
pub struct ByteLease {
    pool: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl ByteLease {
    pub fn grow(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        if bytes == 0 {
            return Ok(());
        }
        let bytes = u32::try_from(bytes).map_err(|_| ErrorCode::Overloaded)?;
        let more = Arc::clone(&self.pool).try_acquire_many_owned(bytes).map_err(|_| ErrorCode::Overloaded)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_fits_again_when_given_back() {
        let admission = Admission::new(1, 10);
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
}
