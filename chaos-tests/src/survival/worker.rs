//! One client of a survival run: writes, reads and deletes over either gateway, and records
//! exactly what it was told. It never repeats a write whose outcome it does not know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pubky_common::crypto::PublicKey;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::content::Sizes;
use super::in_flight::InFlight;
use crate::error::Error;
use crate::history::{Action, Key, Operation, Outcome, Recorder};
use crate::http1::{Connection, Response};
use crate::identity::Session;
use crate::oracle::Violation;
use crate::request::request;

/// A client that has waited this long gives up; what it asked for may still happen.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// After an error the worker turns to the other gateway, a little later.
const ERROR_PAUSE: Duration = Duration::from_millis(20);
/// Between operations: keeps a key's history within what the oracle decides quickly.
const PAUSE_MS_MAX: u64 = 12;
/// Paths change this often, for the same reason.
const EPOCH: Duration = Duration::from_secs(4);
const PATHS_PER_USER: u64 = 4;
/// Percent of operations; the rest are reads.
const PUT_PERCENT: u32 = 45;
const DELETE_PERCENT: u32 = 10;
/// More of the same tell nothing new.
const FINDINGS_MAX: usize = 100;

/// A user of the run with its session.
pub struct Account {
    pub z32: String,
    pub public_key: PublicKey,
    pub session: Session,
    pub shard: u32,
}

/// State that all workers of a run share.
pub struct Shared {
    pub gateways: Vec<SocketAddr>,
    pub host: String,
    pub accounts: Vec<Account>,
    pub recorder: Recorder,
    pub next_value: AtomicU64,
    pub sizes: Sizes,
    pub in_flight: InFlight,
    pub stop: AtomicBool,
    /// Answers that break a promise by themselves: torn bodies, lost sessions, lost users.
    pub findings: std::sync::Mutex<Vec<Violation>>,
}

impl Shared {
    /// Keeps a finding for the verdict.
    pub fn find(&self, what: String) {
        let mut findings = self.findings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if findings.len() < FINDINGS_MAX {
            findings.push(Violation { oracle: "answers", what });
        }
    }
}

/// One client that writes and reads until told to stop.
pub struct Worker {
    shared: Arc<Shared>,
    random: StdRng,
    gateway: usize,
    connection: Option<Connection>,
}

impl Worker {
    /// Worker `number` of a run with this seed.
    pub fn new(shared: Arc<Shared>, number: usize, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(number as u64));
        Self { shared, random, gateway: number, connection: None }
    }

    /// Works until the run stops.
    pub async fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let key = self.choose_key();
            let action = self.choose_action();
            if !self.perform(key, action).await {
                return;
            }
            let pause = self.random.random_range(0..=PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn choose_key(&mut self) -> Key {
        let epoch = self.shared.recorder.now_ns() / EPOCH.as_nanos() as u64;
        let user = self.random.random_range(0..self.shared.accounts.len());
        let path = format!("/pub/chaos/{epoch}/{}", self.random.random_range(0..PATHS_PER_USER));
        Key { user, path }
    }

    fn choose_action(&mut self) -> Action {
        match self.random.random_range(0..100) {
            dice if dice < PUT_PERCENT => Action::Put(self.shared.next_value.fetch_add(1, Ordering::Relaxed)),
            dice if dice < PUT_PERCENT + DELETE_PERCENT => Action::Delete,
            _ => Action::Read,
        }
    }

    /// One operation, recorded unless it certainly never left. False: the record is full.
    pub async fn perform(&mut self, key: Key, action: Action) -> bool {
        if self.connect().await.is_err() {
            self.turn_away().await;
            return true;
        }
        let request = self.request(&key, action);
        let shared = Arc::clone(&self.shared);
        let under_way = shared.in_flight.begin(&key, action, shared.sizes);
        let called_ns = self.shared.recorder.now_ns();
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(&request)).await;
        drop(under_way);
        let returned_ns = self.shared.recorder.now_ns();
        let outcome = match answer {
            Ok(Ok(response)) => self.judge(&key, action, &response),
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        shared.in_flight.ended(&key, action, outcome, shared.sizes);
        let more = self.shared.recorder.record(Operation { key, action, called_ns, returned_ns, outcome });
        if outcome == Outcome::Unknown {
            self.turn_away().await;
        }
        more
    }

    /// Reads until there is an answer: the state at the end.
    pub async fn read_surely(&mut self, key: &Key, attempts: usize) -> Result<(), Error> {
        for _ in 0..attempts {
            let before = self.shared.recorder.len();
            self.perform(key.clone(), Action::Read).await;
            if self.connection.is_some() && self.shared.recorder.len() > before {
                return Ok(());
            }
        }
        Err(Error::Answer(format!("no read of {key:?} succeeded after the run")))
    }

    async fn connect(&mut self) -> Result<(), Error> {
        if self.connection.is_none() {
            let address = self.shared.gateways[self.gateway % self.shared.gateways.len()];
            self.connection = Some(Connection::open(address, false).await?);
        }
        Ok(())
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Response, Error> {
        let connection = self.connection.as_mut().ok_or(Error::Http("not connected"))?;
        let response = connection.exchange(request, false).await?;
        if response.closes {
            self.connection = None;
        }
        Ok(response)
    }

    async fn turn_away(&mut self) {
        self.connection = None;
        self.gateway += 1;
        tokio::time::sleep(ERROR_PAUSE).await;
    }

    fn request(&self, key: &Key, action: Action) -> Vec<u8> {
        let account = &self.shared.accounts[key.user];
        let target = format!("/storage/{}{}", account.z32, key.path);
        let credentials = [(account.session.header, account.session.value.as_str())];
        let host = &self.shared.host;
        match action {
            Action::Put(value) => {
                request("PUT", &target, host, &credentials, &self.shared.sizes.render(value))
            }
            Action::Delete => request("DELETE", &target, host, &credentials, b""),
            Action::Read => request("GET", &target, host, &[], b""),
        }
    }

    fn judge(&self, key: &Key, action: Action, response: &Response) -> Outcome {
        match (action, response.status) {
            (Action::Put(_), 201) | (Action::Delete, 204) => Outcome::Done,
            (Action::Delete, 404) => Outcome::Missing,
            (Action::Read, 404) => Outcome::Saw(None),
            (Action::Read, 200) => match self.shared.sizes.parse(&response.body) {
                Some(value) => Outcome::Saw(Some(value)),
                None => {
                    self.shared
                        .find(format!("{key:?}: a body of {} bytes nobody wrote", response.body.len()));
                    Outcome::Unknown
                }
            },
            (_, 429 | 408 | 500..=599) => Outcome::Unknown,
            (_, status) => {
                self.shared.find(format!("{key:?}: {action:?} answered {status} {}", response.text()));
                Outcome::Unknown
            }
        }
    }
}
