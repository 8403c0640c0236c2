//! Merges the users of all shards, each in order, into one order. Pure: it says when a shard must be asked for more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rowhouse_proto::wire::shard::list_users::Sort;
use rowhouse_proto::wire::shard::{Account, AccountPlace};

/// The order of a listing; ties are ordered by key.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub sort: Sort,
    pub reverse: bool,
}

impl Order {
    /// Where a user stands.
    pub fn place(self, account: &Account) -> AccountPlace {
        let value = match self.sort {
            Sort::CreatedAt => account.created_at_ms,
            Sort::UsedBytes => account.used_bytes,
        };
        AccountPlace { value, user: account.user.clone() }
    }
}

/// The next step of a merge.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The user whose turn it is.
    User(Account),
    /// This shard must be asked for users after the place first.
    Refill { shard: u32, after: AccountPlace },
    /// There are no more.
    End,
}

/// Users that shards have told and that were not taken yet.
pub struct Merge {
    order: Order,
    /// Users that a shard was asked for: fewer are its last.
    share: usize,
    shards: BTreeMap<u32, Told>,
    /// The shards with a user, by the place of the first.
    ahead: BTreeSet<(Key, u32)>,
    /// A shard that has no user left here, and may have more.
    drained: Option<u32>,
}

#[derive(Default)]
struct Told {
    accounts: VecDeque<Account>,
    /// The place of the last one told; `None` once there are no more.
    after: Option<AccountPlace>,
}

/// Places in the order of the listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Up(u64, Vec<u8>),
    Down(Reverse<(u64, Vec<u8>)>),
}

impl Merge {
    /// Every shard is asked for `share` users at a time, and must be filled before the first `next`.
    pub fn new(order: Order, share: usize) -> Self {
        Self { order, share, shards: BTreeMap::new(), ahead: BTreeSet::new(), drained: None }
    }

    /// Takes what a shard has told.
    pub fn fill(&mut self, shard: u32, accounts: Vec<Account>) {
        let is_end = accounts.len() < self.share;
        let after = accounts.last().filter(|_| !is_end).map(|last| self.order.place(last));
        self.shards.insert(shard, Told { accounts: accounts.into(), after });
        self.drained = self.drained.filter(|drained| *drained != shard);
        self.look_ahead(shard);
    }

    /// The next step.
    pub fn next(&mut self) -> Next {
        if let Some(shard) = self.drained
            && let Some(after) = self.shards.get(&shard).and_then(|told| told.after.clone())
        {
            return Next::Refill { shard, after };
        }
        let Some((_, shard)) = self.ahead.pop_first() else { return Next::End };
        let Some(account) = self.shards.get_mut(&shard).and_then(|told| told.accounts.pop_front()) else {
            return Next::End;
        };
        self.look_ahead(shard);
        Next::User(account)
    }

    fn look_ahead(&mut self, shard: u32) {
        let Some(told) = self.shards.get(&shard) else { return };
        match told.accounts.front() {
            Some(first) => {
                let AccountPlace { value, user } = self.order.place(first);
                let place = (value, user.to_vec());
                let key =
                    if self.order.reverse { Key::Down(Reverse(place)) } else { Key::Up(place.0, place.1) };
                self.ahead.insert((key, shard));
            }
            None if told.after.is_some() => self.drained = Some(shard),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a shard answers: its users in order after a place.
    fn page(users: &[Account], order: Order, after: Option<&AccountPlace>, limit: usize) -> Vec<Account> {
        let place = |account: &Account| {
            let AccountPlace { value, user } = order.place(account);
            (value, user)
        };
        let mut users = users.to_vec();
        users.sort_by_key(place);
        if order.reverse {
            users.reverse();
        }
        let is_past = |account: &Account| {
            after.is_none_or(|after| {
                let after = (after.value, after.user.clone());
                if order.reverse { place(account) < after } else { place(account) > after }
            })
        };
        users.into_iter().filter(is_past).take(limit).collect()
    }

    fn account(value: u64, key: u16) -> Account {
        let mut user = vec![0; 32];
        user[..2].copy_from_slice(&key.to_be_bytes());
        Account { user: user.into(), created_at_ms: value, used_bytes: 100 - value, ..Account::default() }
    }

    proptest! {
        #[test]
        fn merged_shards_are_as_one(
            values in prop::collection::vec((0u64..20, 0u32..5), 0..120),
            share in 1usize..20,
            by_usage in any::<bool>(),
            reverse in any::<bool>(),
        ) {
            let sort = if by_usage { Sort::UsedBytes } else { Sort::CreatedAt };
            let order = Order { sort, reverse };
            let mut shards: Vec<Vec<Account>> = vec![Vec::new(); 5];
            for (key, (value, shard)) in values.iter().enumerate() {
                shards[*shard as usize].push(account(*value, u16::try_from(key).expect("few")));
            }
            let all: Vec<Account> = shards.concat();
            let expected = page(&all, order, None, usize::MAX);
            let mut merge = Merge::new(order, share);
            for (shard, users) in shards.iter().enumerate() {
                merge.fill(u32::try_from(shard).expect("few"), page(users, order, None, share));
            }
            let mut found = Vec::new();
            loop {
                match merge.next() {
                    Next::User(account) => found.push(account),
                    Next::Refill { shard, after } => {
                        let users = &shards[shard as usize];
                        merge.fill(shard, page(users, order, Some(&after), share));
                    }
                    Next::End => break,
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
