//! SIGINT and SIGTERM: the first asks for an orderly stop, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell reports for a process ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Resolves at the first signal. From then on a second one ends the process.
pub async fn stop_requested() {
    let (mut interrupt, mut terminate) = match listen() {
        Ok(both) => both,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals: only SIGKILL will stop this process");
            return std::future::pending().await;
        }
    };
    either(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping; a second signal ends at once");
    let second = std::thread::Builder::new().name("second-signal".into()).spawn(await_second);
    if let Err(error) = second {
        tracing::warn!(%error, "a second signal will not be heard");
    }
}

/// On a thread and runtime of its own, so that it works even if the stopping one is stuck.
fn await_second() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
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
