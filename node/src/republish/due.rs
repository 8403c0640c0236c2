//! Looks that are due at some time: at new users, at those who signed in, and again at those that failed.

use std::collections::{BTreeMap, BTreeSet};

use rowhouse_proto::domain::user::UserKey;
use tokio::time::Instant;

/// What finds no room waits for the next pass.
const DUE_MAX: usize = 16_384;

/// By time. A user is in it once, at the earliest of the times asked for.
#[derive(Default)]
pub struct Due {
    users: BTreeMap<UserKey, (Instant, u16)>,
    order: BTreeSet<(Instant, UserKey)>,
}

impl Due {
    pub fn add(&mut self, shard: u16, user: UserKey, at: Instant) {
        match self.users.get(&user) {
            Some((known, _)) if *known <= at => return,
            Some((known, _)) => {
                self.order.remove(&(*known, user));
            }
            None if self.users.len() >= DUE_MAX => return,
            None => {}
        }
        self.users.insert(user, (at, shard));
        self.order.insert((at, user));
    }

    /// The first one whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<(u16, UserKey)> {
        let (at, user) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        let (_, shard) = self.users.remove(&user)?;
        Some((shard, user))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_time_counts_and_a_user_is_due_once() {
        let (now, mut due) = (Instant::now(), Due::default());
        let at = |s| now + Duration::from_secs(s);
        due.add(1, [1; 32], at(5));
        due.add(1, [1; 32], at(9));
        due.add(2, [2; 32], at(7));
        due.add(2, [2; 32], at(3));
        assert_eq!(due.pop(at(2)), None);
        assert_eq!(due.pop(at(10)), Some((2, [2; 32])));
        assert_eq!(due.pop(at(10)), Some((1, [1; 32])));
        assert_eq!(due.pop(at(10)), None);
    }

    #[test]
    fn it_is_bounded() {
        let (now, mut due) = (Instant::now(), Due::default());
        for n in 0..2 * DUE_MAX as u64 {
            let mut user = [0; 32];
            user[..8].copy_from_slice(&n.to_be_bytes());
            due.add(0, user, now);
        }
        assert_eq!(due.users.len(), DUE_MAX);
    }
}
