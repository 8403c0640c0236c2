//! Requests one after the other against a shard with two users.

use rowhouse_node::apply::{ApplyError, Precheck, precheck};
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::{Command, command::Body};
use rowhouse_proto::wire::shard::{self, GetSession, ReadEntry, credential::Kind, query_reply};
use rowhouse_proto::wire::state::User;

use super::*;

pub const ALICE: u8 = 1;
pub const BOB: u8 = 2;
/// Seed of the client key behind the script's grants.
pub const CLIENT: u8 = 9;

/// Below what one command ages a shard by at most.
const PASS_STEP_MS: u64 = 5_000;

/// Applies bodies one after the other, each as a request of its own.
pub struct Script {
    pub replica: Replica,
    number: u64,
    pub ms: u64,
    /// Default quotas in bytes, by the key of whose writes they come with.
    quotas: BTreeMap<Bytes, u64>,
}

impl Script {
    /// Alice and Bob with root cookies 1 and 2.
    pub fn new() -> Self {
        let mut script = Self { replica: Replica::default(), number: 0, ms: 0, quotas: BTreeMap::new() };
        assert_eq!(script.run(create_user(ALICE, auth_token(0, 0), 1)), None);
        assert_eq!(script.run(create_user(BOB, auth_token(0, 1), 2)), None);
        script
    }

    pub fn command(&mut self, body: Body) -> Command {
        self.number += 1;
        let quota = writer(&body).and_then(|user| self.quotas.get(user)).copied();
        let body = if quota.is_some() { under_quota(body, quota) } else { body };
        command(self.number, self.ms, body)
    }

    pub fn run(&mut self, body: Body) -> Option<ErrorCode> {
        let command = self.command(body);
        self.replica.refusal(&command)
    }

    /// Why the leader refuses it before the log. A body of unknown length: the quota is judged last.
    pub fn early(&mut self, body: Body) -> Option<ErrorCode> {
        let command = self.command(body);
        self.judged(&command)
    }

    /// Runs it, and holds the leader's judgement against the log's.
    pub fn both(&mut self, body: Body) -> Option<ErrorCode> {
        let command = self.command(body);
        let early = self.judged(&command);
        let late = self.replica.refusal(&command);
        assert_eq!(early, late, "before and after the log: {command:?}");
        late
    }

    fn judged(&self, command: &Command) -> Option<ErrorCode> {
        match precheck(&self.replica.view(), command, None, command.now_ms).expect("readable") {
            Precheck::Propose => None,
            Precheck::Refused(refusal) => Some(refusal.code),
            Precheck::Known(outcome) => panic!("known: {outcome:?}"),
        }
    }

    /// Lets time pass as a shard hears of it that is not quite idle.
    pub fn pass(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end {
            self.ms = end.min(self.ms + PASS_STEP_MS);
            self.run(close(0));
        }
    }

    /// A request again, as a leader proposes it now.
    pub fn again(&self, first: &Command) -> Command {
        let now = command(0, self.ms, close(0));
        Command { hlc_us: now.hlc_us, now_ms: now.now_ms, ..first.clone() }
    }

    pub fn set_user(&mut self, user: u8, record: &User) {
        self.replica.put_row(tables::user(&key_bytes(user)), record);
    }

    /// From here on this user's writes come under a default quota.
    pub fn limit(&mut self, user: u8, quota_bytes: u64) {
        self.quotas.insert(key_of(user), quota_bytes);
    }

    pub fn mint(&mut self, user: u8, id: &str, nth: &str, secret: u8) -> Option<ErrorCode> {
        self.run(mint(user, grant(id, CLIENT, 7200), nonce(nth), secret))
    }

    pub fn get_session(&self, kind: Kind, tenant: u8) -> Result<query_reply::Result, ErrorCode> {
        let query =
            GetSession { credential: Some(shard::Credential { kind: Some(kind) }), tenant: key_of(tenant) };
        unrefused(read::get_session(&self.replica.view(), &query, START_MS + self.ms))
    }

    pub fn get(&self, path: &str, kind: Option<Kind>) -> Result<shard::Entry, ErrorCode> {
        let credential = kind.map(|kind| shard::Credential { kind: Some(kind) });
        let query =
            ReadEntry { credential, tenant: key_of(ALICE), path: path.to_owned(), ..ReadEntry::default() };
        unrefused(read::read_entry(&self.replica.view(), &query, START_MS + self.ms))
    }
}

pub fn unrefused<T>(result: Result<T, ApplyError>) -> Result<T, ErrorCode> {
    match result {
        Ok(value) => Ok(value),
        Err(ApplyError::Refused(refusal)) => Err(refusal.code),
        Err(ApplyError::Failed(error)) => panic!("{error}"),
    }
}
