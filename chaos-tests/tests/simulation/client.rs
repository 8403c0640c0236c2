//! Simulated clients: they put unique values and read them back, follow leader hints, and retry an
//! unknown outcome with the same request id, as a gateway does.

use std::time::Duration;

use bytes::Bytes;
use openraft::AsyncRuntime;
use prost::Message;
use rowhouse_node::clock::Stamp;
use rowhouse_proto::wire::command::{self, Command, Credential, Outcome};
use rowhouse_proto::{COMMAND_VERSION, ErrorCode};
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{GroupId, ProposeError, ReadError};

use crate::nodes::Nodes;

/// Attempts of one operation before its outcome counts as unknown; each waits a little.
const ATTEMPTS_MAX: u32 = 12;
const BACKOFF: Duration = Duration::from_millis(60);

/// A client's knowledge of an operation when it gives up or is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    Done(T),
    Unknown,
}

/// A user with one live cookie session, shared by all clients of a group.
#[derive(Clone)]
pub struct SimUser {
    pub key: Bytes,
    pub secret_hash: Bytes,
}

impl SimUser {
    pub fn new(number: u8) -> Self {
        let keypair = pubky_common::crypto::Keypair::from_secret(&[number; 32]);
        Self {
            key: Bytes::copy_from_slice(keypair.public_key().as_bytes()),
            secret_hash: Bytes::from(vec![number; 32]),
        }
    }

    pub fn key_bytes(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(&self.key);
        key
    }

    fn credential(&self) -> Option<Credential> {
        Some(Credential { kind: Some(command::credential::Kind::CookieHash(self.secret_hash.clone())) })
    }

    pub fn signup(&self, now_us: u64) -> command::command::Body {
        command::command::Body::CreateUser(command::CreateUser {
            user: self.key.clone(),
            guard: Some(command::create_user::Guard::AuthToken(command::AuthTokenId {
                timestamp_us: now_us,
            })),
            session: Some(command::CookieSessionSpec {
                secret_hash: self.secret_hash.clone(),
                capabilities: vec!["/:rw".to_owned()],
            }),
            ..command::CreateUser::default()
        })
    }

    pub fn sign_in(&self, now_us: u64) -> command::command::Body {
        command::command::Body::OpenCookieSession(command::OpenCookieSession {
            user: self.key.clone(),
            auth_token: Some(command::AuthTokenId { timestamp_us: now_us }),
            session: Some(command::CookieSessionSpec {
                secret_hash: self.secret_hash.clone(),
                capabilities: vec!["/:rw".to_owned()],
            }),
        })
    }

    pub fn put(&self, path: &str, value: u64) -> command::command::Body {
        let body = value.to_string();
        command::command::Body::PutEntry(command::PutEntry {
            credential: self.credential(),
            user: self.key.clone(),
            path: path.to_owned(),
            hash: Bytes::copy_from_slice(blake3::hash(body.as_bytes()).as_bytes()),
            body: Bytes::from(body),
            content_type: "text/plain".to_owned(),
            object: None,
            default_quota_bytes: None,
            conditions: None,
        })
    }
}

/// Builds a command as a node does: with the proposing node's own clock, if it knows the time.
fn stamp(
    cluster: &impl Nodes,
    node: usize,
    request_id: u128,
    issued_at_us: u64,
    body: command::command::Body,
) -> Option<Bytes> {
    let clock = cluster.clock(node)?;
    clock.merge(cluster.gateway().seen_hlc_us());
    let Stamp { hlc_us, now_ms } = clock.stamp().ok()?;
    let command = Command {
        version: COMMAND_VERSION,
        request_id: Bytes::copy_from_slice(&request_id.to_be_bytes()),
        issued_at_us,
        hlc_us,
        now_ms,
        body: Some(body),
    };
    Some(Bytes::from(command.encode_to_vec()))
}

fn random_id() -> u128 {
    u128::from(Simulation::random_u64()) << 64 | u128::from(Simulation::random_u64())
}

/// Proposes until answered; a retry keeps the request id. A request of another time that was certainly not applied
/// is asked again, once, with the time it was told.
pub async fn execute(cluster: &impl Nodes, group: GroupId, body: command::command::Body) -> Answer<Outcome> {
    let request_id = random_id();
    let mut node = cluster.any();
    let mut issued_at_us = cluster.gateway().issued_at_us();
    let mut may_start_over = true;
    for _ in 0..ATTEMPTS_MAX {
        let stamped = || stamp(cluster, node, request_id, issued_at_us, body.clone());
        let ready = cluster.group(node, group).filter(|handle| cluster.upload(handle, &body));
        let hint = match ready.zip(stamped()) {
            None => None,
            Some((handle, bytes)) => {
                let answer = handle.propose(bytes, Bytes::new()).await;
                cluster.hear(node);
                match answer {
                    Ok(reply) => match Outcome::decode(reply) {
                        Ok(outcome) if may_start_over && is_expired(&outcome) => {
                            issued_at_us = cluster.gateway().issued_at_us();
                            may_start_over = false;
                            continue;
                        }
                        Ok(outcome) => {
                            if outcome.code == 0 {
                                cluster.acknowledge(&handle, &body);
                            }
                            return Answer::Done(outcome);
                        }
                        Err(_) => return Answer::Unknown,
                    },
                    Err(ProposeError::NotLeader { leader_node }) => cluster.node_of(leader_node),
                    Err(_) => {
                        may_start_over = false;
                        None
                    }
                }
            }
        };
        node = hint.unwrap_or_else(|| (node + 1) % cluster.count());
        Simulation::sleep(BACKOFF).await;
    }
    Answer::Unknown
}

fn is_expired(outcome: &Outcome) -> bool {
    outcome.code == ErrorCode::RequestExpired.number()
}

/// A linearizable read of one file's body.
pub async fn read(cluster: &impl Nodes, group: GroupId, user: &SimUser, path: &str) -> Answer<Option<u64>> {
    let mut node = cluster.any();
    for _ in 0..ATTEMPTS_MAX {
        let hint = match cluster.group(node, group) {
            None => None,
            Some(handle) => match handle.read_barrier().await {
                Ok(()) => {
                    // A pause between check and read must not matter (docs/rules/consensus.md#reads-are-linearizable).
                    Simulation::sleep(Duration::from_micros(Simulation::random_u64() % 500)).await;
                    match crate::probe::value(&handle, user, path) {
                        // A crash takes the reader with it: only a node that still runs answers.
                        Ok(value) if cluster.runs(node, &handle) => return Answer::Done(value),
                        _ => None,
                    }
                }
                Err(ReadError::NotLeader { leader_node }) => cluster.node_of(leader_node),
                Err(ReadError::Unavailable(_)) => None,
            },
        };
        node = hint.unwrap_or_else(|| (node + 1) % cluster.count());
        Simulation::sleep(BACKOFF).await;
    }
    Answer::Unknown
}
