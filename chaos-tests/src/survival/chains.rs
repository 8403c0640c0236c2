//! Clients that change what they have read: some by `If-Match`, some under a lock. A lost update would break the chain of
//! what they write (`oracle/chain.rs`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rowhouse_proto::domain::slot::Slot;
use serde::Serialize;
use tokio::task::JoinSet;

use super::judge;
use super::worker::{Account, Shared};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::http1::{Connection, Response};
use crate::identity::{User, signup_by_cookie};
use crate::oracle::{Attempt, Fate, Link, Violation, check_chain};
use crate::request::{head, request};

/// Writers of each chain.
const WRITERS: usize = 3;
/// A client that has waited this long gives up; what it asked for may still happen.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const ERROR_PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MS_MAX: u64 = 40;
/// Of the account that all chains belong to.
const SIGNUP_ATTEMPTS: usize = 50;
const REMOVE_ATTEMPTS: usize = 60;
const REMOVE_PAUSE: Duration = Duration::from_secs(1);
/// A lock that was taken and forgotten holds the others up for so long.
const LOCK_S: u64 = 4;
/// One write in so many takes longer than its lock was to live.
const SLOW_ONE_IN: u32 = 12;
const SLOW_PIECES: usize = 4;
const SLOW_PAUSE: Duration = Duration::from_millis(1_500);
/// More than travels in the log, so that half of the slow bodies are objects.
const LARGE: usize = 128 * 1024;

/// How a chain's writers keep others from writing in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Condition,
    Lock,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Condition, Self::Lock];

    /// Private: the readers of the public feed do not see it.
    fn path(self) -> &'static str {
        match self {
            Self::Condition => "/priv/chain/condition",
            Self::Lock => "/priv/chain/lock",
        }
    }
}

/// What the writers did, in numbers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ChainCounts {
    pub updates_by_condition: usize,
    pub updates_under_lock: usize,
    /// Answers of 412: somebody else was first, or a lock was lost.
    pub refused: usize,
    pub unknown: usize,
}

struct Writers {
    shared: Arc<Shared>,
    account: Account,
    next: AtomicU64,
    attempts: Mutex<Vec<(Kind, Attempt)>>,
}

/// Writers at work.
pub struct Chains {
    writers: Arc<Writers>,
    tasks: JoinSet<()>,
}

impl Chains {
    /// Signs up their user, and begins.
    pub async fn begin(shared: &Arc<Shared>, shard_count: u32, seed: u64) -> Result<Self, Error> {
        let account = account(shared, shard_count).await?;
        let writers = Arc::new(Writers {
            shared: Arc::clone(shared),
            account,
            next: AtomicU64::new(1),
            attempts: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for kind in Kind::ALL {
            for number in 0..WRITERS {
                let random = StdRng::seed_from_u64(seed.wrapping_mul(100).wrapping_add(number as u64));
                let writer =
                    Writer { writers: Arc::clone(&writers), kind, random, gateway: number, open: None };
                tasks.spawn(writer.run());
            }
        }
        Ok(Self { writers, tasks })
    }

    /// Once the run has stopped and the cluster is at rest: compares the chains with the log of their shard.
    pub async fn verdict(mut self, cluster: &Cluster) -> Result<(Vec<Violation>, ChainCounts), Error> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(|error| Error::Cluster(format!("a writer of a chain: {error}")))?;
        }
        let events = judge::shard_events(cluster, self.writers.account.shard).await?;
        for kind in Kind::ALL {
            remove(&self.writers, kind).await?;
        }
        let writers =
            Arc::into_inner(self.writers).ok_or_else(|| Error::Cluster("a writer still runs".into()))?;
        let attempts = writers.attempts.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let hashes: HashMap<Vec<u8>, Link> = attempts
            .iter()
            .flat_map(|(_, attempt)| [false, true].map(|large| (attempt, large)))
            .map(|(attempt, large)| (blake3::hash(&body(attempt, large)).as_bytes().to_vec(), attempt.link))
            .collect();
        let mut violations = Vec::new();
        for kind in Kind::ALL {
            let of_kind: Vec<Attempt> =
                attempts.iter().filter(|(other, _)| *other == kind).map(|(_, attempt)| *attempt).collect();
            let written: Vec<Link> = events
                .iter()
                .filter(|event| {
                    event.user == writers.account.public_key.as_bytes()[..] && event.path == kind.path()
                })
                .map(|event| hashes.get(&event.hash[..]).copied().unwrap_or(0))
                .collect();
            violations.extend(check_chain(kind.path(), &of_kind, &written));
        }
        Ok((violations, counts(&attempts)))
    }
}

/// Deletes a chain's file, so that the disks hold at the end what the run's clients have written. A lock that was
/// forgotten lives for a while.
async fn remove(writers: &Arc<Writers>, kind: Kind) -> Result<(), Error> {
    let random = StdRng::seed_from_u64(0);
    let mut writer = Writer { writers: Arc::clone(writers), kind, random, gateway: 0, open: None };
    let mut last = None;
    for _ in 0..REMOVE_ATTEMPTS {
        last = writer.ask("DELETE", &[], b"").await.map(|answer| answer.status);
        if matches!(last, Some(204 | 404)) {
            return Ok(());
        }
        writer.gateway += 1;
        tokio::time::sleep(REMOVE_PAUSE).await;
    }
    Err(Error::Answer(format!("{} is not deleted: {last:?}", kind.path())))
}

fn counts(attempts: &[(Kind, Attempt)]) -> ChainCounts {
    let count = |wanted: &dyn Fn(Kind, Fate) -> bool| {
        attempts.iter().filter(|(kind, attempt)| wanted(*kind, attempt.fate)).count()
    };
    ChainCounts {
        updates_by_condition: count(&|kind, fate| kind == Kind::Condition && fate == Fate::Done),
        updates_under_lock: count(&|kind, fate| kind == Kind::Lock && fate == Fate::Done),
        refused: count(&|_, fate| fate == Fate::Refused),
        unknown: count(&|_, fate| fate == Fate::Unknown),
    }
}

async fn account(shared: &Shared, shard_count: u32) -> Result<Account, Error> {
    let user = User::random();
    let mut last = Error::Http("no signup was tried");
    for _ in 0..SIGNUP_ATTEMPTS {
        let mut connection = Connection::open(shared.gateways[0], false).await?;
        match signup_by_cookie(&mut connection, &shared.host, &user).await {
            Ok(session) => {
                let public_key = user.public_key();
                let shard = Slot::of_user(&public_key).shard(shard_count);
                return Ok(Account { z32: user.z32, public_key, session, shard });
            }
            Err(error) => last = error,
        }
        tokio::time::sleep(ERROR_PAUSE).await;
    }
    Err(last)
}

/// A link's body, the same for each size.
fn body(attempt: &Attempt, large: bool) -> Vec<u8> {
    let mut body = format!("{} after {}\n", attempt.link, attempt.after).into_bytes();
    if large {
        body.resize(LARGE, b' ');
    }
    body
}

fn parse(body: &[u8]) -> Option<Link> {
    let text = std::str::from_utf8(body).ok()?;
    text.split_once(" after ")?.0.parse().ok()
}

struct Writer {
    writers: Arc<Writers>,
    kind: Kind,
    random: StdRng,
    gateway: usize,
    open: Option<Connection>,
}

impl Writer {
    async fn run(mut self) {
        while !self.writers.shared.stop.load(Ordering::Relaxed) {
            let went_well = match self.kind {
                Kind::Condition => self.update(None).await,
                Kind::Lock => self.update_locked().await,
            };
            if went_well.is_none() {
                self.open = None;
                self.gateway += 1;
                tokio::time::sleep(ERROR_PAUSE).await;
            }
            let pause = self.random.random_range(0..=PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Reads, and writes what comes next. `None`: something failed on the way.
    async fn update(&mut self, token: Option<&str>) -> Option<()> {
        let found = self.ask("GET", &[], b"").await?;
        let (after, tag) = match found.status {
            404 => (0, None),
            200 => match parse(&found.body) {
                Some(link) => (link, found.header("etag")),
                None => {
                    self.writers.shared.find(format!("{}: {:?}", self.kind.path(), found.text()));
                    return None;
                }
            },
            _ => return None,
        };
        let named = token.map(|token| format!("({token})"));
        let condition = match (&named, &tag) {
            (Some(named), _) => ("if", named.as_str()),
            (None, Some(tag)) => ("if-match", tag.as_str()),
            (None, None) => ("if-none-match", "*"),
        };
        let link = self.writers.next.fetch_add(1, Ordering::Relaxed);
        let mut attempt = Attempt { link, after, fate: Fate::Unknown };
        let answer = self.put(&attempt, condition).await;
        attempt.fate = match answer.as_ref().map(|answer| answer.status) {
            Some(201) => Fate::Done,
            Some(412 | 423) => Fate::Refused,
            Some(429 | 408 | 500..=599) | None => Fate::Unknown,
            Some(status) => {
                self.writers.shared.find(format!("{}: a link was answered {status}", self.kind.path()));
                Fate::Unknown
            }
        };
        let mut attempts = self.writers.attempts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        attempts.push((self.kind, attempt));
        answer.map(drop)
    }

    async fn update_locked(&mut self) -> Option<()> {
        let timeout = format!("Second-{LOCK_S}");
        let locked = self.ask("LOCK", &[("timeout", &timeout)], b"").await?;
        let Some(token) = locked.header("lock-token") else { return (locked.status == 423).then_some(()) };
        let done = self.update(Some(&token)).await;
        self.ask("UNLOCK", &[("lock-token", &token)], b"").await?;
        done
    }

    async fn put(&mut self, attempt: &Attempt, condition: (&str, &str)) -> Option<Response> {
        let large = self.random.random();
        if !self.random.random_ratio(1, SLOW_ONE_IN) {
            return self.ask("PUT", &[condition], &body(attempt, large)).await;
        }
        let body = body(attempt, large);
        let length = body.len().to_string();
        let mut bytes = self.head("PUT", &[condition, ("content-length", &length)]);
        bytes.extend_from_slice(b"\r\n");
        let exchange = async {
            let mut connection = self.connect().await?;
            connection.send(&bytes).await?;
            for piece in body.chunks(body.len().div_ceil(SLOW_PIECES)) {
                connection.send(piece).await?;
                tokio::time::sleep(SLOW_PAUSE).await;
            }
            let mut response = Response::default();
            connection.receive(&mut response, false).await?;
            Ok::<_, Error>(response)
        };
        tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.ok()?.ok()
    }

    async fn ask(&mut self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Response> {
        let account = &self.writers.account;
        let target = format!("/storage/{}{}", account.z32, self.kind.path());
        let session = (account.session.header, account.session.value.as_str());
        let headers = [&[session][..], headers].concat();
        let bytes = request(method, &target, &self.writers.shared.host, &headers, body);
        let exchange = async {
            let mut connection = self.connect().await?;
            let response = connection.exchange(&bytes, false).await?;
            self.open = (!response.closes).then_some(connection);
            Ok::<_, Error>(response)
        };
        tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.ok()?.ok()
    }

    fn head(&self, method: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let account = &self.writers.account;
        let target = format!("/storage/{}{}", account.z32, self.kind.path());
        let session = (account.session.header, account.session.value.as_str());
        head(method, &target, &self.writers.shared.host, &[&[session][..], headers].concat())
    }

    async fn connect(&mut self) -> Result<Connection, Error> {
        let gateways = &self.writers.shared.gateways;
        match self.open.take() {
            Some(open) => Ok(open),
            None => Connection::open(gateways[self.gateway % gateways.len()], false).await,
        }
    }
}
