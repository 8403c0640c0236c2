//! Live streams: history and what comes, without a gap; what ends them; what never holds them back.

use std::time::Duration;

use rowhouse_chaos_tests::feed::{EventStream, StreamItem};
use rowhouse_chaos_tests::request::request;

use super::events::{newest, put};
use super::world::{Findings, World};

/// Nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Writes beside which a stream is opened.
const RACED: usize = 60;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    history_and_more(world, &mut findings).await;
    opened_amid_writes(world, &mut findings).await;
    limits(world, &mut findings).await;
    never_held_back(world, &mut findings).await;
    public_and_private(world, &mut findings).await;
    revoked(world, &mut findings).await;
    idle(world, &mut findings).await;
    findings.0
}

/// Opens a live stream; `query` may have names in braces. None: it was refused, and that is a finding.
async fn open(
    world: &World,
    findings: &mut Findings,
    query: &str,
    headers: &[(&str, &str)],
) -> Option<EventStream> {
    let target = world.fill(&format!("/events-stream?live=true&{query}"));
    let bytes = request("GET", &target, &world.address.to_string(), headers, b"");
    let opened = tokio::time::timeout(PATIENCE, EventStream::open(world.address, &bytes)).await;
    match opened {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            findings.0.push(format!("{query}: {error}"));
            None
        }
        Err(_) => {
            findings.0.push(format!("{query}: no answer"));
            None
        }
    }
}

/// The path of the next event, `end`, or what went wrong.
async fn next(stream: &mut EventStream) -> String {
    loop {
        match tokio::time::timeout(PATIENCE, stream.next()).await {
            Ok(Ok(StreamItem::Event(event))) => return event.path,
            Ok(Ok(StreamItem::KeepAlive)) => {}
            Ok(Ok(StreamItem::End)) => return "end".to_owned(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "nothing".to_owned(),
        }
    }
}

async fn expect(findings: &mut Findings, what: &str, stream: &mut EventStream, wanted: &str) {
    findings.equal(what, &next(stream).await.as_str(), &wanted);
}

/// First what was, then what is written, through whichever gateway.
async fn history_and_more(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    put(world, findings, "alice", "/pub/live/1", b"x").await;
    put(world, findings, "bob", "/pub/live/2", b"x").await;
    let query = format!("user={{alice}}:{start}&user={{bob}}:{start}");
    let Some(mut stream) = open(world, findings, &query, &[]).await else { return };
    for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store")] {
        findings.equal(name, &stream.head.headers(name), &vec![value.to_owned()]);
    }
    expect(findings, "history", &mut stream, "/pub/live/1").await;
    expect(findings, "more history", &mut stream, "/pub/live/2").await;
    for number in 3..9 {
        let (who, path) = (["alice", "bob"][number % 2], format!("/pub/live/{number}"));
        put(world, findings, who, "/priv/live/unseen", b"x").await;
        put(world, findings, who, &path, b"x").await;
        expect(findings, "what was just written", &mut stream, &path).await;
    }
}

/// Streams that begin while somebody writes have each event once.
async fn opened_amid_writes(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    let writing = async {
        let mut findings = Findings::default();
        for number in 0..RACED {
            put(world, &mut findings, "alice", &format!("/pub/raced/{number}"), b"x").await;
        }
        findings.0
    };
    let reading = async {
        let mut findings = Findings::default();
        for _ in 0..6 {
            let query = format!("user={{alice}}:{start}&path=/pub/raced/&limit={RACED}");
            let Some(mut stream) = open(world, &mut findings, &query, &[]).await else { break };
            for number in 0..RACED {
                expect(&mut findings, "raced", &mut stream, &format!("/pub/raced/{number}")).await;
                if !findings.0.is_empty() {
                    return findings.0;
                }
            }
            expect(&mut findings, "and then", &mut stream, "end").await;
        }
        findings.0
    };
    let (wrote, read) = tokio::join!(writing, reading);
    findings.0.extend(wrote);
    findings.0.extend(read);
}

/// A limit counts history and what follows, and then the stream ends properly.
async fn limits(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    put(world, findings, "bob", "/pub/limit/1", b"x").await;
    let query = format!("user={{bob}}:{start}&limit=2");
    let Some(mut stream) = open(world, findings, &query, &[]).await else { return };
    expect(findings, "of two", &mut stream, "/pub/limit/1").await;
    put(world, findings, "bob", "/pub/limit/2", b"x").await;
    expect(findings, "of two", &mut stream, "/pub/limit/2").await;
    expect(findings, "after two", &mut stream, "end").await;
    put(world, findings, "bob", "/pub/limit/3", b"x").await;
    let query = format!("user={{bob}}:{start}&limit=2");
    let Some(mut stream) = open(world, findings, &query, &[]).await else { return };
    for wanted in ["/pub/limit/1", "/pub/limit/2", "end"] {
        expect(findings, "two of three", &mut stream, wanted).await;
    }
}

/// A client that would take compressed bytes has each event before the next one is written.
async fn never_held_back(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    let accepting = [("accept-encoding", "gzip, br, deflate, zstd")];
    let query = format!("user={{alice}}:{start}");
    let Some(mut stream) = open(world, findings, &query, &accepting).await else { return };
    findings.holds("it is not compressed", stream.head.header("content-encoding").is_none());
    for number in 0..5 {
        let path = format!("/pub/held/{number}");
        put(world, findings, "alice", &path, b"x").await;
        expect(findings, "before the next write", &mut stream, &path).await;
    }
}

/// Private events go to who asks for them with the right to.
async fn public_and_private(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    let session = world.session("alice.bearer");
    let credentials = [(session.header, session.value.as_str())];
    let query = format!("user={{alice}}:{start}&path=/priv/live/&path=/pub/live/");
    let Some(mut owner) = open(world, findings, &query, &credentials).await else { return };
    let query = format!("user={{alice}}:{start}");
    let Some(mut stranger) = open(world, findings, &query, &[]).await else { return };
    put(world, findings, "alice", "/priv/live/secret", b"x").await;
    put(world, findings, "alice", "/priv/other/secret", b"x").await;
    put(world, findings, "alice", "/pub/live/last", b"x").await;
    expect(findings, "the owner", &mut owner, "/priv/live/secret").await;
    expect(findings, "the owner", &mut owner, "/pub/live/last").await;
    expect(findings, "a stranger", &mut stranger, "/pub/live/last").await;
}

/// A session that ends takes its private streams with it before any later event; public ones stay.
async fn revoked(world: &World, findings: &mut Findings) {
    let start = newest(world, findings).await;
    let token = world.alice.auth_token();
    let answer = world.send("POST", "/session", &[], &token).await;
    let session = rowhouse_chaos_tests::identity::session_cookie(&answer, &world.alice).expect("a session");
    let credentials = [(session.header, session.value.as_str())];
    let query = format!("user={{alice}}:{start}&path=/priv/gone/");
    let Some(mut private) = open(world, findings, &query, &credentials).await else { return };
    let query = format!("user={{alice}}:{start}");
    let Some(mut public) = open(world, findings, &query, &credentials).await else { return };
    put(world, findings, "alice", "/priv/gone/before", b"x").await;
    expect(findings, "before", &mut private, "/priv/gone/before").await;
    let tenant = world.fill("{alice}");
    let headers = [("cookie", session.value.as_str()), ("pubky-host", tenant.as_str())];
    findings.status("sign-out", &world.send("DELETE", "/session", &headers, b"").await, 200);
    put(world, findings, "alice", "/priv/gone/after", b"x").await;
    put(world, findings, "alice", "/pub/stays", b"x").await;
    expect(findings, "after the sign-out", &mut private, "end").await;
    expect(findings, "what is public", &mut public, "/pub/stays").await;
}

/// A stream without events shows that it lives.
async fn idle(world: &World, findings: &mut Findings) {
    let Some(mut stream) = open(world, findings, "user={alice}:9007199254740991", &[]).await else { return };
    let item = tokio::time::timeout(PATIENCE, stream.next()).await;
    let lives = matches!(item, Ok(Ok(StreamItem::KeepAlive)));
    findings.holds(&format!("a keep-alive: {item:?}"), lives);
}
