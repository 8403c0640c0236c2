//! SDK clients that write, read back and list until they are stopped, and time every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pubky::{ClientId, Keypair, PubkySession};
use rowhouse_chaos_tests::cluster::Findable;
use tokio::task::JoinSet;

use crate::sdk::{homeserver, sdk};

/// One file in so many is followed by a listing.
const LIST_EVERY: usize = 5;
/// Files a client writes before it starts again at the first.
const FILES: usize = 50;
/// Failures kept of one client; there should be none.
const FAILURES_MAX: usize = 10;

pub struct Sample {
    pub what: &'static str,
    pub at: Instant,
    pub took: Duration,
    pub failure: Option<String>,
}

pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Vec<Sample>>,
}

impl Load {
    pub async fn start(cluster: &impl Findable, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for number in 0..clients {
            let signer = sdk(cluster).signer(Keypair::random());
            signer.signup(&homeserver(cluster), None).await.expect("signs up");
            let client_id = ClientId::new("rolling.test").expect("well formed");
            let session = signer.signin(client_id).await.expect("signs in");
            running.spawn(client(session, number, Arc::clone(&stop)));
        }
        Self { stop, clients: running }
    }

    /// Every sample of every client.
    pub async fn stop(mut self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        let mut samples = Vec::new();
        while let Some(client) = self.clients.join_next().await {
            samples.extend(client.expect("the client did not panic"));
        }
        samples
    }
}

async fn client(session: PubkySession, number: usize, stop: Arc<AtomicBool>) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut failures = 0;
    for round in 0.. {
        if stop.load(Ordering::Relaxed) || failures >= FAILURES_MAX {
            break;
        }
        let path = format!("/pub/rolling.test/{}", round % FILES);
        let body = format!("{number} wrote {round}");
        let mut take = |sample: Sample| {
            failures += usize::from(sample.failure.is_some());
            samples.push(sample);
        };
        take(timed("put", put(&session, &path, &body)).await);
        take(timed("get", get(&session, &path, &body)).await);
        if round % LIST_EVERY == 0 {
            take(timed("list", list(&session, (round + 1).min(FILES))).await);
        }
    }
    samples
}

async fn timed(what: &'static str, request: impl Future<Output = Result<(), String>>) -> Sample {
    let at = Instant::now();
    let failure = request.await.err().map(|error| format!("{what}: {error}"));
    Sample { what, at, took: at.elapsed(), failure }
}

async fn put(session: &PubkySession, path: &str, body: &str) -> Result<(), String> {
    session.storage().put(path, body.to_owned()).await.map(drop).map_err(text)
}

async fn get(session: &PubkySession, path: &str, expected: &str) -> Result<(), String> {
    let response = session.storage().get(path).await.map_err(text)?;
    let body = response.text().await.map_err(|error| format!("{error:?}"))?;
    if body == expected { Ok(()) } else { Err(format!("read `{body}`, wrote `{expected}`")) }
}

async fn list(session: &PubkySession, expected: usize) -> Result<(), String> {
    let storage = session.storage();
    let listing = storage.list("/pub/rolling.test/").map_err(text)?;
    let found = listing.limit(FILES as u16).send().await.map_err(text)?.len();
    if found == expected { Ok(()) } else { Err(format!("listed {found} files of {expected}")) }
}

fn text(error: pubky::Error) -> String {
    format!("{error:?}")
}
