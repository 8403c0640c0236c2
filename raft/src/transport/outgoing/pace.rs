//! `Pace`: no more bytes leave in a second than are allowed.

use std::sync::Mutex;
use std::time::Duration;

use openraft::Instant;

use crate::lock::lock;
use crate::runtime::Runtime;

/// The rate that all outgoing snapshots of a node share.
pub(in crate::transport) struct Pace<R: Runtime> {
    bytes_per_second: u64,
    /// When the next chunk may leave.
    next: Mutex<Option<R::Instant>>,
}

impl<R: Runtime> Pace<R> {
    pub(in crate::transport) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), next: Mutex::new(None) }
    }

    /// Waits until `bytes` more may leave this node.
    pub(in crate::transport) async fn pass(&self, bytes: u64) {
        let now = R::Instant::now();
        let start = {
            let mut next = lock(&self.next);
            let start = next.map_or(now, |next| next.max(now));
            *next = Some(start + Duration::from_micros(bytes * 1_000_000 / self.bytes_per_second));
            start
        };
        if start > now {
            // Not until a moment: those lie on a grid, too coarse for a pace.
            R::sleep(start - now).await;
        }
    }
}
