//! One shard's machine over rows in memory, and builders of its commands.
#![allow(dead_code)]

pub mod account;
pub mod condition;
pub mod golden;
pub mod leaps;
pub mod meta_store;
pub mod model;
pub mod packet;
pub mod script;
pub mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use prost::Message;
use pubky_common::crypto::Keypair;
use rowhouse_node::apply::ShardMachine;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::account::user_quota::Storage;
use rowhouse_proto::wire::account::{UserQuota, WritePaths};
use rowhouse_proto::wire::command::{self, Command, Outcome, command::Body, credential::Kind};
use rowhouse_proto::wire::shard::{EventRecord, ListEvents};
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSIONS, ErrorCode};
use rowhouse_raft::state::{ScanOrder, StateRead, Txn, View};
use rowhouse_raft::{EntryContext, Error, Machine};

/// Unix time at which every test begins.
pub const START_MS: u64 = 1_800_000_000_000;
pub const SHARD: u32 = 5;

/// The event ids of a cluster with 16 shards.
pub fn ids() -> EventIds {
    EventIds::new(16).expect("a power of two")
}

/// The homeserver's public key.
pub fn homeserver() -> [u8; 32] {
    key_bytes(99)
}

/// Whose log it is: one set of three.
pub fn voters() -> Vec<BTreeSet<u64>> {
    vec![(1..=3).collect()]
}

#[derive(Default)]
pub struct Rows(pub BTreeMap<Bytes, Bytes>);

impl StateRead for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        order: ScanOrder,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let range = self.0.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let rows: Vec<_> = match order {
            ScanOrder::Ascending => range.collect(),
            ScanOrder::Descending => range.rev().collect(),
        };
        for (key, value) in rows {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

pub type Writes = BTreeMap<Bytes, Option<Bytes>>;

#[derive(Default)]
pub struct Replica {
    pub rows: Rows,
    index: u64,
}

impl Replica {
    /// Another replica, which got this one's rows and none of its log.
    pub fn restored(&self) -> Self {
        Self { rows: Rows(self.rows.0.clone()), index: self.index }
    }

    /// Applies commands as one batch of the log; answers their outcomes and what the batch wrote.
    pub fn apply_bytes(&mut self, commands: &[Bytes]) -> (Vec<Outcome>, Writes) {
        let mut txn = Txn::new(View::new(&self.rows, Bytes::new()));
        let mut outcomes = Vec::new();
        for command in commands {
            self.index += 1;
            let context = EntryContext { group: SHARD as u16, term: 1, index: self.index, voters: &voters() };
            let machine = ShardMachine::new(ids(), COMMAND_VERSIONS, homeserver());
            let reply = machine.apply(context, command, &mut txn).expect("understood");
            assert!(reply.len() <= 256, "outcomes are small");
            outcomes.push(Outcome::decode(reply).expect("an outcome"));
        }
        let writes = txn.into_writes();
        for (key, value) in &writes {
            match value {
                Some(value) => self.rows.0.insert(key.clone(), value.clone()),
                None => self.rows.0.remove(key),
            };
        }
        (outcomes, writes)
    }

    /// Why it stops at a command, which changes nothing.
    pub fn stopped(&mut self, command: &Bytes) -> Error {
        let mut txn = Txn::new(View::new(&self.rows, Bytes::new()));
        let context = EntryContext { group: SHARD as u16, term: 1, index: self.index + 1, voters: &voters() };
        let stopped = ShardMachine::new(ids(), COMMAND_VERSIONS, homeserver())
            .apply(context, command, &mut txn)
            .expect_err("must stop");
        assert!(txn.into_writes().is_empty());
        stopped
    }

    pub fn apply_batch(&mut self, commands: &[Command]) -> Vec<Outcome> {
        let commands: Vec<Bytes> = commands.iter().map(|command| command.encode_to_vec().into()).collect();
        self.apply_bytes(&commands).0
    }

    pub fn apply(&mut self, command: &Command) -> Outcome {
        self.apply_batch(std::slice::from_ref(command)).remove(0)
    }

    /// The refusal's code, or `None` for success.
    pub fn refusal(&mut self, command: &Command) -> Option<ErrorCode> {
        code(&self.apply(command))
    }

    pub fn view(&self) -> View<'_> {
        View::new(&self.rows, Bytes::new())
    }

    pub fn rows_of(&self, table: u8) -> usize {
        self.rows.0.keys().filter(|key| key[0] == table).count()
    }

    /// A row's message, without its version byte.
    pub fn row<T: Message + Default>(&self, key: &[u8]) -> Option<T> {
        self.rows.0.get(key).map(|value| T::decode(&value[1..]).expect("a stored message"))
    }

    pub fn put_row(&mut self, key: Bytes, message: &impl Message) {
        let mut value = vec![2];
        value.extend(message.encode_to_vec());
        self.rows.0.insert(key, value.into());
    }

    /// The whole event log, by pages.
    pub fn events(&self) -> Vec<EventRecord> {
        let mut events: Vec<EventRecord> = Vec::new();
        for _ in 0..10_000 {
            let after = events.last().map_or(0, |event| event.id);
            let query = ListEvents { after, limit: 3, ..ListEvents::default() };
            let page = rowhouse_node::read::list_events(&self.view(), SHARD, &query, 0).expect("readable");
            if page.events.is_empty() {
                break;
            }
            events.extend(page.events);
        }
        events
    }
}

pub fn code(outcome: &Outcome) -> Option<ErrorCode> {
    match outcome.code {
        0 => None,
        number => Some(ErrorCode::from_number(number).expect("a known code")),
    }
}

pub fn key_of(seed: u8) -> Bytes {
    Bytes::copy_from_slice(Keypair::from_secret(&[seed; 32]).public_key().as_bytes())
}

pub fn key_bytes(seed: u8) -> [u8; 32] {
    *Keypair::from_secret(&[seed; 32]).public_key().as_bytes()
}

pub fn hash(seed: u8) -> Bytes {
    Bytes::from(vec![seed; 32])
}

/// A command at `ms` after the start, with a request id of its own number.
pub fn command(number: u64, ms: u64, body: Body) -> Command {
    let us = (START_MS + ms) * 1000;
    Command {
        version: COMMAND_VERSION,
        request_id: Bytes::copy_from_slice(&u128::from(number).to_be_bytes()),
        issued_at_us: us,
        hlc_us: us,
        now_ms: START_MS + ms,
        body: Some(body),
    }
}

pub fn event_t(ms: u64) -> u64 {
    ids().tick((START_MS + ms) * 1000)
}

pub fn auth_token(ms: u64, nth: u64) -> command::AuthTokenId {
    command::AuthTokenId { timestamp_us: (START_MS + ms) * 1000 + nth }
}

pub fn session_spec(secret: u8, capabilities: &[&str]) -> command::CookieSessionSpec {
    command::CookieSessionSpec {
        secret_hash: hash(secret),
        capabilities: capabilities.iter().map(|text| (*text).to_owned()).collect(),
    }
}

/// Signup with a root cookie session under `secret`.
pub fn create_user(user: u8, token: command::AuthTokenId, secret: u8) -> Body {
    Body::CreateUser(command::CreateUser {
        user: key_of(user),
        guard: Some(command::create_user::Guard::AuthToken(token)),
        session: Some(session_spec(secret, &["/:rw"])),
        ..command::CreateUser::default()
    })
}

pub fn open_session(user: u8, token: command::AuthTokenId, secret: u8, capabilities: &[&str]) -> Body {
    Body::OpenCookieSession(command::OpenCookieSession {
        user: key_of(user),
        auth_token: Some(token),
        session: Some(session_spec(secret, capabilities)),
    })
}

pub fn cookie(secret: u8) -> Option<command::Credential> {
    Some(command::Credential { kind: Some(Kind::CookieHash(hash(secret))) })
}

pub fn bearer(secret: u8) -> Option<command::Credential> {
    Some(command::Credential { kind: Some(Kind::BearerHash(hash(secret))) })
}

pub fn nonce(text: &str) -> command::PopNonce {
    command::PopNonce { nonce: text.to_owned(), issued_at: None }
}

/// A root grant of `client`, good for `lifetime_s` from the start.
pub fn grant(id: &str, client: u8, lifetime_s: u64) -> command::Grant {
    command::Grant {
        id: id.to_owned(),
        client_id: "test.app".to_owned(),
        capabilities: vec!["/:rw".to_owned()],
        client_key: key_of(client),
        issued_at: START_MS / 1000,
        expires_at: START_MS / 1000 + lifetime_s,
    }
}

pub fn mint(user: u8, grant: command::Grant, nonce: command::PopNonce, secret: u8) -> Body {
    Body::MintBearer(command::MintBearer {
        user: key_of(user),
        grant: Some(grant),
        nonce: Some(nonce),
        bearer_hash: hash(secret),
    })
}

pub fn bearer_logout(secret: u8) -> Body {
    Body::RevokeGrant(command::RevokeGrant {
        user: Bytes::new(),
        by: Some(command::revoke_grant::By::BearerHash(hash(secret))),
    })
}

pub fn proof_logout(user: u8, grant: command::Grant, nonce: command::PopNonce) -> Body {
    Body::RevokeGrant(command::RevokeGrant {
        user: key_of(user),
        by: Some(command::revoke_grant::By::Proof(command::revoke_grant::ByProof {
            grant: Some(grant),
            nonce: Some(nonce),
        })),
    })
}

pub fn put(credential: Option<command::Credential>, user: u8, path: &str, body: &[u8]) -> Body {
    Body::PutEntry(command::PutEntry {
        credential,
        user: key_of(user),
        path: path.to_owned(),
        body: Bytes::copy_from_slice(body),
        hash: Bytes::copy_from_slice(blake3::hash(body).as_bytes()),
        content_type: "text/plain".to_owned(),
        object: None,
        default_quota_bytes: None,
        conditions: None,
    })
}

/// A put or an upload under a default quota, as the leader completes it.
pub fn under_quota(body: Body, quota_bytes: Option<u64>) -> Body {
    match body {
        Body::PutEntry(put) => Body::PutEntry(command::PutEntry { default_quota_bytes: quota_bytes, ..put }),
        Body::BeginUpload(begin) => {
            Body::BeginUpload(command::BeginUpload { default_quota_bytes: quota_bytes, ..begin })
        }
        other => other,
    }
}

fn writer(body: &Body) -> Option<&Bytes> {
    match body {
        Body::PutEntry(put) => Some(&put.user),
        Body::BeginUpload(begin) => Some(&begin.user),
        _ => None,
    }
}

pub fn delete(credential: Option<command::Credential>, user: u8, path: &str) -> Body {
    Body::DeleteEntry(command::DeleteEntry {
        credential,
        user: key_of(user),
        path: path.to_owned(),
        conditions: None,
    })
}

pub fn close(t: u64) -> Body {
    Body::Close(command::Close { t })
}

/// A quota with these fields; `None`: as the defaults have it.
pub fn quota(storage_mb: Option<u64>, write_paths: Option<&[&str]>) -> UserQuota {
    UserQuota {
        storage: storage_mb.map(Storage::StorageMb),
        allowed_write_paths: write_paths
            .map(|paths| WritePaths { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..UserQuota::default()
    }
}
