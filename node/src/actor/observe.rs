//! A board that shows the state of every actor, for status pages and tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowhouse_proto::lock::lock;
use tokio::sync::watch;
use tokio::time::Instant;

use super::TaskKind;

/// The state of one actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActorState {
    Running,
    /// Ended by an error or a panic; starts again after the delay.
    Waiting {
        attempt: u32,
        problem: String,
    },
    /// Ended for good; a person is needed.
    Parked {
        problem: String,
    },
    Stopped,
}

/// The last time that an actor ended without being asked to.
#[derive(Clone, Debug)]
struct Ending {
    at: Instant,
    problem: String,
    is_parked: bool,
}

/// An actor that ended lately, or for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub kind: TaskKind,
    pub problem: String,
    /// It does not start again.
    pub is_parked: bool,
}

/// The board: one writer (the supervisor), many readers.
#[derive(Clone, Debug)]
pub struct Statuses {
    states: Arc<watch::Sender<BTreeMap<TaskKind, ActorState>>>,
    /// A restart may take less time than lies between two looks at the states.
    endings: Arc<Mutex<BTreeMap<TaskKind, Ending>>>,
}

impl Default for Statuses {
    fn default() -> Self {
        Self { states: Arc::new(watch::Sender::new(BTreeMap::new())), endings: Arc::default() }
    }
}

impl Statuses {
    /// Puts the state of one actor on the board, in place of its last one.
    pub(super) fn set(&self, kind: TaskKind, state: ActorState) {
        let ended = match &state {
            ActorState::Waiting { problem, .. } => Some((problem, false)),
            ActorState::Parked { problem } => Some((problem, true)),
            ActorState::Running | ActorState::Stopped => None,
        };
        if let Some((problem, is_parked)) = ended {
            let ending = Ending { at: Instant::now(), problem: problem.clone(), is_parked };
            lock(&self.endings).insert(kind, ending);
        }
        self.states.send_modify(|board| {
            board.insert(kind, state);
        });
    }

    /// Actors that ended without being asked to within this time, and those that do not start again.
    pub fn ended_within(&self, time: Duration) -> Vec<Ended> {
        let endings = lock(&self.endings);
        let lately = endings.iter().filter(|(_, ending)| ending.is_parked || ending.at.elapsed() < time);
        lately
            .map(|(kind, ending)| Ended {
                kind: *kind,
                problem: ending.problem.clone(),
                is_parked: ending.is_parked,
            })
            .collect()
    }

    /// The board as it is now.
    pub fn snapshot(&self) -> BTreeMap<TaskKind, ActorState> {
        self.states.borrow().clone()
    }

    /// Marks changes of the board; coalesces them.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<TaskKind, ActorState>> {
        self.states.subscribe()
    }
}
