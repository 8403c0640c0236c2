//! A board that shows the state of every actor, for status pages and tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

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

/// The board: one writer (the supervisor), many readers.
#[derive(Clone, Debug)]
pub struct Statuses(Arc<watch::Sender<BTreeMap<TaskKind, ActorState>>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeMap::new())))
    }
}

impl Statuses {
    /// Puts the state of one actor on the board, in place of its last one.
    pub(super) fn set(&self, kind: TaskKind, state: ActorState) {
        self.0.send_modify(|board| {
            board.insert(kind, state);
        });
    }

    /// The board as it is now.
    pub fn snapshot(&self) -> BTreeMap<TaskKind, ActorState> {
        self.0.borrow().clone()
    }

    /// Marks changes of the board; coalesces them.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<TaskKind, ActorState>> {
        self.0.subscribe()
    }
}
