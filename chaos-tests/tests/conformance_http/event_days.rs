//! Bad days of the feed: without a quorum, and with a gateway that stops.

use std::net::SocketAddr;
use std::time::Duration;

use rowhouse_chaos_tests::cluster::{ClusterOptions, wait_until};
use rowhouse_chaos_tests::feed::{EventStream, FeedPage, StreamItem, page_request, refusal};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::request::{head, request};

use super::events::put;
use super::world::{Findings, World};

/// What is killed here stays away.
const AWAY: Duration = Duration::from_secs(600);
/// Nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Streams without traffic, and connections without requests.
const STREAMS: usize = 20;
const IDLE: usize = 50;
/// Connections that ask for the feed while the gateway stops, and files in it.
const ASKERS: usize = 6;
const FILES: usize = 30;
/// A slow upload: pieces of a body, and the pause between them.
const PIECES: usize = 12;
const PIECE_BYTES: usize = 10_000;
const PIECE_PAUSE: Duration = Duration::from_millis(250);

/// A cluster whose processes stay dead.
pub fn options() -> ClusterOptions {
    ClusterOptions { restart_delay: AWAY, ..ClusterOptions::default() }
}

/// Two nodes of three are gone: no page is told rather than an older one, and no refusal reads like events.
pub async fn without_quorum(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    put(world, &mut findings, "alice", "/pub/days/a", b"a").await;
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let nodes = cluster.nodes().expect("nodes");
    for node in &nodes[1..] {
        cluster.kill(&node.name).expect("it runs");
    }
    let host = world.address.to_string();
    let ask = async |bytes: &[u8]| world.exchange(bytes, false).await.expect("an answer");
    for what in ["a page", "a page once more"] {
        let response = ask(&page_request(&host, 0, 1000)).await;
        unavailable(&mut findings, what, &response);
    }
    for target in ["/events-stream?user={alice}", "/events-stream?user={alice}:1&limit=50&path=/pub/"] {
        let response = ask(&request("GET", &world.fill(target), &host, &[], b"")).await;
        unavailable(&mut findings, target, &response);
    }
    let site = ask(&request("GET", "/none", &world.fill("{alice}"), &[], b"")).await;
    unavailable(&mut findings, "a file that a website may not have", &site);
    let bad = ask(&request("GET", "/events/?cursor=abc", &host, &[], b"")).await;
    findings.status("a bad cursor", &bad, 400);
    findings.equal("and nothing that reads like events", &refusal(&bad), &None);
    let long = "x".repeat(1024 * 1024);
    let bytes = request("GET", "/events/?cursor=0", &host, &[("x-long", &long)], b"");
    if let Ok(response) = world.exchange(&bytes, false).await {
        let reads = |line: &str| ["cursor:", "PUT ", "DEL "].iter().any(|start| line.starts_with(start));
        let clean = (400..500).contains(&response.status) && !response.text().lines().any(reads);
        findings.holds(&format!("a long header: {} {:.200}", response.status, response.text()), clean);
    }
    findings.0
}

fn unavailable(findings: &mut Findings, what: &str, response: &Response) {
    findings.status(what, response, 503);
    findings.equal(&format!("{what}: what a careless reader makes of it"), &refusal(response), &None);
}

/// SIGTERM: the upload is finished, streams end properly, and then the gateway is gone.
pub async fn a_gateway_stops(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let query = world.fill("/events-stream?live=true&user={alice}:9007199254740991");
    let bytes = request("GET", &query, &world.address.to_string(), &[], b"");
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        match EventStream::open(world.address, &bytes).await {
            Ok(stream) => streams.push(stream),
            Err(error) => findings.holds(&format!("stream {number}: {error}"), false),
        }
    }
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut connection = world.connect().await;
        let greeting = connection.exchange(&request("GET", "/", "x", &[], b""), false).await;
        findings.status("an idle connection", &greeting.expect("an answer"), 200);
        idle.push(connection);
    }
    let (whole, mut asking) = askers(world, &mut findings).await;
    let uploading = slow_upload(world);
    let stopping = async {
        tokio::time::sleep(PIECE_PAUSE * 2).await;
        let pid = cluster.terminate("gateway-1").expect("it runs");
        (pid, pages_of_the_last_hour(world, &mut asking).await)
    };
    let ending = async {
        let mut ends = Vec::new();
        for stream in &mut streams {
            ends.push(ended(stream).await);
        }
        ends
    };
    let (put, (pid, pages), ends) = tokio::join!(uploading, stopping, ending);
    last_pages(&mut findings, &whole, &pages);
    match put {
        Ok(response) => findings.status("the upload", &response, 201),
        Err(error) => findings.holds(&format!("the upload: {error}"), false),
    }
    for end in ends {
        findings.equal("how a stream ends", &end.as_str(), &"properly");
    }
    for connection in &mut idle {
        let closed = tokio::time::timeout(PATIENCE, connection.closes_silently()).await;
        findings.holds("an idle connection is closed", matches!(closed, Ok(Ok(true))));
    }
    let gone = async || {
        let component = cluster.component("gateway-1").expect("a gateway");
        component.pid != Some(pid) && refuses(world.address).await
    };
    let gone = wait_until(PATIENCE, "the gateway to be gone", gone).await;
    findings.holds(&format!("the gateway goes: {gone:?}"), gone.is_ok());
    findings.0
}

/// The whole feed, and connections that have each read it once.
async fn askers(world: &World, findings: &mut Findings) -> (String, Vec<Connection>) {
    for number in 0..FILES {
        put(world, findings, "alice", &format!("/pub/days/{number}"), b"x").await;
    }
    let host = world.address.to_string();
    let (mut whole, mut open) = (String::new(), Vec::new());
    for _ in 0..ASKERS {
        let mut connection = world.connect().await;
        let page = connection.exchange(&page_request(&host, 0, 1000), false).await.expect("a page");
        findings.status("a page", &page, 200);
        whole = page.text();
        open.push(connection);
    }
    (whole, open)
}

/// What each of them is told while the gateway stops, one after the other; None: nothing, its connection has ended.
async fn pages_of_the_last_hour(world: &World, asking: &mut [Connection]) -> Vec<Option<Response>> {
    let host = world.address.to_string();
    let mut told = Vec::new();
    for connection in asking {
        let asks = page_request(&host, 0, 1000);
        let asked = connection.exchange(&asks, false);
        told.push(tokio::time::timeout(PATIENCE, asked).await.ok().and_then(Result::ok));
        tokio::time::sleep(PIECE_PAUSE / 2).await;
    }
    told
}

/// A page is whole, or a refusal that reads like nothing.
fn last_pages(findings: &mut Findings, whole: &str, told: &[Option<Response>]) {
    let lines = |text: &str| FeedPage::parse(text, 0, 1000).map(|page| page.lines);
    let whole = lines(whole).expect("a page");
    for response in told.iter().flatten() {
        if response.status != 200 {
            findings.equal("a refusal while the gateway stops", &refusal(response), &None);
            continue;
        }
        let page = lines(&response.text()).unwrap_or_default();
        findings.holds(&format!("a part of a page: {} events", page.len()), page.starts_with(&whole));
    }
    let answered = told.iter().flatten().count();
    findings.holds(&format!("{answered} of {} were answered", told.len()), answered > 0);
}

async fn refuses(address: SocketAddr) -> bool {
    Connection::open(address, false).await.is_err()
}

async fn ended(stream: &mut EventStream) -> String {
    loop {
        match tokio::time::timeout(PATIENCE, stream.next()).await {
            Ok(Ok(StreamItem::KeepAlive)) => {}
            Ok(Ok(StreamItem::End)) => return "properly".to_owned(),
            Ok(Ok(StreamItem::Event(event))) => return format!("with {event:?}"),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "not at all".to_owned(),
        }
    }
}

/// A body that takes seconds.
async fn slow_upload(world: &World) -> Result<Response, String> {
    let cookie = world.fill("{alice.cookie}");
    let target = world.fill("/storage/{alice}/pub/days/slow");
    let headers = [("cookie", cookie.as_str())];
    let mut bytes = head("PUT", &target, &world.address.to_string(), &headers);
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", PIECES * PIECE_BYTES).as_bytes());
    let mut connection = world.connect().await;
    connection.send(&bytes).await.map_err(|error| error.to_string())?;
    for _ in 0..PIECES {
        connection.send(&[b'x'; PIECE_BYTES]).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(PIECE_PAUSE).await;
    }
    let mut response = Response::default();
    let answered = tokio::time::timeout(PATIENCE, connection.receive(&mut response, false)).await;
    answered.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    Ok(response)
}
