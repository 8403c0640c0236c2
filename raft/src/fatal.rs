//! How the process ends when one of its stores can no longer be written.

use std::io::Write;
use std::sync::Arc;

/// What ends the process; tests listen instead.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// A store that failed to sync must not be synced again: the kernel may have dropped the pages and would
/// report success. Only a new process, reading what is really there, may go on.
pub fn abort() -> OnFatal {
    Arc::new(|message| {
        tracing::error!("{message}");
        // The subscriber may lose its last lines in an abort; standard error does not. But it may be a file
        // on the very disk that is full, and a panic here would leave a node alive that can write nothing.
        let _lost = writeln!(std::io::stderr(), "{message}");
        std::process::abort()
    })
}
