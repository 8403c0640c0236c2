//! The machine against a model a person can check: random commands, retries, clocks going both ways,
//! quotas and collisions; then two replicas that batch the same log differently.

use crate::machine_fixture;
use crate::machine_fixture::model;

use machine_fixture::*;
use model::*;
use proptest::prelude::*;
use rowhouse_node::apply::{Precheck, REQUEST_WINDOW_MS, precheck};
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::wire::command::{Command, Outcome};
use rowhouse_proto::wire::state::Usage;

/// A difference that the machine takes for another leader's clock, and not for a correction.
const SETBACK_MS_MAX: u64 = 59_000;

struct Run {
    model: Model,
    replica: Replica,
    ms: u64,
    log: Vec<Command>,
    answers: Vec<Outcome>,
    /// Position in the log of each distinct request.
    requests: Vec<usize>,
    mints: usize,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            model: Model::default(),
            replica: Replica::default(),
            ms: 0,
            log: Vec::new(),
            answers: Vec::new(),
            requests: Vec::new(),
            mints: 0,
        };
        for user in [0, 1] {
            run.step(&Step::Signup { user, token: 0 }).expect("the start");
        }
        run
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let number = self.log.len() as u64 + 1;
        match step {
            Step::Wait { ms } => self.ms += ms,
            Step::Setback { ms } => {
                let earliest_ms = self.model.now_ms.saturating_sub(START_MS + SETBACK_MS_MAX);
                self.ms = self.ms.saturating_sub(*ms).max(earliest_ms);
            }
            Step::Close { ahead } => {
                let t = event_t(self.ms) + ahead;
                let command = command(number, self.ms, close(t));
                self.model.tick(command.now_ms);
                self.model.last_t = self.model.last_t.max(t);
                self.record(command);
            }
            Step::Retry { back } => return self.retry(*back),
            fresh => {
                let command = command(number, self.ms, self.body_of(fresh));
                return self.fresh(fresh, command);
            }
        }
        Ok(())
    }

    fn body_of(&mut self, step: &Step) -> rowhouse_proto::wire::command::command::Body {
        let credential = |ticket: &Ticket, user: u8| match ticket {
            Ticket::None => None,
            Ticket::OwnCookie => cookie(user),
            Ticket::Bearer(nth) => bearer(bearer_secret(*nth)),
        };
        match step {
            Step::Signup { user, token } => {
                let user = USERS[*user];
                create_user(user, auth_token(self.ms, *token), user)
            }
            Step::Mint { user, grant: id, nonce: nth } => {
                let body = mint(
                    USERS[*user],
                    grant(&format!("g{id}"), 9, 1 << 40),
                    nonce(&format!("n{nth}")),
                    bearer_secret(self.mints),
                );
                self.mints += 1;
                body
            }
            Step::Logout { bearer } => bearer_logout(bearer_secret(*bearer)),
            Step::Put { user, path, length, credential: ticket } => {
                let user = USERS[*user];
                let put = put(credential(ticket, user), user, PATHS[*path], &vec![7; *length]);
                under_quota(put, (user == USERS[1]).then_some(QUOTA))
            }
            Step::Delete { user, path, credential: ticket } => {
                let user = USERS[*user];
                delete(credential(ticket, user), user, PATHS[*path])
            }
            Step::Retry { .. } | Step::Close { .. } | Step::Wait { .. } | Step::Setback { .. } => {
                unreachable!("handled by step")
            }
        }
    }

    fn fresh(&mut self, step: &Step, command: Command) -> Result<(), TestCaseError> {
        let length = match step {
            Step::Put { length, .. } => Some(*length as u64),
            _ => None,
        };
        let prechecked = precheck(&self.replica.view(), &command, length, command.now_ms).expect("readable");
        let events = self.model.events.len();
        self.model.tick(command.now_ms);
        let expected = self.decide(step, &command);
        let emitted = self.model.events.len() > events;
        let floor = self.model.last_t + u64::from(emitted);
        self.model.last_t = ids().tick(command.hlc_us).max(floor);
        self.requests.push(self.log.len());
        let answer = self.record(command);
        prop_assert_eq!(code(&answer), expected, "{:?}", step);
        match prechecked {
            Precheck::Refused(refusal) => prop_assert_eq!(Some(refusal.code), expected),
            Precheck::Propose => {}
            Precheck::Known(outcome) => prop_assert!(false, "a fresh request is known: {outcome:?}"),
        }
        self.check_state()
    }

    fn decide(&mut self, step: &Step, command: &Command) -> Option<ErrorCode> {
        match step {
            Step::Signup { user, token } => self.model.signup(USERS[*user], command.now_ms * 1000 + token),
            Step::Mint { user, grant, nonce } => {
                self.model.mint(USERS[*user], *grant, *nonce, bearer_secret(self.mints - 1))
            }
            Step::Logout { bearer } => {
                self.model.logout(bearer_secret(*bearer));
                None
            }
            Step::Put { user, path, length, credential } => {
                self.model.put(USERS[*user], PATHS[*path], *length as u64, *credential)
            }
            Step::Delete { user, path, credential } => {
                self.model.delete(USERS[*user], PATHS[*path], *credential)
            }
            Step::Retry { .. } | Step::Close { .. } | Step::Wait { .. } | Step::Setback { .. } => None,
        }
    }

    /// A request again, from a later leader's clock: its first answer while it is remembered,
    /// afterwards possibly a refusal, and never an effect.
    fn retry(&mut self, back: usize) -> Result<(), TestCaseError> {
        let Some(nth) = self.requests.len().checked_sub(back) else { return Ok(()) };
        let at = self.requests[nth];
        let mut again = self.log[at].clone();
        let first = self.answers[at].clone();
        let now = command(0, self.ms, close(0));
        (again.hlc_us, again.now_ms) = (now.hlc_us, now.now_ms);
        let now_ms = self.model.now_ms.max(again.now_ms);
        let expired = again.issued_at_us / 1000 + REQUEST_WINDOW_MS < now_ms;
        let before = self.replica.rows.0.clone();
        let answer = self.record(again);
        if expired && answer != first {
            prop_assert_eq!(code(&answer), Some(RequestExpired));
        } else {
            prop_assert_eq!(&answer, &first);
        }
        prop_assert!(self.replica.rows.0 == before, "a retry wrote something");
        Ok(())
    }

    fn record(&mut self, command: Command) -> Outcome {
        let answer = self.replica.apply(&command);
        self.log.push(command);
        self.answers.push(answer.clone());
        answer
    }

    fn check_state(&self) -> Result<(), TestCaseError> {
        let mut total = 0;
        for user in USERS {
            let usage: Usage = self.replica.row(&tables::usage(&key_bytes(user))).unwrap_or_default();
            prop_assert_eq!(usage.bytes, self.model.usage(user));
            total += usage.bytes;
        }
        let view = self.replica.view();
        let stats = read::stats(&view).expect("readable");
        prop_assert_eq!((stats.used_bytes, stats.users), (total, self.model.users.len() as u64));
        prop_assert_eq!(self.replica.rows_of(tables::ENTRY), self.model.files.len());
        prop_assert_eq!(self.replica.rows_of(tables::BODY), self.model.files.len());
        let clock = read::clock(&view).expect("readable");
        prop_assert_eq!((clock.closed_t, clock.now_ms), (self.model.last_t, self.model.now_ms));
        Ok(())
    }

    fn check_events(&self) -> Result<(), TestCaseError> {
        let events = self.replica.events();
        prop_assert!(events.is_sorted_by(|a, b| a.id < b.id));
        let seen: Vec<_> =
            events.iter().map(|event| (event.deleted, &event.user[..], event.path.as_str())).collect();
        let keys: Vec<_> = USERS.iter().map(|user| (*user, key_of(*user))).collect();
        let key = |user: u8| &keys.iter().find(|(own, _)| *own == user).expect("one of them").1[..];
        let expected: Vec<_> =
            self.model.events.iter().map(|(deleted, user, path)| (*deleted, key(*user), *path)).collect();
        prop_assert_eq!(seen, expected);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 250,
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_machine_does_what_the_model_says_and_batches_do_not_matter(
        steps in prop::collection::vec(step(), 1..120),
        batches in prop::collection::vec(1usize..9, 1..40),
    ) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step)?;
        }
        run.check_events()?;

        let mut follower = Replica::default();
        let (mut answers, rest) = (Vec::new(), &run.log[..]);
        let mut at = 0;
        for size in batches.iter().cycle() {
            if at >= rest.len() {
                break;
            }
            let end = rest.len().min(at + size);
            answers.extend(follower.apply_batch(&rest[at..end]));
            at = end;
        }
        prop_assert_eq!(answers, run.answers);
        prop_assert!(follower.rows.0 == run.replica.rows.0, "replicas differ");
    }
}
