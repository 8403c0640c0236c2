//! Clients that are broken, slow or hostile: a clear status or a clean close, and nobody else harmed.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::request::{head, request};

use super::world::{Findings, World};

/// Idle connections held at once, as far as this process may open files.
const IDLE_CONNECTIONS: u64 = 10_000;
/// Files this process needs for itself.
const FILES_RESERVED: u64 = 200;
/// Longer than any of the server's own patience: it must end the exchange by itself.
const PATIENCE: Duration = Duration::from_secs(150);
/// Connections that stay silent after a part of a request.
const SLOW_CLIENTS: usize = 50;

pub async fn run(world: &mut World) -> Vec<String> {
    let mut findings = Findings::default();
    cut_uploads(world, &mut findings).await;
    nonsense(world, &mut findings).await;
    tokio::join!(slow_heads(world), slow_bodies(world)).into_findings(&mut findings);
    idle(world, &mut findings).await;
    serves(world, &mut findings, "after everything").await;
    findings.0
}

trait IntoFindings {
    fn into_findings(self, findings: &mut Findings);
}

impl IntoFindings for (Vec<String>, Vec<String>) {
    fn into_findings(self, findings: &mut Findings) {
        findings.0.extend(self.0);
        findings.0.extend(self.1);
    }
}

/// An ordinary write and read still work.
async fn serves(world: &World, findings: &mut Findings, when: &str) {
    let session = world.session("alice.cookie");
    let target = world.fill(&format!("/storage/{{alice}}/pub/days/{}", when.replace(' ', "-")));
    let put = world.send("PUT", &target, &[(session.header, &session.value)], when.as_bytes()).await;
    findings.status(&format!("a write {when}"), &put, 201);
    let get = world.send("GET", &target, &[], b"").await;
    findings.equal(&format!("a read {when}"), &get.text().as_str(), &when);
}

/// An upload that breaks off leaves the old file as it was.
async fn cut_uploads(world: &World, findings: &mut Findings) {
    let session = world.session("alice.cookie");
    let credentials = [(session.header, session.value.as_str())];
    let target = world.fill("/storage/{alice}/pub/days/cut");
    findings.status("the old file", &world.send("PUT", &target, &credentials, b"old").await, 201);
    for announced in [10, 60_000] {
        let mut bytes = head("PUT", &target, &world.address.to_string(), &credentials);
        bytes.extend_from_slice(format!("content-length: {announced}\r\n\r\nshort").as_bytes());
        let mut connection = world.connect().await;
        connection.send(&bytes).await.expect("the gateway reads");
        connection.finish_sending().await.expect("half-closed");
        let mut response = Response::default();
        // Either is fine: 400, or a close without words.
        if connection.receive(&mut response, false).await.is_ok() {
            findings.status("an upload cut short", &response, 400);
        }
        let gone = head("PUT", &target, &world.address.to_string(), &credentials);
        let mut connection = world.connect().await;
        connection.send(&gone).await.expect("the gateway reads");
        drop(connection);
    }
    let mut bytes = head("PUT", &target, &world.address.to_string(), &credentials);
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n");
    if let Ok(response) = world.exchange(&bytes, false).await {
        findings.status("a broken chunk", &response, 400);
    }
    let get = world.send("GET", &target, &[], b"").await;
    findings.equal("the old file after broken uploads", &get.text().as_str(), &"old");
}

/// Bytes that are no HTTP, or too much of it.
async fn nonsense(world: &World, findings: &mut Findings) {
    let host = world.address.to_string();
    let long = "x".repeat(1024 * 1024);
    let many: Vec<(String, String)> = (0..5000).map(|at| (format!("x-{at}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let lengths = [("content-length", "5"), ("content-length", "6")];
    let smuggled = [("content-length", "5"), ("transfer-encoding", "chunked")];
    let requests = [
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("an unknown protocol", b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        ("a header without colon", b"GET / HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n".to_vec()),
        ("a header of control bytes", b"GET / HTTP/1.1\r\nhost: x\r\nx: \x01\x02\r\n\r\n".to_vec()),
        ("a very long header", request("GET", "/", &host, &[("x-long", &long)], b"")),
        ("a very long cookie", request("GET", "/session", &host, &[("cookie", &long)], b"")),
        ("a very long target", request("GET", &format!("/{long}"), &host, &[], b"")),
        ("very many headers", request("GET", "/", &host, &many, b"")),
        ("a negative length", head_with(&host, &[("content-length", "-5")])),
        ("an unreadable length", head_with(&host, &[("content-length", "many")])),
        ("two lengths", head_with(&host, &lengths)),
        ("a length and chunks", head_with(&host, &smuggled)),
    ];
    for (what, bytes) in requests {
        match world.exchange(&bytes, false).await {
            Ok(response) if (400..500).contains(&response.status) => {}
            Ok(response) => findings.holds(&format!("{what}: status {}", response.status), false),
            // Closed without words.
            Err(error) if error != "no answer" => {}
            Err(error) => findings.holds(&format!("{what}: {error}"), false),
        }
    }
    serves(world, findings, "after nonsense").await;
}

fn head_with(host: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = head("PUT", "/storage/x/pub/x", host, headers);
    bytes.extend_from_slice(b"\r\nhello");
    bytes
}

/// Heads that never end: the server ends the connection, and serves others meanwhile.
async fn slow_heads(world: &World) -> Vec<String> {
    let part = b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ";
    slow(world, part, "a head that never ends").await
}

async fn slow_bodies(world: &World) -> Vec<String> {
    let session = world.session("alice.cookie");
    let target = world.fill("/storage/{alice}/pub/days/slow");
    let headers = [(session.header, session.value.as_str()), ("content-length", "60000")];
    let mut part = head("PUT", &target, &world.address.to_string(), &headers);
    part.extend_from_slice(b"\r\nbeginning");
    slow(world, &part, "a body that never ends").await
}

async fn slow(world: &World, part: &[u8], what: &str) -> Vec<String> {
    let mut findings = Findings::default();
    let mut connections = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let mut connection = world.connect().await;
        connection.send(part).await.expect("the gateway reads");
        connections.push(connection);
    }
    serves(world, &mut findings, &format!("beside {what}")).await;
    for mut connection in connections {
        let mut response = Response::default();
        match tokio::time::timeout(PATIENCE, connection.receive(&mut response, false)).await {
            Ok(Ok(())) => {
                findings.holds(&format!("{what}: {}", response.status), matches!(response.status, 400 | 408))
            }
            // Closed without words.
            Ok(Err(_)) => {}
            Err(_) => {
                findings.holds(&format!("{what}: the server waits for ever"), false);
                break;
            }
        }
    }
    findings.0
}

/// Thousands of idle connections cost nobody anything.
async fn idle(world: &World, findings: &mut Findings) {
    let count = IDLE_CONNECTIONS.min(raise_open_files().saturating_sub(FILES_RESERVED));
    let mut connections = Vec::new();
    for _ in 0..count {
        match Connection::open(world.address, false).await {
            Ok(connection) => connections.push(connection),
            Err(error) => {
                findings.holds(&format!("idle connection {}: {error}", connections.len()), false);
                break;
            }
        }
    }
    eprintln!("{} idle connections", connections.len());
    for _ in 0..20 {
        serves(world, findings, "beside idle connections").await;
    }
}

/// The soft limit up to the hard one; answers what this process may open.
fn raise_open_files() -> u64 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let wanted = hard.min(2 * IDLE_CONNECTIONS).max(soft);
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft }
}
