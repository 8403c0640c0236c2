//! SIGINT and SIGTERM: the first asks for an orderly stop, the second ends the process at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// One wish to stop may arrive twice: `timeout` and `make` signal the process and its whole group.
const SAME_WISH: Duration = Duration::from_secs(1);
/// What a shell reports for a process ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Listens from the moment it is made: a signal during a long start counts.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub fn listen() -> Result<Self, Error> {
        let (interrupt, terminate) = listen().map_err(Error::failed("listen for signals"))?;
        Ok(Self { interrupt, terminate })
    }

    /// Resolves at the first signal. From then on a second one ends the process.
    pub async fn requested(&mut self) {
        either(&mut self.interrupt, &mut self.terminate).await;
        tracing::info!("stopping; a second signal ends at once");
        let second = std::thread::Builder::new().name("second-signal".into()).spawn(await_second);
        if let Err(error) = second {
            tracing::warn!(%error, "a second signal will not be heard");
        }
    }
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
