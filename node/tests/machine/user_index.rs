//! The orders in which operators list a shard's users: what a page has is what sorting everybody gives, at every step,
//! however many users there were before the orders were kept.

use crate::machine_fixture;

use std::collections::BTreeMap;

use bytes::Bytes;
use machine_fixture::account::*;
use machine_fixture::*;
use proptest::prelude::*;
use prost::Message;
use rowhouse_node::apply::ACCOUNTS_SINCE;
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::command::{Command, command::Body};
use rowhouse_proto::wire::shard::list_users::{Sort, State};
use rowhouse_proto::wire::shard::{Account, AccountPlace, ListUsers};

const PATHS: [&str; 3] = ["/pub/a", "/pub/b", "/priv/a"];

#[derive(Clone, Debug)]
enum Step {
    Signup(u8),
    Put { user: u8, path: usize, length: usize },
    Delete { user: u8, path: usize },
    Disable { user: u8, on: bool },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (user, path) = (1u8..8, 0usize..PATHS.len());
    prop_oneof![
        4 => user.clone().prop_map(Step::Signup),
        6 => (user.clone(), path.clone(), 0usize..4)
            .prop_map(|(user, path, length)| Step::Put { user, path, length: length * 100 }),
        3 => (user.clone(), path).prop_map(|(user, path)| Step::Delete { user, path }),
        2 => (user, any::<bool>()).prop_map(|(user, on)| Step::Disable { user, on }),
        2 => (0u64..3).prop_map(Step::Wait),
    ]
}

#[derive(Clone, Default)]
struct Known {
    created_at_ms: u64,
    disabled: bool,
    files: BTreeMap<usize, u64>,
}

impl Known {
    fn used(&self) -> u64 {
        self.files.values().map(|length| length + 256).sum()
    }
}

/// A shard whose first commands are of the version before the orders were kept.
struct Run {
    replica: Replica,
    model: BTreeMap<u8, Known>,
    ms: u64,
    number: u64,
    old: usize,
}

impl Run {
    fn new(old: usize) -> Self {
        Self { replica: Replica::default(), model: BTreeMap::new(), ms: 0, number: 0, old }
    }

    fn is_old(&self) -> bool {
        self.number < self.old as u64
    }

    fn body_of(&self, step: &Step) -> Option<Body> {
        let nth = self.number;
        Some(match *step {
            Step::Wait(_) => return None,
            Step::Disable { .. } if self.is_old() => return None,
            Step::Signup(user) if self.is_old() => create_user(user, auth_token(self.ms, nth), user),
            Step::Signup(user) => admitted(user, auth_token(self.ms, nth), user, Verdict::Open(true)),
            Step::Put { user, path, length } => put(cookie(user), user, PATHS[path], &vec![7; length]),
            Step::Delete { user, path } => delete(cookie(user), user, PATHS[path]),
            Step::Disable { user, on } => disable(user, on),
        })
    }

    fn step(&mut self, step: &Step) {
        if let Step::Wait(ms) = step {
            self.ms += ms;
        }
        let Some(body) = self.body_of(step) else { return };
        let version = if self.is_old() { ACCOUNTS_SINCE - 1 } else { ACCOUNTS_SINCE };
        self.number += 1;
        let command = Command { version, ..command(self.number, self.ms, body) };
        let refused = self.replica.refusal(&command).is_some();
        let known = |user: &u8| self.model.contains_key(user);
        match *step {
            Step::Signup(user) => {
                assert_eq!(refused, known(&user));
                let created_at_ms = START_MS + self.ms;
                self.model.entry(user).or_insert_with(|| Known { created_at_ms, ..Known::default() });
            }
            Step::Put { user, path, length } if !refused => {
                self.model.get_mut(&user).expect("a user").files.insert(path, length as u64);
            }
            Step::Delete { user, path } if !refused => {
                self.model.get_mut(&user).expect("a user").files.remove(&path);
            }
            Step::Disable { user, on } => {
                assert_eq!(refused, !known(&user));
                self.model.entry(user).and_modify(|known| known.disabled = on);
            }
            _ => {}
        }
    }

    fn page(&self, query: &ListUsers) -> Vec<Account> {
        read::list_users(&self.replica.view(), query).expect("readable").accounts
    }

    /// What sorting everybody gives: key, time of signup, usage, state.
    fn sorted(&self, query: &ListUsers) -> Vec<Account> {
        let mut accounts: Vec<Account> = self
            .model
            .iter()
            .map(|(user, known)| Account {
                user: key_of(*user),
                created_at_ms: known.created_at_ms,
                disabled: known.disabled,
                used_bytes: known.used(),
                quota: None,
                ..Account::default()
            })
            .filter(|account| match query.state() {
                State::All => true,
                State::Enabled => !account.disabled,
                State::Disabled => account.disabled,
            })
            .collect();
        accounts.sort_by_key(|account| place(query.sort(), account));
        if query.reverse {
            accounts.reverse();
        }
        accounts
    }

    fn check(&self, limit: u32, anywhere: u64) -> Result<(), TestCaseError> {
        for (sort, state, reverse) in queries() {
            let query = ListUsers { sort: sort.into(), state: state.into(), reverse, limit, after: None };
            let expected = self.sorted(&query);
            let mut joined: Vec<Account> = Vec::new();
            loop {
                let after = joined.last().map(|last| cursor(place(sort, last)));
                let page = self.page(&ListUsers { after, ..query.clone() });
                prop_assert!(page.len() <= limit as usize);
                let is_end = page.len() < limit as usize;
                joined.extend(page);
                if is_end {
                    break;
                }
            }
            prop_assert_eq!(&joined, &expected, "{:?}", query);
            // A place where nobody stands.
            let at = (anywhere, hash(0x80));
            let after = Some(AccountPlace { value: at.0, user: at.1.clone() });
            let page = self.page(&ListUsers { after, ..query.clone() });
            let is_past = |account: &&Account| {
                let place = place(sort, account);
                if reverse { place < at } else { place > at }
            };
            let expected: Vec<Account> =
                expected.iter().filter(is_past).take(limit as usize).cloned().collect();
            prop_assert_eq!(page, expected, "{:?}", query);
        }
        Ok(())
    }

    fn places(&self) -> Vec<(&Bytes, &Bytes)> {
        let is_place = |key: &&Bytes| [tables::USER_CREATED, tables::USER_USED].contains(&key[0]);
        self.replica.rows.0.iter().filter(|(key, _)| is_place(key)).collect()
    }
}

fn queries() -> impl Iterator<Item = (Sort, State, bool)> {
    let sorts = [Sort::CreatedAt, Sort::UsedBytes];
    let states = [State::All, State::Enabled, State::Disabled];
    sorts.into_iter().flat_map(move |sort| {
        states.into_iter().flat_map(move |state| [false, true].map(move |reverse| (sort, state, reverse)))
    })
}

fn place(sort: Sort, account: &Account) -> (u64, Bytes) {
    let value = match sort {
        Sort::CreatedAt => account.created_at_ms,
        Sort::UsedBytes => account.used_bytes,
    };
    (value, account.user.clone())
}

fn cursor((value, user): (u64, Bytes)) -> AccountPlace {
    AccountPlace { value, user }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_users_are_what_sorting_everybody_gives(
        steps in prop::collection::vec(step(), 1..60),
        old in 0usize..50,
        limit in 1u32..5,
        anywhere in prop_oneof![0u64..1500, START_MS..START_MS + 60, Just(u64::MAX)],
    ) {
        let (mut run, mut newer) = (Run::new(old), Run::new(0));
        for (nth, step) in steps.iter().enumerate() {
            run.step(step);
            if nth % 8 == 0 {
                run.check(limit, anywhere)?;
            }
            // The commands that an old shard has not are left out here too.
            if !(matches!(step, Step::Disable { .. }) && newer.number < old as u64) {
                newer.step(step);
            }
        }
        run.check(limit, anywhere)?;
        if run.number > old as u64 {
            prop_assert_eq!(run.places(), newer.places(), "built for old users, or kept from the start");
        } else {
            prop_assert!(run.places().is_empty(), "an older program writes none");
        }
    }
}

#[test]
fn the_orders_are_built_once_by_the_first_command_of_their_version() {
    let mut run = Run::new(4);
    for step in [Step::Signup(1), Step::Signup(2), Step::Put { user: 1, path: 0, length: 9 }, Step::Signup(3)]
    {
        run.step(&step);
    }
    assert!(run.places().is_empty());
    let mut apply = |number, body| {
        let command: Bytes = command(number, 0, body).encode_to_vec().into();
        let (outcomes, writes) = run.replica.apply_bytes(&[command]);
        let places = |table| writes.keys().filter(|key| key[0] == table).count();
        (code(&outcomes[0]), places(tables::USER_CREATED), places(tables::USER_USED))
    };
    // One that is refused, as any request may be, has them built all the same.
    let refused = apply(5, delete(cookie(1), 1, "/pub/none"));
    assert_eq!(refused, (Some(rowhouse_proto::ErrorCode::NotFound), 3, 3));
    assert_eq!(apply(6, disable(1, true)), (None, 0, 0), "nobody moved");
    assert_eq!(apply(7, put(cookie(2), 2, "/pub/a", b"x")), (None, 0, 2), "one moved from place to place");
    assert_eq!(apply(8, put(cookie(2), 2, "/pub/a", b"y")), (None, 0, 0), "its usage is the same");
}

#[test]
fn a_page_is_bounded_and_its_cursor_a_key() {
    let mut run = Run::new(0);
    for user in 1..4 {
        run.step(&Step::Signup(user));
    }
    let query = ListUsers { limit: u32::MAX, ..ListUsers::default() };
    assert_eq!(run.page(&query).len(), 3);
    assert!(run.page(&ListUsers { limit: 0, ..query.clone() }).is_empty());
    let after = Some(AccountPlace { value: 0, user: Bytes::from_static(b"short") });
    let refused = read::list_users(&run.replica.view(), &ListUsers { after, ..query });
    assert!(matches!(refused, Err(rowhouse_node::apply::ApplyError::Refused(_))));
}
