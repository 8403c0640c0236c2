//! Where log lines go: to a thread of their own. A standard error that takes nothing (a pipe that nobody reads, a file on a
//! disk that hangs) stops nobody else.

use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait. What comes beyond is lost, and counted.
const LINES_MAX: usize = 8_192;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// A writer to standard error, and what writes the lines that still wait when it is dropped: for a second at most.
pub fn standard_error() -> (NonBlocking, WorkerGuard) {
    let (lines, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log-lines")
        .finish(std::io::stderr());
    LOST.get_or_init(|| lines.error_counter());
    (lines, guard)
}

/// Lines that were lost since the process started.
pub fn lost() -> u64 {
    LOST.get().map_or(0, |lost| lost.dropped_lines() as u64)
}
