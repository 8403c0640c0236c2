//! Keeps every component running: one task each, which starts the process and starts it again.
//!
//! Owns the children and `cluster.json`. A component that cannot stay up while the cluster starts is a
//! failure; once the cluster has served, it is started again for ever, more slowly each time.

use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::child::Child;
use super::cluster_file::{ClusterFile, Entry};
use super::plan::{Component, Kind};
use super::ports::Ports;
use super::tail::tail;
use crate::error::Error;
use crate::files;

/// Ends in a row, while the cluster starts, after which a component counts as broken.
const START_FAILURES_MAX: u32 = 3;
/// A process that ran this long has started well: the pause before the next start is short again.
const STEADY_AFTER: Duration = Duration::from_secs(10);
/// Longest pause between starts of a component that keeps failing.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// Time to stop in order: longer than the components' own bounds for what they have in flight.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// Each task reports at most one failure.
const FAILURES_MAX: usize = 64;

pub struct Supervisor {
    board: Board,
    restart_delay: Duration,
    tasks: Vec<(Kind, CancellationToken, JoinSet<()>)>,
    failed: mpsc::Sender<Error>,
    failures: mpsc::Receiver<Error>,
}

impl Supervisor {
    /// Keeps the cluster file at `path` true. Waits for `restart_delay` before a component starts again.
    pub fn new(path: PathBuf, file: ClusterFile, restart_delay: Duration) -> Self {
        let (failed, failures) = mpsc::channel(FAILURES_MAX);
        let board = Board { path, file: Arc::new(Mutex::new(file)) };
        Self { board, restart_delay, tasks: Vec::new(), failed, failures }
    }

    /// Starts a component and keeps it running until it is stopped.
    pub fn keep(&mut self, component: Component) -> Result<(), Error> {
        let index = self.board.add(&component)?;
        let stop = CancellationToken::new();
        let keeper = Keeper {
            component,
            index,
            board: self.board.clone(),
            restart_delay: self.restart_delay,
            stop: stop.clone(),
            failed: self.failed.clone(),
        };
        let kind = keeper.component.kind;
        let mut task = JoinSet::new();
        task.spawn(keeper.run());
        self.tasks.push((kind, stop, task));
        Ok(())
    }

    /// The first component found broken.
    pub async fn failure(&mut self) -> Error {
        match self.failures.recv().await {
            Some(error) => error,
            // Impossible while `failed` lives beside it.
            None => std::future::pending().await,
        }
    }

    /// Tells scripts of ports that are used from now on.
    pub fn set_ports(&self, ports: Ports) -> Result<(), Error> {
        self.board.change(|file| file.ports = ports)
    }

    pub fn serving(&self) -> Result<(), Error> {
        self.board.change(|file| file.ready = true)
    }

    /// A copy of the cluster file as it stands.
    pub fn snapshot(&self) -> ClusterFile {
        self.board.read()
    }

    /// The content of `cluster.json`, kept true while the cluster runs.
    pub fn shared(&self) -> Board {
        self.board.clone()
    }

    /// Gateways first, so that no request arrives at a cluster that is half gone.
    pub async fn stop(mut self) {
        for kind in [Kind::Gateway, Kind::Node, Kind::Testnet] {
            let of_kind = self.tasks.iter_mut().filter(|(of, _, _)| *of == kind);
            let mut stopping = Vec::new();
            for (_, stop, task) in of_kind {
                stop.cancel();
                stopping.push(task);
            }
            for task in stopping {
                while task.join_next().await.is_some() {}
            }
        }
        // A file that says "ready" for a cluster that is gone would mislead scripts.
        let removed = std::fs::remove_file(&self.board.path);
        if let Err(error) = removed {
            tracing::debug!(%error, "cluster.json was not removed");
        }
    }
}

/// The contents of `cluster.json`, shared by the tasks.
#[derive(Clone)]
pub struct Board {
    path: PathBuf,
    file: Arc<Mutex<ClusterFile>>,
}

impl Board {
    fn add(&self, component: &Component) -> Result<usize, Error> {
        let mut index = 0;
        self.change(|file| {
            index = file.components.len();
            file.components.push(Entry::new(component));
        })?;
        Ok(index)
    }

    fn change(&self, change: impl FnOnce(&mut ClusterFile)) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut file);
        files::write_json(&self.path, &*file)
    }

    /// Of the first component of a kind.
    pub fn pid_of(&self, kind: Kind) -> Option<u32> {
        self.read().components.iter().find(|entry| entry.kind == kind)?.pid
    }

    fn read(&self) -> ClusterFile {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_pid(&self, index: usize, pid: Option<u32>, restarts: u64) {
        let changed = self.change(|file| {
            if let Some(entry) = file.components.get_mut(index) {
                entry.pid = pid;
                entry.restarts = restarts;
            }
        });
        if let Err(error) = changed {
            tracing::warn!(%error, "cluster.json is out of date");
        }
    }

    fn serves(&self) -> bool {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).ready
    }
}

/// Looks after one component.
struct Keeper {
    component: Component,
    index: usize,
    board: Board,
    restart_delay: Duration,
    stop: CancellationToken,
    failed: mpsc::Sender<Error>,
}

impl Keeper {
    async fn run(self) {
        let mut restarts = 0;
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let why = match self.run_once(restarts).await {
                Ok(Some(why)) => why,
                Ok(None) => return,
                Err(error) => error.to_string(),
            };
            failures = if started.elapsed() >= STEADY_AFTER { 0 } else { failures + 1 };
            if !self.board.serves() && failures >= START_FAILURES_MAX {
                let text = failure_text(&self.component.name, &why, &self.component.log_file());
                // Only the first failure is of interest; a full channel holds one already.
                let _first_counts = self.failed.try_send(Error::Failed(text));
                return;
            }
            let delay = restart_delay(self.restart_delay, failures);
            say(&format!("{} {why}; starting it again in {} ms", self.component.name, delay.as_millis()));
            // Held until just before the next start.
            let guard = self.component.guarded.and_then(|address| UdpSocket::bind(address).ok());
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(delay) => restarts += 1,
            }
            drop(guard);
        }
    }

    /// One life of the process. Answers why it ended, or nothing if it was told to stop.
    async fn run_once(&self, restarts: u64) -> Result<Option<String>, Error> {
        let mut child = Child::spawn(&self.component)?;
        self.board.set_pid(self.index, Some(child.pid), restarts);
        if restarts > 0 {
            say(&format!("{} runs again, pid {}", self.component.name, child.pid));
        }
        let ended = tokio::select! {
            status = child.ended() => Some(status),
            () = self.stop.cancelled() => None,
            never = Child::keep_output_short(&self.component) => match never {},
        };
        let why = match ended {
            Some(status) => Some(status.map_err(Error::failed("wait for a component"))?.to_string()),
            None => {
                child.stop(STOP_GRACE).await.map_err(Error::failed("stop a component"))?;
                None
            }
        };
        self.board.set_pid(self.index, None, restarts);
        Ok(why.map(|status| format!("ended ({status})")))
    }
}

/// Doubles with each failure in a row after the first, up to a bound.
fn restart_delay(first: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let most = RESTART_DELAY_MAX.max(first);
    first.saturating_mul(1 << doublings).min(most)
}

fn failure_text(name: &str, why: &str, output: &Path) -> String {
    format!("{name} {why}. The end of {}:\n\n{}", output.display(), tail(output))
}

/// A line for the person in front of the terminal. The cluster goes on when nobody listens any more.
pub fn say(line: &str) {
    let _closed = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_component_returns_soon_and_a_failing_one_ever_more_slowly() {
        let first = Duration::from_millis(1000);
        assert_eq!(restart_delay(first, 0), first);
        assert_eq!(restart_delay(first, 1), first);
        assert_eq!(restart_delay(first, 2), first * 2);
        assert_eq!(restart_delay(first, 3), first * 4);
        assert_eq!(restart_delay(first, 60), RESTART_DELAY_MAX);
        assert_eq!(restart_delay(Duration::from_secs(60), 5), Duration::from_secs(60));
    }
}
