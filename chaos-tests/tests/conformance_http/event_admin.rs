//! The operator's `/events-stream`: everybody's events, private ones too, by one cursor.

use std::net::SocketAddr;
use std::time::Duration;

use rowhouse_chaos_tests::cluster::Kind;
use rowhouse_chaos_tests::feed::{EventStream, StreamEvent, StreamItem, parse_stream};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::request::request;

use super::events::{put, write};
use super::world::{Findings, World};

const PASSWORD: (&str, &str) = ("x-admin-password", "admin");
/// Nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    // The operators of a server that is already there are not ours.
    let Some(cluster) = &world.cluster else { return findings.0 };
    let file = cluster.file().expect("a cluster file");
    let mut listeners = file.of_kind(Kind::Gateway).filter_map(|gateway| gateway.address("admin").ok());
    let admin = listeners.next().expect("an admin listener");
    doors(admin, &mut findings).await;
    refusals(world, admin, &mut findings).await;
    everything(world, admin, &mut findings).await;
    live(world, admin, &mut findings).await;
    findings.0
}

async fn ask(admin: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Response {
    let bytes = request("GET", &format!("/events-stream?{query}"), &admin.to_string(), headers, b"");
    let mut connection = Connection::open(admin, false).await.expect("it listens");
    connection.exchange(&bytes, false).await.expect("an answer")
}

async fn events(world: &World, admin: SocketAddr, findings: &mut Findings, query: &str) -> Vec<StreamEvent> {
    let response = ask(admin, &world.fill(query), &[PASSWORD]).await;
    findings.status(query, &response, 200);
    for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store")] {
        findings.equal(name, &response.headers(name), &vec![value.to_owned()]);
    }
    parse_stream(&response.text()).unwrap_or_else(|what| {
        findings.0.push(format!("{query}: {what}"));
        Vec::new()
    })
}

fn lines(events: &[StreamEvent]) -> Vec<String> {
    let line = |event: &StreamEvent| {
        format!("{} {}{}", if event.deleted { "DEL" } else { "PUT" }, event.user, event.path)
    };
    events.iter().map(line).collect()
}

async fn doors(admin: SocketAddr, findings: &mut Findings) {
    findings.refused("without a password", &ask(admin, "", &[]).await, 401, "Missing admin password");
    let wrong = ask(admin, "", &[("x-admin-password", "wrong")]).await;
    findings.refused("a wrong password", &wrong, 401, "Invalid admin password");
}

async fn refusals(world: &World, admin: SocketAddr, findings: &mut Findings) {
    for (query, status) in [
        ("user={nobody}", 404),
        ("user=nobody", 400),
        ("cursor=abc", 400),
        ("limit=0", 400),
        ("limit=many", 400),
        ("live=1&reverse=true", 400),
    ] {
        let response = ask(admin, &world.fill(query), &[PASSWORD]).await;
        findings.status(query, &response, status);
    }
}

/// Every event of everybody, from one cursor on, both ways and filtered.
async fn everything(world: &World, admin: SocketAddr, findings: &mut Findings) {
    let newest = events(world, admin, findings, "reverse=true&limit=1").await;
    let start = newest.first().map_or(0, |event| event.cursor);
    put(world, findings, "alice", "/priv/admin/1", b"x").await;
    put(world, findings, "bob", "/pub/admin/2", b"x").await;
    findings.status("DELETE", &write(world, "DELETE", "alice", "/priv/admin/1", b"").await, 204);
    put(world, findings, "bob", "/priv/admin/3", b"x").await;
    let all = [
        "PUT {alice}/priv/admin/1",
        "PUT {bob}/pub/admin/2",
        "DEL {alice}/priv/admin/1",
        "PUT {bob}/priv/admin/3",
    ]
    .map(|line| world.fill(line));
    for (query, wanted) in [
        ("", &[0, 1, 2, 3][..]),
        ("&limit=2", &[0, 1]),
        ("&user={bob}", &[1, 3]),
        ("&user={bob}&user={bob}&user={alice}", &[0, 1, 2, 3]),
        ("&path=/priv/", &[0, 2, 3]),
        ("&path=/priv/admin/1&path=/pub/", &[0, 1, 2]),
        ("&user={alice}&path=/pub/", &[]),
    ] {
        let told = events(world, admin, findings, &format!("cursor={start}{query}")).await;
        let wanted: Vec<String> = wanted.iter().map(|at| all[*at].clone()).collect();
        findings.equal(query, &lines(&told), &wanted);
        findings.holds("cursors rise", told.is_sorted_by(|one, other| one.cursor < other.cursor));
    }
    let mut backwards = events(world, admin, findings, "reverse=1&limit=4").await;
    backwards.reverse();
    findings.equal("backwards", &lines(&backwards), &all.to_vec());
    let whole = events(world, admin, findings, "").await;
    findings.holds("all of it ends with these", lines(&whole).ends_with(&all));
}

/// What is written is told, whoever wrote it through whichever gateway, in the order of ids.
async fn live(world: &World, admin: SocketAddr, findings: &mut Findings) {
    let newest = events(world, admin, findings, "reverse=true&limit=1").await;
    let start = newest.first().map_or(0, |event| event.cursor);
    let target = format!("/events-stream?live=true&cursor={start}");
    let bytes = request("GET", &target, &admin.to_string(), &[PASSWORD], b"");
    let mut stream = match EventStream::open(admin, &bytes).await {
        Ok(stream) => stream,
        Err(error) => return findings.holds(&format!("the live stream: {error}"), false),
    };
    let mut told = Vec::new();
    for number in 0..20 {
        let (who, root) = (["alice", "bob"][number % 2], ["pub", "priv"][number / 2 % 2]);
        put(world, findings, who, &format!("/{root}/admin/live/{number}"), b"x").await;
        loop {
            match tokio::time::timeout(PATIENCE, stream.next()).await {
                Ok(Ok(StreamItem::KeepAlive)) => {}
                Ok(Ok(StreamItem::Event(event))) => break told.push(event),
                other => return findings.holds(&format!("event {number}: {other:?}"), false),
            }
        }
    }
    let ends = |(number, event): (usize, &StreamEvent)| event.path.ends_with(&format!("/live/{number}"));
    findings.holds(&format!("in order: {:?}", lines(&told)), told.iter().enumerate().all(ends));
    findings.holds("cursors rise", told.is_sorted_by(|one, other| one.cursor < other.cursor));
}
