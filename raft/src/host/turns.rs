//! Whose turn it is: starts and stops of one group come one after the other, those of different groups
//! overlap, and so do their syncs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::GroupId;

/// One turn at a time for each group that was ever asked for.
#[derive(Default)]
pub(super) struct Turns {
    groups: Mutex<BTreeMap<GroupId, Arc<AsyncMutex<()>>>>,
}

impl Turns {
    /// Waits for the group's turn, which lasts until the guard is dropped.
    pub async fn of(&self, group: GroupId) -> OwnedMutexGuard<()> {
        let turn =
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).entry(group).or_default().clone();
        turn.lock_owned().await
    }
}
