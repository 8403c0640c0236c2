//! `Turns`: starts and stops of one group come one after the other, those of different groups
//! overlap, and so do their syncs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::GroupId;
use crate::lock::lock;

/// One turn at a time for each group that was ever asked for.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<GroupId, Arc<AsyncMutex<()>>>,
    closed: bool,
}

impl Turns {
    /// Waits for the group's turn, which lasts until the guard is dropped.
    pub async fn of(&self, group: GroupId) -> OwnedMutexGuard<()> {
        let turn = self.state().groups.entry(group).or_default().clone();
        turn.lock_owned().await
    }

    /// Forbids new starts. Returns all known groups: a caller that takes each one's turn once has waited for the
    /// starts already in progress.
    pub fn close(&self) -> Vec<GroupId> {
        let mut state = self.state();
        state.closed = true;
        state.groups.keys().copied().collect()
    }

    /// To be asked within a turn.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
