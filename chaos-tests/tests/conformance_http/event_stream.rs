//! `/events-stream`: exact bytes, several users, directions, filters, and limits.

use std::collections::BTreeSet;

use rowhouse_chaos_tests::feed::{StreamEvent, parse_stream};
use rowhouse_chaos_tests::http1::Response;
use rowhouse_chaos_tests::identity::User;

use super::events::{put, write};
use super::world::{Findings, World, base64_of};

/// More than two queries of a hundred.
const MANY: usize = 230;
const USERS_MAX: usize = 50;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    bytes(world, &mut findings).await;
    many(world, &mut findings).await;
    users(world, &mut findings).await;
    filters(world, &mut findings).await;
    refusals(world, &mut findings).await;
    private_streams(world, &mut findings).await;
    findings.0
}

/// A batch; `query` may have names in braces.
async fn batch(world: &World, query: &str, headers: &[(&str, &str)]) -> Response {
    world.send("GET", &format!("/events-stream?{}", world.fill(query)), headers, b"").await
}

/// The events of a batch that must be answered.
async fn events(world: &World, findings: &mut Findings, query: &str) -> Vec<StreamEvent> {
    let response = batch(world, query, &[]).await;
    findings.status(query, &response, 200);
    parse_stream(&response.text()).unwrap_or_else(|what| {
        findings.0.push(format!("{query}: {what}"));
        Vec::new()
    })
}

fn paths(events: &[StreamEvent]) -> Vec<&str> {
    events.iter().map(|event| event.path.as_str()).collect()
}

/// The newest cursor of alice or bob.
async fn newest(world: &World, findings: &mut Findings, who: &str) -> u64 {
    let newest = events(world, findings, &format!("user={{{who}}}&reverse=1&limit=1")).await;
    newest.first().map_or(0, |event| event.cursor)
}

/// A PUT and a DEL, to the byte, and the head before them.
async fn bytes(world: &World, findings: &mut Findings) {
    let start = newest(world, findings, "alice").await;
    put(world, findings, "alice", "/pub/stream/sp%20ace", b"hello").await;
    findings.status("DELETE", &write(world, "DELETE", "alice", "/pub/stream/sp%20ace", b"").await, 204);
    let accepting = [("accept-encoding", "gzip, br, deflate, zstd")];
    let response = batch(world, &format!("user={{alice}}:{start}"), &accepting).await;
    findings.status("a batch", &response, 200);
    for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store")] {
        findings.equal(name, &response.headers(name), &vec![value.to_owned()]);
    }
    findings.holds("nothing is compressed", response.header("content-encoding").is_none());
    let vary = response.headers("vary").join(", ").to_lowercase();
    for name in ["pubky-host", "authorization", "cookie"] {
        findings.holds(&format!("it varies by {name}: {vary}"), vary.contains(name));
    }
    let text = response.text();
    let cursors: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: cursor: ")).collect();
    let [first, second] = cursors[..] else {
        return findings.holds(&format!("two events: {text:?}"), false);
    };
    let url = world.fill("pubky://{alice}/pub/stream/sp ace");
    let hash = base64_of(blake3::hash(b"hello").as_bytes());
    let expected = format!(
        "event: PUT\ndata: {url}\ndata: cursor: {first}\ndata: content_hash: {hash}\n\n\
         event: DEL\ndata: {url}\ndata: cursor: {second}\n\n"
    );
    findings.equal("its bytes", &text, &expected);
    let rest = batch(world, &format!("user={{alice}}:{first}"), &[]).await.text();
    let (_, after_first) = expected.split_once("\n\n").unwrap_or_default();
    findings.equal("a cursor is exclusive", &rest.as_str(), &after_first);
}

/// All pages of a long history, both ways, and limits.
async fn many(world: &World, findings: &mut Findings) {
    let start = newest(world, findings, "alice").await;
    for number in 0..MANY {
        put(world, findings, "alice", &format!("/pub/many/{number:03}"), b"x").await;
    }
    let user = format!("user={{alice}}:{start}");
    let all = events(world, findings, &user).await;
    let expected: Vec<String> = (0..MANY).map(|number| format!("/pub/many/{number:03}")).collect();
    findings.equal("the whole history", &paths(&all), &expected.iter().map(String::as_str).collect());
    findings.holds("cursors rise", all.is_sorted_by(|one, other| one.cursor < other.cursor));
    let last = all.last().map_or(0, |event| event.cursor);

    for limit in [1, 99, 100, 101, MANY, MANY + 1] {
        let some = events(world, findings, &format!("{user}&limit={limit}")).await;
        findings.holds(&format!("the first {limit}"), some[..] == all[..limit.min(MANY)]);
    }
    let mut backwards = all.clone();
    backwards.reverse();
    for limit in [1, 100, MANY] {
        let some = events(world, findings, &format!("user={{alice}}&reverse=true&limit={limit}")).await;
        findings.holds(&format!("the last {limit} backwards"), some[..] == backwards[..limit]);
    }
    let query = format!("user={{alice}}:{last}&reverse=1&limit=5");
    let before = events(world, findings, &query).await;
    findings.holds("backwards from a cursor, exclusive", before[..] == backwards[1..6]);
    let rest = events(world, findings, &format!("user={{alice}}:{last}")).await;
    findings.equal("nothing after the last", &rest.len(), &0);
}

/// Two users are one list, each with a cursor of its own.
async fn users(world: &World, findings: &mut Findings) {
    let (alice, bob) = (newest(world, findings, "alice").await, newest(world, findings, "bob").await);
    for number in 0..12 {
        let who = if number % 3 == 0 { "bob" } else { "alice" };
        put(world, findings, who, &format!("/pub/both/{number:02}"), b"x").await;
    }
    let both = events(world, findings, &format!("user={{alice}}:{alice}&user={{bob}}:{bob}")).await;
    let expected: Vec<String> = (0..12).map(|number| format!("/pub/both/{number:02}")).collect();
    findings.equal("both, in order", &paths(&both), &expected.iter().map(String::as_str).collect());
    findings.holds("cursors rise over users", both.is_sorted_by(|one, other| one.cursor < other.cursor));
    let mut backwards = events(world, findings, "user={bob}&user={alice}&reverse=true&limit=12").await;
    backwards.reverse();
    findings.holds("both, backwards", backwards == both);
    if both.len() == 12 {
        let cursors = (both[4].cursor, both[9].cursor);
        let query = format!("user={{alice}}:{}&user={{bob}}:{}", cursors.0, cursors.1);
        let some = events(world, findings, &query).await;
        let wanted = ["05", "07", "08", "10", "11"].map(|number| format!("/pub/both/{number}"));
        findings.equal("each by its own cursor", &paths(&some), &wanted.iter().map(String::as_str).collect());
        let query = format!("user={{alice}}:0&user={{alice}}:{}&limit=3", cursors.1);
        let twice = events(world, findings, &query).await;
        findings.equal(
            "the last cursor of a user counts",
            &paths(&twice),
            &vec!["/pub/both/10", "/pub/both/11"],
        );
    }
    let fifty = vec!["user={alice}:9007199254740991"; USERS_MAX].join("&");
    findings.refused("fifty", &batch(world, &fifty, &[]).await, 200, "");
    let more = batch(world, &format!("{fifty}&user={{alice}}"), &[]).await;
    findings.refused("one more", &more, 400, "Too many users. Maximum allowed: 50");
    let stranger = format!("user={{alice}}&user={}", User::random().z32);
    findings.refused("with a stranger", &batch(world, &stranger, &[]).await, 404, "Not Found");
}

/// Files, folders and unions of them; nothing is a pattern.
async fn filters(world: &World, findings: &mut Findings) {
    let start = newest(world, findings, "bob").await;
    for path in ["a_b/1", "axb/1", "a%25b/1", "dir/1", "dir/sub/2", "dir-file", "dir"] {
        put(world, findings, "bob", &format!("/pub/filter{}/{path}", u8::from(path == "dir")), b"x").await;
    }
    for (query, wanted) in [
        ("path=/pub/filter0/dir/", &["/pub/filter0/dir/1", "/pub/filter0/dir/sub/2"][..]),
        ("path=/pub/filter0/dir/1", &["/pub/filter0/dir/1"]),
        ("path=/pub/filter0/dir", &[]),
        ("path=/pub/filter1/dir", &["/pub/filter1/dir"]),
        ("path=pub/filter1/", &["/pub/filter1/dir"]),
        ("path=/pub/filter0/../filter1/", &["/pub/filter1/dir"]),
        ("path=/pub/filter0/a_b/", &["/pub/filter0/a_b/1"]),
        ("path=/pub/filter0/a%25b/", &["/pub/filter0/a%b/1"]),
        (
            "path=/pub/filter0/dir-file&path=&path=/pub/filter1/",
            &["/pub/filter0/dir-file", "/pub/filter1/dir"],
        ),
        ("path=/pub/filter0/dir/&path=/pub/filter0/dir/1&limit=1", &["/pub/filter0/dir/1"]),
    ] {
        let found = events(world, findings, &format!("user={{bob}}:{start}&{query}")).await;
        findings.equal(query, &paths(&found), &wanted.to_vec());
    }
    let found = events(world, findings, "user={bob}&path=/pub/filter0/dir/&reverse=1").await;
    findings.equal("backwards", &paths(&found), &vec!["/pub/filter0/dir/sub/2", "/pub/filter0/dir/1"]);
}

/// Texts that carry a reason.
async fn refusals(world: &World, findings: &mut Findings) {
    for (query, start) in [
        ("user={alice}&limit=", "Invalid limit: "),
        ("user={alice}&limit=many", "Invalid limit: "),
        ("user={alice}&limit=-1", "Invalid limit: "),
        ("user={alice}&limit=65536", "Invalid limit: "),
        ("user={alice}&path=/pub/a%00b", "Invalid path: "),
    ] {
        let response = batch(world, query, &[]).await;
        findings.status(query, &response, 400);
        findings.holds(&format!("{query}: {}", response.text()), response.text().starts_with(start));
    }
}

/// Owners see what is private where they ask for it, by cookie and by bearer; nobody else does.
async fn private_streams(world: &World, findings: &mut Findings) {
    let start = newest(world, findings, "alice").await;
    put(world, findings, "alice", "/priv/stream/1", b"secret").await;
    put(world, findings, "alice", "/pub/stream/2", b"public").await;
    put(world, findings, "alice", "/priv/other/3", b"secret").await;
    let user = format!("user={{alice}}:{start}");
    let public = events(world, findings, &user).await;
    findings.equal("without a path", &paths(&public), &vec!["/pub/stream/2"]);
    for name in ["alice.cookie", "alice.bearer"] {
        let session = world.session(name);
        let credentials = [(session.header, session.value.as_str())];
        for (query, wanted) in [
            ("", &["/pub/stream/2"][..]),
            ("&path=/priv/", &["/priv/stream/1", "/priv/other/3"]),
            ("&path=/priv/stream/", &["/priv/stream/1"]),
            ("&path=/priv/other/3&path=/pub/", &["/pub/stream/2", "/priv/other/3"]),
        ] {
            let response = batch(world, &format!("{user}{query}"), &credentials).await;
            findings.status(&format!("{name}{query}"), &response, 200);
            let told = parse_stream(&response.text()).unwrap_or_default();
            findings.equal(&format!("{name}{query}"), &paths(&told), &wanted.to_vec());
        }
    }
    let hosts: BTreeSet<String> = [world.fill("{homeserver}"), world.fill("{alice}")].into();
    for host in hosts {
        let target = world.fill(&format!("/events-stream?{user}&path=/priv/stream/"));
        let cookie = world.fill("{alice.cookie}");
        let headers = [("cookie", cookie.as_str())];
        let bytes = rowhouse_chaos_tests::request::request("GET", &target, &host, &headers, b"");
        let response = world.exchange(&bytes, false).await.expect("an answer");
        findings.status(&format!("Host {host}"), &response, 200);
    }
}
