//! Clocks that leap by minutes, hours and decades in the middle of commands, and are corrected: no request or
//! token counts twice, ids rise, tables stay bounded, and nobody is refused for longer than the leap lasts.

mod machine_fixture;

use std::collections::{BTreeMap, BTreeSet};

use machine_fixture::*;
use proptest::prelude::*;
use rowhouse_node::apply::{ISSUED_AHEAD_MS_MAX, REQUEST_WINDOW_MS};
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::{self, AuthTokenId, Command, command::Body};
use rowhouse_proto::wire::state::{Shard, object::State};

const ALICE: u8 = 1;
const CLIENT: u8 = 9;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// How wrong the leaders' clocks may be.
const ERRORS_MS: [i64; 9] =
    [0, -45_000, -15 * MINUTE, 15 * MINUTE, -8 * HOUR, 8 * HOUR, DAY, -DAY, 80 * 365 * DAY];
/// Far fewer than guards and outcomes are made for.
const LEAPS_MAX: usize = 40;
/// Gateways retry no longer.
const RETRY_MS: u64 = 30_000;

#[derive(Clone, Debug)]
enum Step {
    Wait {
        ms: u64,
    },
    /// The clocks leap to the next error, or back to the truth.
    Leap,
    /// By a gateway that knows the leaders' time, or by one that knows what it was before the last leap.
    Put {
        is_stale: bool,
        skew_ms: i64,
    },
    /// A request of the last 30 s again.
    Retry {
        back: usize,
    },
    SignIn,
    /// A token that was accepted, under a new request.
    Replay {
        back: usize,
    },
    Mint,
    Upload,
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0u64..50, 0u64..9_000, 20_000u64..100_000].prop_map(|ms| Step::Wait { ms }),
        2 => Just(Step::Leap),
        8 => (prop::bool::weighted(0.2), prop_oneof![Just(0i64), Just(-20_000), Just(20_000)])
            .prop_map(|(is_stale, skew_ms)| Step::Put { is_stale, skew_ms }),
        5 => (1usize..20).prop_map(|back| Step::Retry { back }),
        2 => Just(Step::SignIn),
        3 => (1usize..6).prop_map(|back| Step::Replay { back }),
        1 => Just(Step::Mint),
        2 => Just(Step::Upload),
        2 => Just(Step::Collect),
    ]
}

struct Run {
    replica: Replica,
    /// Since the start.
    true_ms: u64,
    error_ms: i64,
    error_before_ms: i64,
    leaps: Vec<i64>,
    number: u64,
    /// When a request was issued, in true time.
    sent: Vec<(u64, Command)>,
    done: BTreeSet<Vec<u8>>,
    tokens: Vec<u64>,
}

impl Run {
    fn new(leaps: Vec<i64>) -> Self {
        let mut run = Self {
            replica: Replica::default(),
            true_ms: 0,
            error_ms: 0,
            error_before_ms: 0,
            leaps,
            number: 0,
            sent: Vec::new(),
            done: BTreeSet::new(),
            tokens: Vec::new(),
        };
        let signup = run.command(create_user(ALICE, auth_token(0, 0), 1), 0, 0);
        assert_eq!(run.replica.refusal(&signup), None);
        run
    }

    fn told_ms(&self, error_ms: i64) -> u64 {
        (START_MS + self.true_ms).saturating_add_signed(error_ms)
    }

    /// Issued by a clock with one error, stamped by one with another.
    fn command(&mut self, body: Body, issued_error_ms: i64, error_ms: i64) -> Command {
        self.number += 1;
        let now_ms = self.told_ms(error_ms);
        let mut command = command(self.number, 0, body);
        command.issued_at_us = self.told_ms(issued_error_ms) * 1000;
        (command.hlc_us, command.now_ms) = (now_ms * 1000, now_ms);
        command
    }

    fn now(&mut self, body: Body) -> Command {
        self.command(body, self.error_ms, self.error_ms)
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait { ms } => self.true_ms += ms,
            Step::Leap => {
                self.error_before_ms = self.error_ms;
                self.error_ms = self.leaps.pop().unwrap_or(0);
            }
            Step::Put { is_stale, skew_ms } => self.put(*is_stale, *skew_ms)?,
            Step::Retry { back } => self.retry(*back),
            Step::SignIn => self.sign_in(None)?,
            Step::Replay { back } => {
                let token = self.tokens.len().checked_sub(*back).map(|nth| self.tokens[nth]);
                if token.is_some() {
                    self.sign_in(token)?;
                }
            }
            Step::Mint => self.mint(),
            Step::Upload => self.upload(),
            Step::Collect => self.collect(),
        }
        Ok(())
    }

    /// What a gateway does: one that is told that its request is of another time asks again with the time it
    /// was told meanwhile.
    fn put(&mut self, is_stale: bool, skew_ms: i64) -> Result<(), TestCaseError> {
        let issued = if is_stale { self.error_before_ms } else { self.error_ms };
        let path = format!("/pub/{}", self.number % 7);
        let body = self.number.to_string().into_bytes();
        let mut command = self.command(put(cookie(1), ALICE, &path, &body), issued, self.error_ms + skew_ms);
        let mut answer = self.replica.refusal(&command);
        self.sent.push((self.true_ms, command.clone()));
        if is_stale && answer == Some(RequestExpired) {
            command.issued_at_us = command.now_ms * 1000;
            answer = self.replica.refusal(&command);
            self.sent.push((self.true_ms, command));
        }
        prop_assert_eq!(answer, None, "{} of {}", is_stale, self.error_ms);
        self.done.insert(blake3::hash(&body).as_bytes().to_vec());
        Ok(())
    }

    fn retry(&mut self, back: usize) {
        let Some(nth) = self.sent.len().checked_sub(back) else { return };
        let (issued_ms, command) = &self.sent[nth];
        if self.true_ms <= issued_ms + RETRY_MS {
            let now_ms = self.told_ms(self.error_ms);
            let again = Command { hlc_us: now_ms * 1000, now_ms, ..command.clone() };
            self.replica.apply(&again);
        }
    }

    /// With a token of the client's true time, which wrong leaders refuse; a second time never.
    fn sign_in(&mut self, replayed: Option<u64>) -> Result<(), TestCaseError> {
        let fresh_us = self.told_ms(0) * 1000 + self.number % 1000;
        let timestamp_us = replayed.unwrap_or(fresh_us);
        let session = open_session(ALICE, AuthTokenId { timestamp_us }, 3, &["/:rw"]);
        let command = self.now(session);
        match self.replica.refusal(&command) {
            None => {
                prop_assert!(!self.tokens.contains(&timestamp_us), "accepted twice");
                self.tokens.push(timestamp_us);
            }
            Some(refusal) => {
                prop_assert!(matches!(refusal, InvalidAuthToken | AuthTokenReused), "{refusal:?}");
                prop_assert!(replayed.is_some() || self.error_ms.abs() > 100_000, "{refusal:?}");
            }
        }
        Ok(())
    }

    fn mint(&mut self) {
        let nth = self.number.to_string();
        let body = mint(ALICE, grant("g", CLIENT, 1 << 40), nonce(&nth), (self.number % 200) as u8);
        let command = self.now(body);
        self.replica.apply(&command);
    }

    fn upload(&mut self) {
        let object = u128::from(self.number).to_be_bytes().to_vec().into();
        let begin = command::BeginUpload {
            credential: cookie(1),
            user: key_of(ALICE),
            path: "/pub/large".to_owned(),
            object,
            content_length: None,
            lifetime_ms: 600_000,
            renew: false,
        };
        let command = self.now(Body::BeginUpload(begin));
        assert_eq!(self.replica.refusal(&command), None);
    }

    fn collect(&mut self) {
        let mut command = self.now(Body::CollectObjects(command::CollectObjects { grace_ms: 600_000 }));
        command.request_id = Default::default();
        assert_eq!(self.replica.refusal(&command), None);
    }

    /// Every event once, whatever was retried, and in order.
    fn check_events(&self) -> Result<(), TestCaseError> {
        let events = self.replica.events();
        prop_assert!(events.is_sorted_by(|a, b| a.id < b.id));
        prop_assert!(events.iter().all(|event| event.id < 1 << 53));
        let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
        for event in &events {
            *counts.entry(&event.hash[..]).or_default() += 1;
        }
        prop_assert!(counts.values().all(|count| *count == 1), "a request was applied twice");
        prop_assert_eq!(counts.len(), self.done.len(), "every acknowledged one, and none else");
        Ok(())
    }

    /// The truth is back: everything works at once, and what the tables hold of the leaps goes.
    fn check_recovery(&mut self) -> Result<(), TestCaseError> {
        self.error_ms = 0;
        self.put(false, 0)?;
        self.sign_in(None)?;
        let minted = self.now(mint(ALICE, grant("h", CLIENT, 1 << 40), nonce("last"), 201));
        prop_assert_eq!(self.replica.refusal(&minted), None);
        let by_bearer = self.now(put(bearer(201), ALICE, "/pub/bearer", b"x"));
        prop_assert_eq!(self.replica.refusal(&by_bearer), None);
        self.done.insert(blake3::hash(b"x").as_bytes().to_vec());
        let now_ms = read::clock(&self.replica.view()).expect("readable").now_ms;
        prop_assert!(now_ms.abs_diff(self.told_ms(0)) <= 60_000, "the shard's present is the truth again");
        for _ in 0..4_000 / 5 {
            self.true_ms += 5_000;
            self.collect();
            self.put(false, 0)?;
        }
        let rows = |table| self.replica.rows_of(table);
        prop_assert!(rows(tables::REQUEST) <= 40, "{} requests", rows(tables::REQUEST));
        for table in [tables::AUTH_TOKEN, tables::NONCE, tables::BEARER, tables::OBJECT] {
            prop_assert_eq!(rows(table), 0, "table {:#x}", table);
        }
        for (rows_of, ages_of) in [
            (tables::REQUEST, tables::REQUEST_AGE),
            (tables::AUTH_TOKEN, tables::AUTH_TOKEN_AGE),
            (tables::NONCE, tables::NONCE_AGE),
            (tables::BEARER, tables::BEARER_AGE),
            (tables::OBJECT, tables::OBJECT_STATE),
        ] {
            prop_assert_eq!(rows(rows_of), rows(ages_of));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn leaping_clocks_double_nothing_and_refuse_nobody_for_long(
        steps in prop::collection::vec(step(), 1..150),
        leaps in prop::collection::vec(prop::sample::select(&ERRORS_MS[..]), 0..=LEAPS_MAX),
    ) {
        let mut run = Run::new(leaps);
        for step in &steps {
            run.step(step)?;
        }
        run.check_events()?;
        run.check_recovery()?;
        run.check_events()?;
    }
}

/// A shard that is written to without pause while its clock is hours ahead (one node of a cluster is enough for
/// that when the others are down) goes on forgetting.
#[test]
fn tables_are_swept_while_the_clock_stands_far_ahead() {
    for error_ms in [8 * HOUR, 80 * 365 * DAY] {
        let mut run = Run::new(Vec::new());
        run.error_ms = error_ms;
        for _ in 0..2_000 {
            run.true_ms += 500;
            run.put(false, 0).expect("stored");
        }
        let rows = run.replica.rows_of(tables::REQUEST);
        assert!(rows <= 320, "{rows} of 150 s of 2 a second");
        run.error_ms = 0;
        for _ in 0..2_000 {
            run.true_ms += 500;
            run.put(false, 0).expect("stored");
        }
        assert!(run.replica.rows_of(tables::REQUEST) <= 320);
    }
}

#[test]
fn a_request_of_another_era_is_refused_and_leaves_no_trace() {
    let mut run = Run::new(Vec::new());
    run.put(false, 0).expect("stored");
    let ahead_ms = i64::try_from(ISSUED_AHEAD_MS_MAX).expect("a minute");
    let behind_ms = i64::try_from(REQUEST_WINDOW_MS).expect("two minutes");
    for (error_ms, refused) in [
        (ahead_ms, None),
        (ahead_ms + 1, Some(RequestExpired)),
        (-behind_ms, None),
        (-behind_ms - 1, Some(RequestExpired)),
    ] {
        let command = run.command(put(cookie(1), ALICE, "/pub/era", b"x"), error_ms, 0);
        let rows = run.replica.rows.0.clone();
        assert_eq!(run.replica.refusal(&command), refused, "{error_ms}");
        assert_eq!(run.replica.rows.0 == rows, refused.is_some());
    }
}

/// A retry whose row was swept while the clock stood before its request's time is no new request.
#[test]
fn a_forgotten_request_stays_refused_within_its_window() {
    let mut run = Run::new(Vec::new());
    let old = run.now(put(cookie(1), ALICE, "/pub/a", b"x"));
    assert_eq!(run.replica.refusal(&old), None);
    // The same minute passes twice: the clock was set back in between.
    for _ in 0..2 {
        for _ in 0..16 {
            run.true_ms += 5_000;
            let command = run.now(close(0));
            run.replica.apply(&command);
        }
        run.error_ms -= 70_000;
    }
    run.error_ms += 70_000;
    run.put(false, 0).expect("stored");
    let known = read_request(&run, &old);
    let now_ms = run.told_ms(run.error_ms);
    let again = Command { hlc_us: now_ms * 1000, now_ms, ..old };
    assert!(again.issued_at_us / 1000 + REQUEST_WINDOW_MS > now_ms, "within the window");
    let expected = if known { None } else { Some(RequestExpired) };
    assert_eq!(run.replica.refusal(&again), expected);
    assert!(!known, "more time passed than the clock says");
}

fn read_request(run: &Run, command: &Command) -> bool {
    run.replica.rows.0.contains_key(&tables::key(tables::REQUEST, &[&command.request_id]))
}

#[test]
fn a_bearer_minted_in_another_era_does_not_outlive_it() {
    let mut run = Run::new(Vec::new());
    run.error_ms = 80 * 365 * DAY;
    let minted = run.now(mint(ALICE, grant("g", CLIENT, 1 << 40), nonce("n"), 10));
    assert_eq!(run.replica.refusal(&minted), None);
    let used = run.now(put(bearer(10), ALICE, "/pub/a", b"x"));
    assert_eq!(run.replica.refusal(&used), None);
    run.error_ms = 0;
    let used = run.now(put(bearer(10), ALICE, "/pub/a", b"y"));
    assert_eq!(run.replica.refusal(&used), Some(NoSession), "its hour is eighty years away");
}

#[test]
fn a_close_bricks_no_shard_and_reaches_whatever_another_shard_wrote() {
    let mut run = Run::new(Vec::new());
    let closed = |run: &Run| read::clock(&run.replica.view()).expect("readable").closed_t;
    let close_to = |run: &mut Run, t| {
        let command = run.now(close(t));
        assert_eq!(run.replica.refusal(&command), None);
    };
    close_to(&mut run, event_t(1_000_000));
    assert_eq!(closed(&run), event_t(1_000_000));
    close_to(&mut run, u64::MAX);
    assert!(closed(&run) < ids().ceiling() + 100_000);
    // A shard that lived through a time beyond the ceiling, and wrote a million events there.
    let other = ids().ceiling() + 1_000_000;
    for _ in 0..20 {
        close_to(&mut run, other);
    }
    assert_eq!(closed(&run), other);
    run.put(false, 0).expect("stored");
    let newest = run.replica.events().pop().expect("one event");
    assert_eq!(newest.id, ids().id(other + 1, SHARD));
    assert!(newest.id < 1 << 53);
}

#[test]
fn a_state_of_another_number_of_shards_is_not_gone_on_with() {
    use rowhouse_proto::domain::event::EventIds;
    use rowhouse_raft::state::{Txn, View};
    use rowhouse_raft::{EntryContext, Machine};
    let mut run = Run::new(Vec::new());
    let record: Shard = run.replica.row(&[tables::SHARD]).expect("after a command");
    assert_eq!(record.shard_count, 16);
    let command = run.now(close(0));
    let other = rowhouse_node::apply::ShardMachine::new(EventIds::new(32).expect("a power of two"));
    let mut txn = Txn::new(View::new(&run.replica.rows, Default::default()));
    let context = EntryContext { group: SHARD as u16, term: 1, index: 99 };
    let encoded = prost::Message::encode_to_vec(&command).into();
    assert!(other.apply(context, &encoded, &mut txn).is_err());
}

#[test]
fn an_upload_ends_by_the_shard_s_age_and_not_by_a_leap() {
    let mut run = Run::new(Vec::new());
    run.upload();
    run.error_ms = 80 * 365 * DAY;
    run.collect();
    run.error_ms = 0;
    run.collect();
    let staged = |run: &Run| {
        let view = run.replica.view();
        let from = rowhouse_node::state::objects::Place::first_at(0);
        rowhouse_node::state::objects::in_state(&view, State::Staged, from, u64::MAX - 1, 9)
            .expect("readable")
            .len()
    };
    assert_eq!(staged(&run), 1, "a leap and its correction took seconds");
    for _ in 0..120 {
        run.true_ms += 5_000;
        run.collect();
    }
    assert_eq!(staged(&run), 0);
}
