//! A pass over the users of one shard, in the order of their keys. Many are looked at beside each other; what is told of
//! the pass is how far all are done.

use std::collections::{BTreeMap, VecDeque};

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::MarkPass;
use rowhouse_proto::wire::state::PacketPass;

/// Users read from the shard at once.
pub const PAGE: usize = 128;
/// One user who is looked at again and again holds up no more than these.
const UNDER_WAY_MAX: usize = 1_024;

/// One pass. The cursor is `after`; everything else is memory.
pub struct Pass {
    began_ms: u64,
    /// All up to this user are done.
    after: Option<UserKey>,
    /// The last user that was read from the shard.
    read: Option<UserKey>,
    read_all: bool,
    waiting: VecDeque<UserKey>,
    /// Begun, and whether it is done.
    under_way: BTreeMap<UserKey, bool>,
    /// Begun, and to begin again.
    again: VecDeque<UserKey>,
    /// What was last told of it.
    told: Option<UserKey>,
}

impl Pass {
    /// A pass from the first user on.
    pub fn begin(now_ms: u64) -> Self {
        Self::at(now_ms, None)
    }

    /// Goes on where another leader was.
    pub fn resume(row: &PacketPass) -> Self {
        Self::at(row.began_ms, UserKey::try_from(&row.after[..]).ok())
    }

    fn at(began_ms: u64, after: Option<UserKey>) -> Self {
        Self {
            began_ms,
            after,
            read: after,
            read_all: false,
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
            again: VecDeque::new(),
            told: after,
        }
    }

    /// The user behind whom the next page begins, if one is wanted.
    pub fn wants_page(&self) -> Option<Option<UserKey>> {
        (self.waiting.is_empty() && !self.read_all).then_some(self.read)
    }

    /// A page that is not full is the last one.
    pub fn add_page(&mut self, page: Vec<UserKey>) {
        self.read_all = page.len() < PAGE;
        self.read = page.last().copied().or(self.read);
        self.waiting.extend(page);
    }

    /// Begins with another user.
    pub fn next(&mut self) -> Option<UserKey> {
        if let Some(user) = self.again.pop_front() {
            return Some(user);
        }
        if self.under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        let user = self.waiting.pop_front()?;
        self.under_way.insert(user, false);
        Some(user)
    }

    /// Nothing was learned of this user: it will be looked at again.
    pub fn put_back(&mut self, user: UserKey) {
        self.again.push_back(user);
    }

    pub fn done(&mut self, user: &UserKey) {
        if let Some(done) = self.under_way.get_mut(user) {
            *done = true;
        }
        while let Some(first) = self.under_way.first_entry() {
            if !*first.get() {
                break;
            }
            self.after = Some(first.remove_entry().0);
        }
    }

    pub fn is_over(&self) -> bool {
        self.read_all && self.waiting.is_empty() && self.under_way.is_empty()
    }

    pub fn began_ms(&self) -> u64 {
        self.began_ms
    }

    /// What the shard is to remember, if that is news.
    pub fn mark(&mut self) -> Option<MarkPass> {
        let ended = self.is_over();
        if self.told == self.after && !ended {
            return None;
        }
        self.told = self.after;
        let after = self.after.map(|user| user.to_vec().into()).unwrap_or_default();
        Some(MarkPass { began_ms: self.began_ms, after, ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u8) -> UserKey {
        [n; 32]
    }

    fn marked(pass: &mut Pass) -> Option<(u8, bool)> {
        let mark = pass.mark()?;
        Some((mark.after.first().copied().unwrap_or(0), mark.ended))
    }

    #[test]
    fn the_cursor_follows_the_slowest_and_delays_nobody() {
        let mut pass = Pass::begin(7);
        assert_eq!(pass.wants_page(), Some(None));
        pass.add_page((1..=5).map(user).collect());
        assert_eq!(pass.wants_page(), None);
        assert_eq!((0..6).filter_map(|_| pass.next()).count(), 5);
        for n in [2, 3, 5] {
            pass.done(&user(n));
        }
        assert_eq!(marked(&mut pass), None, "the first one is still under way");
        pass.done(&user(1));
        assert_eq!(marked(&mut pass), Some((3, false)));
        pass.put_back(user(4));
        assert!(!pass.is_over());
        assert_eq!(pass.next(), Some(user(4)));
        pass.done(&user(4));
        assert!(pass.is_over());
        assert_eq!(marked(&mut pass), Some((5, true)));
    }

    #[test]
    fn another_leader_goes_on_behind_the_cursor() {
        let row = PacketPass { began_ms: 7, after: user(3).to_vec().into(), marked_ms: 9, ended: false };
        let mut pass = Pass::resume(&row);
        assert_eq!((pass.wants_page(), pass.began_ms()), (Some(Some(user(3))), 7));
        pass.add_page(Vec::new());
        assert!(pass.is_over());
        assert_eq!(marked(&mut pass), Some((3, true)));
    }

    #[test]
    fn a_shard_without_users_is_passed_at_once() {
        let mut pass = Pass::begin(7);
        pass.add_page(Vec::new());
        assert!(pass.is_over() && pass.next().is_none());
        assert_eq!(marked(&mut pass), Some((0, true)));
    }

    #[test]
    fn one_user_who_never_ends_holds_up_a_bounded_number() {
        let mut pass = Pass::begin(7);
        let mut begun = 0;
        for page in 0..20u8 {
            pass.add_page(
                (0..PAGE as u8).map(|n| [page.wrapping_mul(PAGE as u8).wrapping_add(n); 32]).collect(),
            );
            begun += std::iter::from_fn(|| pass.next()).count();
        }
        assert!(begun <= 20 * PAGE);
        assert!(pass.under_way.len() <= UNDER_WAY_MAX);
    }
}
