//! A shard under clocks that leap, and what must hold meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::{self, AuthTokenId, Command, command::Body};

use super::*;

pub const ALICE: u8 = 1;
pub const CLIENT: u8 = 9;
const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
/// How wrong the leaders' clocks may be.
pub const ERRORS_MS: [i64; 9] =
    [0, -45_000, -15 * MINUTE, 15 * MINUTE, -8 * HOUR, 8 * HOUR, DAY, -DAY, 80 * 365 * DAY];
/// Far fewer than guards and outcomes are made for.
pub const LEAPS_MAX: usize = 40;
/// Gateways retry no longer.
const RETRY_MS: u64 = 30_000;

#[derive(Clone, Debug)]
pub enum Step {
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

pub fn step() -> impl Strategy<Value = Step> {
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

pub struct Run {
    pub replica: Replica,
    /// Since the start.
    pub true_ms: u64,
    pub error_ms: i64,
    error_before_ms: i64,
    leaps: Vec<i64>,
    number: u64,
    /// When a request was issued, in true time.
    sent: Vec<(u64, Command)>,
    done: BTreeSet<Vec<u8>>,
    tokens: Vec<u64>,
}

impl Run {
    pub fn new(leaps: Vec<i64>) -> Self {
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

    pub fn told_ms(&self, error_ms: i64) -> u64 {
        (START_MS + self.true_ms).saturating_add_signed(error_ms)
    }

    /// Issued by a clock with one error, stamped by one with another.
    pub fn command(&mut self, body: Body, issued_error_ms: i64, error_ms: i64) -> Command {
        self.number += 1;
        let now_ms = self.told_ms(error_ms);
        let mut command = command(self.number, 0, body);
        command.issued_at_us = self.told_ms(issued_error_ms) * 1000;
        (command.hlc_us, command.now_ms) = (now_ms * 1000, now_ms);
        command
    }

    pub fn now(&mut self, body: Body) -> Command {
        self.command(body, self.error_ms, self.error_ms)
    }

    pub fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
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
    pub fn put(&mut self, is_stale: bool, skew_ms: i64) -> Result<(), TestCaseError> {
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
    pub fn sign_in(&mut self, replayed: Option<u64>) -> Result<(), TestCaseError> {
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

    pub fn mint(&mut self) {
        let nth = self.number.to_string();
        let body = mint(ALICE, grant("g", CLIENT, 1 << 40), nonce(&nth), (self.number % 200) as u8);
        let command = self.now(body);
        self.replica.apply(&command);
    }

    pub fn upload(&mut self) {
        let object = u128::from(self.number).to_be_bytes().to_vec().into();
        let begin = command::BeginUpload {
            credential: cookie(1),
            user: key_of(ALICE),
            path: "/pub/large".to_owned(),
            object,
            content_length: None,
            lifetime_ms: 600_000,
            renew: false,
            reserved_bytes: 0,
            default_quota_bytes: None,
            conditions: None,
        };
        let command = self.now(Body::BeginUpload(begin));
        assert_eq!(self.replica.refusal(&command), None);
    }

    pub fn collect(&mut self) {
        let mut command = self.now(Body::CollectObjects(command::CollectObjects { grace_ms: 600_000 }));
        command.request_id = Default::default();
        assert_eq!(self.replica.refusal(&command), None);
    }

    /// Every event once, whatever was retried, and in order.
    pub fn check_events(&self) -> Result<(), TestCaseError> {
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
    pub fn check_recovery(&mut self) -> Result<(), TestCaseError> {
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
