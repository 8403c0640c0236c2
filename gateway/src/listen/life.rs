//! How long a gateway's accept loops and connections run.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long accept loops and connections run: three signals, one after the other.
#[derive(Clone, Default)]
pub struct Life {
    pub tasks: TaskTracker,
    /// Accept no more; the next answer on each connection is its last.
    pub stop: CancellationToken,
    /// End connections on which nothing is asked.
    pub idle: CancellationToken,
    /// End now.
    pub end: CancellationToken,
}
