//! `/events/`: exact bytes and pages, nothing private, cursors of every age, and what was acknowledged a moment ago.

use pubky_common::timestamp::Timestamp;
use rowhouse_chaos_tests::cluster::ClusterOptions;
use rowhouse_chaos_tests::feed::{FeedPage, page_request};
use rowhouse_chaos_tests::http1::Response;
use rowhouse_proto::domain::event::{EventIds, unix_ms_of};

use super::world::{Findings, World};

/// Most pages of a world's whole feed.
const PAGES_MAX: usize = 1000;
/// Writes that are each looked for at once.
const FRESH_WRITES: usize = 40;
const PRIVATE_WRITES: usize = 50;
/// A double holds every whole number below it.
const DOUBLE_END: u64 = 1 << 53;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    bytes(world, &mut findings).await;
    pages(world, &mut findings).await;
    private_events(world, &mut findings).await;
    doubles(world, &mut findings).await;
    old_cursors(world, &mut findings).await;
    timestamps(world, &mut findings).await;
    fresh_writes(world, &mut findings).await;
    findings.0
}

/// A write by alice or bob, by the cookie.
pub async fn write(world: &World, method: &str, who: &str, path: &str, body: &[u8]) -> Response {
    let cookie = world.fill(&format!("{{{who}.cookie}}"));
    let target = world.fill(&format!("/storage/{{{who}}}{path}"));
    world.send(method, &target, &[("cookie", &cookie)], body).await
}

/// A PUT that must succeed.
pub async fn put(world: &World, findings: &mut Findings, who: &str, path: &str, body: &[u8]) {
    findings.status(&format!("PUT {path}"), &write(world, "PUT", who, path, body).await, 201);
}

async fn page(world: &World, after: u64, limit: usize) -> Response {
    let host = world.address.to_string();
    world.exchange(&page_request(&host, after, limit), false).await.expect("an answer")
}

/// Events and last cursor of a page.
async fn read(world: &World, findings: &mut Findings, after: u64, limit: usize) -> (Vec<String>, u64) {
    let response = page(world, after, limit).await;
    findings.status("a page", &response, 200);
    let page = FeedPage::parse(&response.text(), after, limit).unwrap_or_else(|what| {
        findings.0.push(format!("page after {after}: {what}"));
        FeedPage::default()
    });
    (page.lines.iter().map(ToString::to_string).collect(), page.cursor.unwrap_or(after))
}

/// The whole feed after a cursor, in pages of a size.
async fn read_all(
    world: &World,
    findings: &mut Findings,
    mut after: u64,
    limit: usize,
) -> (Vec<String>, u64) {
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let (lines, reached) = read(world, findings, after, limit).await;
        if lines.is_empty() {
            break;
        }
        all.extend(lines);
        after = reached;
    }
    (all, after)
}

/// The cursor of the newest public event.
pub async fn newest(world: &World, findings: &mut Findings) -> u64 {
    read_all(world, findings, 0, 1000).await.1
}

/// The lines of five writes of two users, and the head of their page.
async fn bytes(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    put(world, findings, "alice", "/pub/feed/a", b"1").await;
    put(world, findings, "bob", "/pub/feed/b", b"2").await;
    put(world, findings, "alice", "/pub/feed/a", b"1").await;
    let deleted = write(world, "DELETE", "bob", "/pub/feed/b", b"").await;
    findings.status("DELETE", &deleted, 204);
    put(world, findings, "alice", "/pub/feed/sp%20ace%2525", b"3").await;
    let lines = [
        "PUT pubky://{alice}/pub/feed/a",
        "PUT pubky://{bob}/pub/feed/b",
        "PUT pubky://{alice}/pub/feed/a",
        "DEL pubky://{bob}/pub/feed/b",
        "PUT pubky://{alice}/pub/feed/sp ace%25",
    ];
    let lines = lines.map(|line| world.fill(line));
    let response = page(world, start, 1000).await;
    findings.status("the page", &response, 200);
    findings.equal("its type", &response.headers("content-type"), &vec!["text/plain".to_owned()]);
    findings.holds("it has no rule for caches", response.header("cache-control").is_none());
    let text = response.text();
    let (events, cursor) = text.rsplit_once("\ncursor: ").unwrap_or_default();
    findings.equal("its events", &events, &lines.join("\n").as_str());
    let digits = cursor.bytes().all(|byte| byte.is_ascii_digit());
    findings.holds("its cursor is a number, and the last byte", digits && !cursor.is_empty());

    let (first, middle) = read(world, findings, start, 2).await;
    findings.equal("the first two", &first.as_slice(), &&lines[..2]);
    let (rest, end) = read(world, findings, middle, 1000).await;
    findings.equal("the rest", &rest.as_slice(), &&lines[2..]);
    findings.equal("the last cursor", &end.to_string().as_str(), &cursor);
    let (one, _) = read(world, findings, middle - 1, 1).await;
    findings.equal("a cursor between events", &one.as_slice(), &&lines[1..2]);
    findings.equal("nothing after the last", &page(world, end, 1000).await.text(), &String::new());
}

/// The feed is one list, whatever the size of its pages; a limit that is too high or no number is another one.
async fn pages(world: &World, findings: &mut Findings) {
    let (whole, end) = read_all(world, findings, 0, 1000).await;
    for limit in [1, 7, 100] {
        let small = read_all(world, findings, 0, limit).await;
        findings.holds(&format!("pages of {limit} are the whole"), small == (whole.clone(), end));
    }
    for (query, limit) in [("", 100), ("&limit=5000", 1000), ("&limit=junk", 100)] {
        let response = world.send("GET", &format!("/events/?cursor={query}"), &[], b"").await;
        findings.status("a page without cursor", &response, 200);
        let page = FeedPage::parse(&response.text(), 0, 1000).unwrap_or_default();
        findings.equal(&format!("events with {query:?}"), &page.lines.len(), &limit.min(whole.len()));
    }
}

/// Nothing private is told, not even by a cursor that moves.
async fn private_events(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    for number in 0..PRIVATE_WRITES {
        let who = if number % 2 == 0 { "alice" } else { "bob" };
        put(world, findings, who, &format!("/priv/feed/{number}"), b"secret").await;
    }
    for gateway in 1..=2 {
        let response = page(world, start, 1000).await;
        findings.refused(&format!("a page without public events, {gateway}"), &response, 200, "");
    }
    put(world, findings, "bob", "/pub/feed/after", b"public").await;
    for _ in 1..=2 {
        let (lines, cursor) = read(world, findings, start, 1000).await;
        findings.equal("one public event", &lines, &vec![world.fill("PUT pubky://{bob}/pub/feed/after")]);
        findings.holds("and its cursor", cursor > start);
    }
}

/// An indexer that keeps cursors as doubles reads no event twice.
async fn doubles(world: &World, findings: &mut Findings) {
    let newest = newest(world, findings).await;
    findings.holds("ids are below 2^53", newest < DOUBLE_END);
    let rounded = newest as f64 as u64;
    findings.refused("a rounded cursor", &page(world, rounded, 1000).await, 200, "");
    for who in ["alice", "bob"] {
        let target = world.fill(&format!("/events-stream?user={{{who}}}&limit=1&reverse=true"));
        let last = world.send("GET", &target, &[], b"").await.text();
        let cursor: Option<u64> =
            last.lines().find_map(|line| line.strip_prefix("data: cursor: ")?.parse().ok());
        let rounded = cursor.unwrap_or(0) as f64 as u64;
        let target = world.fill(&format!("/events-stream?user={{{who}}}:{rounded}&limit=50&path=/pub/"));
        let again = world.send("GET", &target, &[], b"").await;
        findings.refused(&format!("a rounded cursor of {who}"), &again, 200, "");
    }
}

/// Cursors of the reference, which counts from one, and forms that old clients send.
async fn old_cursors(world: &World, findings: &mut Findings) {
    let from_start = page(world, 0, 5).await.text();
    for cursor in ["1", "2", "3", "250000", "0000000000000", "0000000000001", "pubky://0", "pubky://3", ""] {
        let target = format!("/events/?cursor={cursor}&limit=5");
        let response = world.send("GET", &target, &[], b"").await;
        findings.refused(&format!("cursor {cursor:?}"), &response, 200, &from_start);
    }
    let from_start = world.fill("/events-stream?user={alice}&limit=5");
    let from_start = world.send("GET", &from_start, &[], b"").await.text();
    findings.holds("alice has events", !from_start.is_empty());
    for cursor in ["0", "1", "2", "3"] {
        let target = world.fill(&format!("/events-stream?user={{alice}}:{cursor}&limit=5"));
        let response = world.send("GET", &target, &[], b"").await;
        findings.refused(&format!("alice's cursor {cursor}"), &response, 200, &from_start);
    }
}

/// The exact time of an event names it, as cursors did before there were ids.
async fn timestamps(world: &World, findings: &mut Findings) {
    // How long a tick is depends on the number of shards.
    if world.cluster.is_none() {
        return;
    }
    let ids = EventIds::new(ClusterOptions::default().shards).expect("a power of two");
    let (_, id) = read(world, findings, 0, 3).await;
    let begin = unix_ms_of(id) * 1000;
    let time = (begin..=begin + 1000).find(|time| ids.tick(*time) == ids.tick_of(id));
    let Some(time) = time else { return findings.holds("a time for each event", false) };
    let wanted = page(world, id, 5).await.text();
    let timestamp = Timestamp::from(time).to_string();
    let named = world.send("GET", &format!("/events/?cursor={timestamp}&limit=5"), &[], b"").await;
    findings.refused(&format!("the time {timestamp}"), &named, 200, &wanted);
}

/// A write that was acknowledged is in the next page through whichever gateway.
async fn fresh_writes(world: &World, findings: &mut Findings) {
    let mut cursor = newest(world, findings).await;
    for number in 0..FRESH_WRITES {
        let who = if number % 3 == 0 { "bob" } else { "alice" };
        let path = format!("/pub/feed/fresh/{number}");
        put(world, findings, who, &path, b"fresh").await;
        // Gateways take turns: the page comes through the one that did not write, then through the other.
        let (lines, reached) = read(world, findings, cursor, 1000).await;
        let expected = vec![world.fill(&format!("PUT pubky://{{{who}}}{path}"))];
        findings.equal("what was written a moment ago", &lines, &expected);
        let (again, _) = read(world, findings, cursor, 10).await;
        findings.equal("and again", &again, &expected);
        cursor = reached;
    }
}
