//! tokio: real threads, real time.
#![expect(clippy::disallowed_methods, reason = "this is the adapter the rest of the crate goes through")]

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Runtime;

/// The production runtime.
pub type Production = openraft_rt_tokio::TokioRuntime;

impl Runtime for Production {
    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down; nobody polls this task again.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn wall_us() -> u64 {
        static START: OnceLock<(u64, Instant)> = OnceLock::new();
        let (wall, instant) = START.get_or_init(|| {
            let wall =
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
            (wall, Instant::now())
        });
        wall + instant.elapsed().as_micros() as u64
    }

    fn random_u64() -> u64 {
        rand::random()
    }
}

/// Starts a named thread for work that owns a disk (the log writer).
pub fn start_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}
