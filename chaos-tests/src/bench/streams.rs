//! Many live streams without traffic on one gateway, and the memory that it takes for them.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;

use super::load::{Cell, Tally};
use super::process::{listening_on, memory_mib};
use super::target::Target;
use crate::error::Error;
use crate::feed::{EventStream, StreamItem};
use crate::request::request;

/// Files beside the streams.
const FILES_RESERVED: u64 = 200;
/// Streams that are opened at the same time.
const OPENING: usize = 64;
/// For one stream to be answered.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// Beyond every event of any server.
const CURSOR: u64 = i64::MAX as u64 >> 10;

/// Opens as many streams as the cell has connections, all on the first URL, and holds them. Each of them counts as an
/// operation if it is open at the end. Answers the memory of the gateway alone, in MiB, before and with the streams.
pub async fn run(
    target: &Arc<Target>,
    cell: Cell,
    mut at_edges: impl FnMut(),
) -> Result<(Tally, f64, f64), Error> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    let wanted = cell.concurrency as u64 + FILES_RESERVED;
    setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).map_err(std::io::Error::from)?;
    let address = target.addresses.first().copied().ok_or_else(|| Error::Cluster("no URL".into()))?;
    let gateway = listening_on(address)?;
    let before = memory_mib(&gateway);

    let mut tally = Tally::default();
    let mut streams = Vec::with_capacity(cell.concurrency);
    let mut opening = JoinSet::new();
    for number in 0..cell.concurrency {
        let member = &target.members[number % target.members.len()];
        let url = format!("/events-stream?live=true&user={}:{CURSOR}", member.z32);
        let bytes = request("GET", &url, &target.host, &[], b"");
        opening.spawn(async move {
            let opened = tokio::time::timeout(OPEN_TIMEOUT, EventStream::open(address, &bytes)).await;
            opened.map_err(|_| Error::Timeout(OPEN_TIMEOUT, "a stream".into()))?
        });
        if opening.len() >= OPENING {
            collect(opening.join_next().await, &mut streams, &mut tally)?;
        }
    }
    while let Some(opened) = opening.join_next().await {
        collect(Some(opened), &mut streams, &mut tally)?;
    }
    at_edges();
    let mut holding = JoinSet::new();
    for stream in streams {
        holding.spawn(tokio::time::timeout(cell.duration, ended(stream)));
    }
    tokio::time::sleep(cell.duration / 2).await;
    let with = memory_mib(&gateway);
    while let Some(held) = holding.join_next().await {
        match held.map_err(|error| Error::Cluster(error.to_string()))? {
            Err(_) => tally.latencies.record(0),
            Ok(why) => fail(&mut tally, why),
        }
    }
    at_edges();
    Ok((tally, before, with))
}

type Opened = Result<Result<EventStream, Error>, tokio::task::JoinError>;

fn collect(opened: Option<Opened>, streams: &mut Vec<EventStream>, tally: &mut Tally) -> Result<(), Error> {
    match opened {
        None => {}
        Some(Ok(Ok(stream))) => streams.push(stream),
        Some(Ok(Err(error))) => fail(tally, error.to_string()),
        Some(Err(error)) => return Err(Error::Cluster(error.to_string())),
    }
    Ok(())
}

fn fail(tally: &mut Tally, why: String) {
    tally.errors += 1;
    tally.first_error.get_or_insert(why);
}

/// Reads keep-alives until the stream ends; why it did.
async fn ended(mut stream: EventStream) -> String {
    loop {
        match stream.next().await {
            Ok(StreamItem::End) => return "a stream was ended".to_owned(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}
