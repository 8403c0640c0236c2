//! The closed loop: each connection sends one request, waits for its answer, sends the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::directory::Part;
use super::histogram::Histogram;
use super::options::Scenario;
use super::range::byte_request;
use super::target::{FILES_PER_USER, LIST_USERS, Member, Target, file_path};
use crate::error::Error;
use crate::feed::{LIMIT_MAX, page_request};
use crate::http1::{Connection, Response};
use crate::request::request;

/// A request without an answer after this counts as an error and its connection is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// After an error a connection waits, so that a dead server is not hammered.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
const LIST_LIMIT: usize = 100;
/// One in so many operations of `mixed` is a PUT.
const MIXED_PUT_EVERY: u32 = 10;

/// One cell of the matrix: a scenario at a number of connections.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub scenario: Scenario,
    pub part: Part,
    pub size: usize,
    pub concurrency: usize,
    pub warmup: Duration,
    pub duration: Duration,
    /// Tells runs apart in the names of new files.
    pub run: u64,
}

/// The connections' figures between the end of the warm-up and the deadline.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub latencies: Histogram,
    pub errors: u64,
    pub body_bytes: u64,
    /// Events that were read from the feed.
    pub events: u64,
    /// The first thing that went wrong, to tell a broken set-up from a slow server.
    pub first_error: Option<String>,
}

impl Tally {
    fn merge(&mut self, other: &Self) {
        self.latencies.merge(&other.latencies);
        self.errors += other.errors;
        self.body_bytes += other.body_bytes;
        self.events += other.events;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }
}

/// `at_edges` is called when the measured part begins and when it ends.
pub async fn run(target: &Arc<Target>, cell: Cell, mut at_edges: impl FnMut()) -> Result<Tally, Error> {
    let begin = Instant::now() + cell.warmup;
    let end = begin + cell.duration;
    let mut slots = JoinSet::new();
    for slot in 0..cell.concurrency {
        let connection = target.connect(slot).await?;
        let seed = cell.run.wrapping_mul(1 << 16).wrapping_add(slot as u64);
        let worker = Slot::new(Arc::clone(target), cell, slot, seed);
        slots.spawn(worker.run(connection, begin, end));
    }
    tokio::time::sleep_until(begin.into()).await;
    at_edges();
    tokio::time::sleep_until(end.into()).await;
    at_edges();
    let mut sum = Tally::default();
    while let Some(done) = slots.join_next().await {
        sum.merge(&done.map_err(|error| Error::Cluster(error.to_string()))?);
    }
    Ok(sum)
}

/// One connection and its random choices.
struct Slot {
    target: Arc<Target>,
    cell: Cell,
    slot: usize,
    random: StdRng,
    counter: u64,
    /// Where this connection is in the feed.
    cursor: u64,
    request: Vec<u8>,
    body: Vec<u8>,
    tally: Tally,
}

impl Slot {
    fn new(target: Arc<Target>, cell: Cell, slot: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut body = vec![0; cell.size];
        random.fill_bytes(&mut body);
        Self {
            target,
            cell,
            slot,
            random,
            counter: 0,
            cursor: 0,
            request: Vec::new(),
            body,
            tally: Tally::default(),
        }
    }

    async fn run(mut self, connection: Connection, begin: Instant, end: Instant) -> Tally {
        let mut connection = Some(connection);
        let mut response = Response::default();
        loop {
            let expected = self.build();
            let sent = Instant::now();
            if sent >= end {
                return self.tally;
            }
            let result = self.once(&mut connection, &mut response).await;
            let done = Instant::now();
            let counted = done >= begin && done <= end;
            match result {
                Ok(()) if response.status == expected => {
                    if counted {
                        self.tally.latencies.record((done - sent).as_nanos() as u64);
                        self.tally.body_bytes += self.transferred(&response);
                    }
                    if self.cell.scenario == Scenario::FeedHistory {
                        self.turn_page(&response, counted);
                    }
                }
                Ok(()) => self.fail(counted, format!("{} {}", response.status, response.text())).await,
                Err(error) => {
                    connection = None;
                    self.fail(counted, error.to_string()).await;
                }
            }
        }
    }

    async fn once(&self, connection: &mut Option<Connection>, response: &mut Response) -> Result<(), Error> {
        let open = match connection.take() {
            Some(open) => open,
            None => self.target.connect(self.slot).await?,
        };
        let open = connection.insert(open);
        let exchange = async {
            open.send(&self.request).await?;
            open.receive(response, false).await
        };
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await;
        answered.map_err(|_| Error::Timeout(REQUEST_TIMEOUT, "an answer".into()))??;
        if response.closes {
            *connection = None;
        }
        Ok(())
    }

    async fn fail(&mut self, counted: bool, what: String) {
        self.tally.errors += u64::from(counted);
        self.tally.first_error.get_or_insert(what);
        tokio::time::sleep(ERROR_PAUSE).await;
    }

    fn transferred(&self, response: &Response) -> u64 {
        if response.status == 201 { self.body.len() as u64 } else { response.body.len() as u64 }
    }

    /// On to the next page of the feed, from the last one to the first.
    fn turn_page(&mut self, response: &Response, counted: bool) {
        let mut lines = response.body.split(|byte| *byte == b'\n');
        self.tally.events += if counted { lines.clone().count() as u64 - 1 } else { 0 };
        let last = lines.next_back().and_then(|line| std::str::from_utf8(line).ok());
        let cursor = last.and_then(|line| line.strip_prefix("cursor: ")?.parse().ok());
        self.cursor = cursor.unwrap_or(0);
    }

    /// Writes the next request; tells the status that counts as success.
    fn build(&mut self) -> u16 {
        self.counter += 1;
        let Cell { scenario, part, size, run, .. } = self.cell;
        let target = Arc::clone(&self.target);
        if part != Part::Whole {
            return self.ask(&target.members[0], part);
        }
        let among = if scenario == Scenario::List {
            target.members.len().min(LIST_USERS)
        } else {
            target.members.len()
        };
        let member = &target.members[self.random.random_range(0..among)];
        let file = self.random.random_range(0..FILES_PER_USER);
        let overwrite = scenario == Scenario::PutOver
            || (scenario == Scenario::Mixed && self.random.random_ratio(1, MIXED_PUT_EVERY));
        match scenario {
            Scenario::PutNew => {
                let path = format!("/pub/bench/new/{run:x}-{}-{}", self.slot, self.counter);
                self.put(member, &path)
            }
            Scenario::SignIn => self.sign_in(member),
            Scenario::GetRange => {
                let position = self.random.random_range(0..size);
                self.request = byte_request(&target.host, &target.members[0], size, position);
                206
            }
            Scenario::FeedHistory => {
                self.request = page_request(&target.host, self.cursor, LIMIT_MAX);
                200
            }
            Scenario::UserBatchEmpty => {
                let Member { z32, cursor, .. } = member;
                let url = format!("/events-stream?user={z32}:{cursor}&limit=50&path=/pub/");
                self.request = request("GET", &url, &target.host, &[], b"");
                200
            }
            Scenario::List => self.get(member, &format!("/pub/bench/list/?limit={LIST_LIMIT}")),
            _ if overwrite => self.put(member, &file_path(size, file)),
            _ => self.get(member, &file_path(size, file)),
        }
    }

    fn get(&mut self, member: &Member, path: &str) -> u16 {
        self.request.clear();
        for part in ["GET /storage/", &member.z32, path, " HTTP/1.1\r\nhost: ", &self.target.host, "\r\n\r\n"]
        {
            self.request.extend_from_slice(part.as_bytes());
        }
        200
    }

    /// One user has the directories.
    fn ask(&mut self, member: &Member, part: Part) -> u16 {
        let new = format!("{:x}-{}-{}", self.cell.run, self.slot, self.counter);
        let (url, expected) = part.url(member, self.random.random(), &new);
        let headers = [(member.session.header, member.session.value.as_str())];
        let (method, headers, body) =
            if part.writes() { ("PUT", &headers[..], &self.body[..]) } else { ("GET", &[][..], &[][..]) };
        self.request = request(method, &url, &self.target.host, headers, body);
        expected
    }

    fn sign_in(&mut self, member: &Member) -> u16 {
        self.request = request("POST", "/session", &self.target.host, &[], &member.user.auth_token());
        200
    }

    fn put(&mut self, member: &Member, path: &str) -> u16 {
        let unique = self.random.next_u64().to_le_bytes();
        let length = unique.len().min(self.body.len());
        self.body[..length].copy_from_slice(&unique[..length]);
        self.request.clear();
        let length = self.body.len().to_string();
        let Member { z32, session, .. } = member;
        for part in [
            "PUT /storage/",
            z32,
            path,
            " HTTP/1.1\r\nhost: ",
            &self.target.host,
            "\r\n",
            session.header,
            ": ",
            &session.value,
            "\r\ncontent-length: ",
            &length,
            "\r\n\r\n",
        ] {
            self.request.extend_from_slice(part.as_bytes());
        }
        self.request.extend_from_slice(&self.body);
        201
    }
}
