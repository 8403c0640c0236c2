//! Users who just signed up or in, as the service tells the republisher. A hint that finds no room is lost: the next pass
//! comes in any case.

use std::collections::VecDeque;
use std::sync::Mutex;

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::lock::lock;

/// Some seconds' worth of sign-ins of a busy node.
const HINTS_MAX: usize = 4_096;

/// Shared by the shard service and the republisher.
#[derive(Default)]
pub struct Hints(Mutex<VecDeque<(u16, UserKey)>>);

impl Hints {
    /// The client of this user has probably just published a packet, or is about to.
    pub fn seen(&self, shard: u16, user: UserKey) {
        let mut hints = lock(&self.0);
        if hints.len() < HINTS_MAX {
            hints.push_back((shard, user));
        }
    }

    pub(super) fn take(&self) -> VecDeque<(u16, UserKey)> {
        std::mem::take(&mut *lock(&self.0))
    }
}
