//! How the process ends when one of its stores can no longer be written.

use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// Ends the process; tests listen instead.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Ends the process after telling why, on the log and on standard error.
///
/// A store that failed to sync must not be synced again: the kernel may have dropped the pages and would
/// report success. Only a new process, reading what is really there, may go on
/// (docs/rules/storage.md#a-failed-sync-ends-the-node).
pub fn abort() -> OnFatal {
    Arc::new(|message| {
        tracing::error!("{message}");
        // The subscriber may lose its last lines in an abort; standard error does not. But it may be a file
        // on the very disk that is full, and a panic here would leave a node alive that can write nothing.
        let _lost = writeln!(std::io::stderr(), "{message}");
        std::process::abort()
    })
}

/// A store that is written by one place, until a write fails: then the process ends, and where it does not (in
/// tests) the store stays dead.
pub struct FatalLatch {
    on_fatal: OnFatal,
    /// The store, as the subject of a sentence: `The Raft log of this node`.
    store: &'static str,
    /// Tells the operator what to expect of a new start.
    advice: &'static str,
    dead: OnceLock<String>,
}

impl FatalLatch {
    /// A latch that has not fallen. `advice` follows "start the node again" in the message.
    pub fn new(on_fatal: OnFatal, store: &'static str, advice: &'static str) -> Self {
        Self { on_fatal, store, advice, dead: OnceLock::new() }
    }

    /// The error that ended the store; `None` while it works.
    pub fn dead(&self) -> Option<&str> {
        self.dead.get().map(String::as_str)
    }

    /// A write failed with `error`. The first failure is told, and ends the process.
    pub fn fall(&self, error: impl Display) {
        let error = error.to_string();
        if self.dead.set(error.clone()).is_err() {
            return;
        }
        (self.on_fatal)(&format!(
            "FATAL: {error}. {} cannot be written, and a failed sync must not be retried: the process ends. \
             Check the disk (space, SMART, kernel log) and start the node again: {}",
            self.store, self.advice
        ));
    }
}

/// Ends the process when the thread that holds it panics: everybody would wait for that thread for ever.
pub struct PanicAlarm {
    on_fatal: OnFatal,
    /// Who panicked, as the subject of a sentence: `the writer of the Raft log`.
    thread: &'static str,
    /// The consequence: `nothing on this node can be made durable any more`.
    consequence: &'static str,
}

impl PanicAlarm {
    /// An alarm that sounds if it is dropped by a panic.
    pub fn new(on_fatal: OnFatal, thread: &'static str, consequence: &'static str) -> Self {
        Self { on_fatal, thread, consequence }
    }
}

impl Drop for PanicAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.on_fatal)(&format!(
                "FATAL: {} panicked, so {}: the process ends. Start the node again; what it had acknowledged \
                 is on disk. If it panics again, report it with the lines above.",
                self.thread, self.consequence
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::lock::lock;

    fn listener() -> (OnFatal, Arc<Mutex<Vec<String>>>) {
        let told = Arc::<Mutex<Vec<String>>>::default();
        let tell = told.clone();
        (Arc::new(move |message: &str| lock(&tell).push(message.to_owned())), told)
    }

    #[test]
    fn the_first_failure_is_told_and_remembered() {
        let (on_fatal, told) = listener();
        let latch = FatalLatch::new(on_fatal, "The store", "nothing is lost.");
        assert_eq!(latch.dead(), None);
        latch.fall("disk full");
        latch.fall("disk gone");
        assert_eq!(latch.dead(), Some("disk full"));
        let told = lock(&told).clone();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("FATAL: disk full. The store cannot be written"), "{told:?}");
    }

    #[test]
    fn only_a_panic_sounds_the_alarm() {
        let (on_fatal, told) = listener();
        drop(PanicAlarm::new(on_fatal.clone(), "the writer", "nobody writes"));
        assert!(lock(&told).is_empty());
        let alarm = PanicAlarm::new(on_fatal, "the writer", "nobody writes");
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _alarm = alarm;
            panic!("as a bug would");
        }));
        assert!(ended.is_err());
        assert!(lock(&told)[0].starts_with("FATAL: the writer panicked, so nobody writes"));
    }
}
