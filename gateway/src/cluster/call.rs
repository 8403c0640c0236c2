//! `Call`: what one client request brings to all its RPCs: its deadline, its time of arrival, its trace.

use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::TraceContext;
use tokio::time::Instant;

use super::Cluster;

/// One client request's account with the cluster, from its arrival over all its RPCs and retries.
#[derive(Clone)]
pub struct Call {
    pub(super) deadline: Instant,
    /// Cluster time when it arrived; unknown before the first map.
    pub(super) issued_at_us: Option<u64>,
    pub(super) trace: Bytes,
}

impl Cluster {
    /// Opens the account of a client request that has just arrived. `trace` is its root span's.
    pub fn call(&self, trace: Option<TraceContext>) -> Call {
        Call {
            deadline: Instant::now() + self.retry_timeout,
            issued_at_us: self.clock.issued_at_us(),
            trace: trace.map(|trace| Bytes::copy_from_slice(&trace.to_bytes())).unwrap_or_default(),
        }
    }

    /// A new account for a later question of the same client request. An upload may last for many minutes:
    /// under its first `issued_at` a shard would have to answer that the request is too old to be retried.
    pub fn call_again(&self, call: &Call) -> Call {
        Call {
            deadline: Instant::now() + self.retry_timeout,
            issued_at_us: self.clock.issued_at_us(),
            trace: call.trace.clone(),
        }
    }
}

impl Call {
    /// Gives the cluster its whole time from now, once a small body, or the start of a large one, has arrived.
    /// `issued_at` stays: a body's timeout and the retries together fit well into the window in which shards
    /// remember requests.
    pub fn restart(&mut self, retry_timeout: Duration) {
        self.deadline = Instant::now() + retry_timeout;
    }
}
