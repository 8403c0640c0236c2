//! How long after its acknowledgement an event is on the feed: writers on all connections, one reader that polls without
//! a pause.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::feed::Tailer;
use super::load::{Cell, Tally};
use super::target::Target;
use crate::error::Error;
use crate::request::request;

/// Events that were written last are waited for.
const LAST: Duration = Duration::from_secs(5);
/// After an error a writer waits, so that a dead server is not hammered.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Which of both came first, by the event's path.
enum Mark {
    Acknowledged(Instant),
    Seen,
}

#[derive(Default)]
struct Shared {
    marks: HashMap<String, Mark>,
    tally: Tally,
}

/// Writes and reads; latencies are those of events whose write was acknowledged between the edges. An event that is
/// read before its writer hears of it counts as zero.
pub async fn run(target: &Arc<Target>, cell: Cell, mut at_edges: impl FnMut()) -> Result<Tally, Error> {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let mut tailer = Tailer::at_the_end(target).await?;
    let begin = Instant::now() + cell.warmup;
    let end = begin + cell.duration;
    let mut tasks = JoinSet::new();
    for slot in 0..cell.concurrency {
        tasks.spawn(write(Arc::clone(target), cell, slot, end, Arc::clone(&shared)));
    }
    let seen = Arc::clone(&shared);
    tasks.spawn(async move {
        let told = |lines: Vec<_>| lines.iter().for_each(|line| arrived(&seen, line, begin, end));
        let errors = tailer.follow(end + LAST, Duration::ZERO, told).await;
        lock(&seen).tally.errors += errors;
    });
    tokio::time::sleep_until(begin.into()).await;
    at_edges();
    tokio::time::sleep_until(end.into()).await;
    at_edges();
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| Error::Cluster(error.to_string()))?;
    }
    let mut shared = lock(&shared);
    let late = shared.marks.values().filter(|mark| matches!(mark, Mark::Acknowledged(_))).count();
    if late > 0 {
        shared.tally.errors += late as u64;
        shared.tally.first_error = Some(format!("{late} events were not on the feed after {LAST:?}"));
    }
    Ok(std::mem::take(&mut shared.tally))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn arrived(shared: &Mutex<Shared>, line: &crate::feed::FeedLine, begin: Instant, end: Instant) {
    let mut shared = lock(shared);
    match shared.marks.remove(&line.path) {
        Some(Mark::Acknowledged(at)) => {
            if at >= begin && at <= end {
                shared.tally.latencies.record(at.elapsed().as_nanos() as u64);
            }
        }
        _ => {
            shared.marks.insert(line.path.clone(), Mark::Seen);
        }
    }
}

fn acknowledged(shared: &Mutex<Shared>, path: String, begin: Instant, end: Instant) {
    let mut shared = lock(shared);
    let now = Instant::now();
    if let Some(Mark::Seen) = shared.marks.remove(&path) {
        if now >= begin && now <= end {
            shared.tally.latencies.record(0);
        }
        return;
    }
    shared.marks.insert(path, Mark::Acknowledged(now));
}

async fn write(target: Arc<Target>, cell: Cell, slot: usize, end: Instant, shared: Arc<Mutex<Shared>>) {
    let mut random = StdRng::seed_from_u64(cell.run.wrapping_add(slot as u64));
    let begin = end - cell.duration;
    let body = vec![b'x'; cell.size];
    let mut connection = None;
    for number in 0_u64.. {
        if Instant::now() >= end {
            return;
        }
        let member = &target.members[random.random_range(0..target.members.len())];
        let path = format!("/pub/bench/tail/{:x}-{slot}-{number}", cell.run);
        let url = format!("/storage/{}{path}", member.z32);
        let headers = [(member.session.header, member.session.value.as_str())];
        let bytes = request("PUT", &url, &target.host, &headers, &body);
        let exchange = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => target.connect(slot).await?,
            };
            let response = open.exchange(&bytes, false).await?;
            connection = (!response.closes).then_some(open);
            Ok::<_, Error>(response.status)
        };
        match exchange.await {
            Ok(201) => acknowledged(&shared, path, begin, end),
            other => {
                lock(&shared).tally.first_error.get_or_insert_with(|| format!("a write: {other:?}"));
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}
