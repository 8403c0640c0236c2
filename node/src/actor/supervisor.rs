//! Runs the node's actors. When one ends, by an error or a panic, its policy says when it starts again.
//!
//! A fatal error of an actor ends the supervisor, and the supervisor's end is the node's.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info_span, warn};

use super::{ActorState, Backoff, Statuses, TaskKind};
use crate::Error;

/// One life of an actor.
pub type ActorFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// How long actors get to end by themselves once asked to.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

type Start = Arc<dyn Fn(CancellationToken) -> ActorFuture + Send + Sync>;

struct Child {
    start: Start,
    backoff: Backoff,
    started: Instant,
}

/// Owns the tasks of all actors of a node. Its children are added before it runs.
pub struct Supervisor {
    stop: CancellationToken,
    statuses: Statuses,
    children: BTreeMap<TaskKind, Child>,
    tasks: JoinSet<Result<(), Error>>,
    running: BTreeMap<Id, TaskKind>,
    random: fn() -> u64,
}

impl Supervisor {
    /// Without actors yet. `stop` ends them all; `random` spreads restarts; `statuses` is the board that it writes.
    pub fn new(stop: CancellationToken, random: fn() -> u64, statuses: Statuses) -> Self {
        Self {
            stop,
            statuses,
            children: BTreeMap::new(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            random,
        }
    }

    /// Adds an actor; `start` is called for each of its lives.
    pub fn add(
        &mut self,
        kind: TaskKind,
        start: impl Fn(CancellationToken) -> ActorFuture + Send + Sync + 'static,
    ) {
        let child =
            Child { start: Arc::new(start), backoff: Backoff::new(kind.restart()), started: Instant::now() };
        self.children.insert(kind, child);
    }

    /// Runs until the token is cancelled, or an actor ends with a fatal error.
    pub async fn run(mut self) -> Result<(), Error> {
        let kinds: Vec<TaskKind> = self.children.keys().copied().collect();
        for kind in kinds {
            self.launch(kind, Duration::ZERO);
        }
        let result = loop {
            let ended = tokio::select! {
                biased;
                () = self.stop.cancelled() => break Ok(()),
                Some(ended) = self.tasks.join_next_with_id() => ended,
                else => break Ok(()),
            };
            if let Err(fatal) = self.on_ended(ended) {
                break Err(fatal);
            }
        };
        self.stop.cancel();
        self.wind_down().await;
        result
    }

    fn launch(&mut self, kind: TaskKind, delay: Duration) {
        let Some(child) = self.children.get_mut(&kind) else { return };
        child.started = Instant::now() + delay;
        let (start, stop, statuses) = (Arc::clone(&child.start), self.stop.clone(), self.statuses.clone());
        let life = async move {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(delay) => {}
            }
            statuses.set(kind, ActorState::Running);
            start(stop).await
        };
        let handle = self.tasks.spawn(life.instrument(info_span!("actor", task = %kind)));
        self.running.insert(handle.id(), kind);
    }

    fn on_ended(&mut self, ended: Result<(Id, Result<(), Error>), JoinError>) -> Result<(), Error> {
        let (id, problem) = match ended {
            Ok((id, Ok(()))) => (id, "ended without being asked to".to_owned()),
            Ok((_, Err(error))) if error.is_fatal() => return Err(error),
            Ok((id, Err(error))) => (id, error.to_string()),
            Err(error) if error.is_panic() => (error.id(), "panicked".to_owned()),
            Err(error) => (error.id(), "cancelled".to_owned()),
        };
        let Some(kind) = self.running.remove(&id) else { return Ok(()) };
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let Some(child) = self.children.get_mut(&kind) else { return Ok(()) };
        let ran = child.started.elapsed();
        match child.backoff.next(ran, (self.random)()) {
            Some(delay) => {
                let attempt = child.backoff.attempt();
                warn!(task = %kind, attempt, ?delay, problem, "actor ended, starting it again");
                self.statuses.set(kind, ActorState::Waiting { attempt, problem });
                self.launch(kind, delay);
            }
            None => {
                error!(task = %kind, problem, "actor parked");
                self.statuses.set(kind, ActorState::Parked { problem });
            }
        }
        Ok(())
    }

    async fn wind_down(&mut self) {
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_DEADLINE, all_ended).await.is_err() {
            warn!("actors did not end in time and are aborted");
            self.tasks.shutdown().await;
        }
        for kind in self.children.keys() {
            self.statuses.set(*kind, ActorState::Stopped);
        }
    }
}

#[cfg(test)]
mod tests;
