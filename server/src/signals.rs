//! SIGINT, SIGTERM and SIGHUP (a terminal was closed): the first asks for an orderly stop, another SIGINT or SIGTERM
//! ends the process at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// One wish to stop may arrive twice: `timeout` and `make` signal the process and its whole group.
const SAME_WISH: Duration = Duration::from_secs(1);
/// A shell reports this for a process ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;
/// SIGHUP is the first signal.
const HANGUP_BIT: u64 = 1;

/// Listens from the moment it is made: a signal during a long start counts.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// `None` under `nohup`, which asks for a process that outlives its terminal.
    hangup: Option<Signal>,
}

impl Stop {
    /// Begins to listen for all three signals. Fails if the system refuses a handler.
    pub fn listen() -> Result<Self, Error> {
        let (interrupt, terminate) = listen().map_err(Error::failed("listen for signals"))?;
        let listened = || signal(SignalKind::hangup()).map_err(Error::failed("listen for SIGHUP"));
        let hangup = if ignores_hangup() { None } else { Some(listened()?) };
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Resolves at the first signal. From then on a second one ends the process.
    pub async fn requested(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = either(&mut self.interrupt, &mut self.terminate) => {}
            () = hangup => {}
        }
        tracing::info!("stopping; a second signal ends at once");
        let second = std::thread::Builder::new().name("second-signal".into()).spawn(await_second);
        if let Err(error) = second {
            tracing::warn!(%error, "a second signal will not be heard");
        }
    }
}

/// Whether this process was started with SIGHUP ignored. Listening for a signal would end that.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_some_and(|signals| signals & HANGUP_BIT != 0)
}

/// The mask of ignored signals in a process's status, as Linux tells it: one bit for each, from the first.
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// On a thread and runtime of its own, so that it works even if the stopping one is stuck.
fn await_second() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        tokio::time::sleep(SAME_WISH).await;
        let Ok((mut interrupt, mut terminate)) = listen() else { return };
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(EXIT_INTERRUPTED);
    });
}

fn listen() -> std::io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read_from_the_status() {
        let status = "Name:\trowhouse\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(ignored(status), Some(0x1001));
        assert_eq!(ignored("Name:\tx\n"), None);
        assert!(ignored(&std::fs::read_to_string("/proc/self/status").unwrap()).is_some());
    }
}
