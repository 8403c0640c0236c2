//! Limits that are counted once, however many gateways there are: how often a route is asked, and how fast bodies go.
//! Times are only ever bounded from below.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rowhouse_chaos_tests::cluster::Kind;
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::request::request;
use serde_json::json;

use super::world::{Findings, World};

/// The default limit of token lookups.
const LOOKUPS: usize = 10;
const LOOKUP_EVERY: Duration = Duration::from_secs(6);
/// A new leader begins with full buckets, and leaders move after a start: what holds in one of three tries holds.
const TRIES: u8 = 3;
/// Bytes a second, and of a full bucket.
const RATE: usize = 100 * 1024;
const TWO_SECONDS: Duration = Duration::from_secs(2);
const PASSWORD: (&str, &str) = ("x-admin-password", "admin");
const JSON: (&str, &str) = ("content-type", "application/json");

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let gateways = cluster.gateways().expect("gateways");
    lookups(&gateways, &mut findings).await;
    bandwidth(world, &gateways, &mut findings).await;
    findings.0
}

async fn exchange(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut connection = Connection::open(address, false).await.expect("it listens");
    connection.exchange(bytes, false).await.expect("an answer")
}

/// Ten of twelve pass, through two gateways in turn, and as many more as come meanwhile on a busy machine.
async fn lookups(gateways: &[SocketAddr], findings: &mut Findings) {
    for turn in 1..=TRIES {
        // The world's own requests come from 127.0.0.1.
        let guesser = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77 + turn));
        let began = Instant::now();
        let (passed, refused) = look_up(gateways, guesser).await;
        let came = usize::try_from(began.elapsed().as_millis() / LOOKUP_EVERY.as_millis()).expect("few");
        let is_right = (LOOKUPS..=LOOKUPS + came).contains(&passed);
        if !is_right && turn < TRIES {
            continue;
        }
        findings.holds(&format!("{passed} lookups passed"), is_right);
        let Some(response) = refused else {
            return findings.holds("a lookup too many is refused", came >= 2);
        };
        findings.refused("one lookup too many", &response, 429, "Rate limit exceeded");
        let wait = response.header("retry-after").and_then(|wait| wait.parse().ok()).unwrap_or(0);
        findings.holds(&format!("Retry-After {wait}"), (1..=LOOKUP_EVERY.as_secs()).contains(&wait));
        let mirrored = response.header("access-control-allow-origin");
        return findings.equal("it is readable to pages", &mirrored.as_deref(), &Some("https://app.example"));
    }
}

/// Twelve lookups of one address: how many passed, and the last that did not.
async fn look_up(gateways: &[SocketAddr], guesser: IpAddr) -> (usize, Option<Response>) {
    let (mut passed, mut refused) = (0, None);
    for gateway in gateways.iter().cycle().take(LOOKUPS + 2) {
        let mut connection = Connection::open_from(guesser, *gateway).await.expect("it listens");
        let origin = [("origin", "https://app.example")];
        let bytes = request("GET", "/signup_tokens/AAAA-BBBB-CCCC", &gateway.to_string(), &origin, b"");
        let response = connection.exchange(&bytes, false).await.expect("an answer");
        match response.status {
            400 => passed += 1,
            _ => refused = Some(response),
        }
    }
    (passed, refused)
}

/// Whether it took so long in one of the tries.
async fn takes(at_least: Duration, mut attempt: impl AsyncFnMut()) -> bool {
    for _ in 0..TRIES {
        let began = Instant::now();
        attempt().await;
        if began.elapsed() >= at_least {
            return true;
        }
    }
    false
}

/// A body of three seconds' worth takes two: the first comes at once.
async fn bandwidth(world: &World, gateways: &[SocketAddr], findings: &mut Findings) {
    let host = world.address.to_string();
    let session = world.session("alice.cookie");
    let credentials = [(session.header, session.value.as_str())];
    let target = world.fill("/storage/{alice}/priv/paced/file");
    let body = vec![b'x'; 3 * RATE];
    let put = request("PUT", &target, &host, &credentials, &body);
    let get = request("GET", &target, &host, &credentials, b"");
    findings.status("a put without a rate", &exchange(gateways[0], &put).await, 201);
    set_quota(world, json!({ "rate_read": "100kb/s", "rate_write": "100kb/s" }), findings).await;

    let paced = takes(TWO_SECONDS, async || {
        let read = exchange(gateways[0], &get).await;
        findings.holds("a paced read is whole", read.status == 200 && read.body == body);
    });
    let is_paced = paced.await;
    findings.holds("a paced read takes its time", is_paced);

    let paced = takes(TWO_SECONDS, async || {
        findings.status("a paced put", &exchange(gateways[1], &put).await, 201);
    });
    let is_paced = paced.await;
    findings.holds("a paced put takes its time", is_paced);

    // The bucket is full again at most once, so that six seconds' worth takes five.
    let paced = takes(TWO_SECONDS * 5 / 2, async || {
        let (one, other) = tokio::join!(exchange(gateways[0], &get), exchange(gateways[1], &get));
        findings.holds("both are whole", one.body == body && other.body == body);
    });
    let is_paced = paced.await;
    findings.holds("gateways count together", is_paced);

    set_quota(world, json!({ "rate_read": null, "rate_write": null }), findings).await;
    let free = exchange(gateways[1], &get).await;
    findings.status("a read without a rate again", &free, 200);

    // Every node goes by a default when the command ends.
    let said = set_default(world, "100kb/s", findings).await;
    findings.equal("every node confirmed", &said.get("unconfirmed"), &None);
    let paced = takes(TWO_SECONDS, async || {
        let read = exchange(gateways[1], &get).await;
        findings.holds("a read at the default rate is whole", read.status == 200 && read.body == body);
    });
    let is_paced = paced.await;
    findings.holds("a default rate holds in the next request", is_paced);
    set_default(world, "default", findings).await;
}

/// Sets the default rate of reads; the answer is that of the command.
async fn set_default(world: &World, rate: &str, findings: &mut Findings) -> serde_json::Value {
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let rate = format!("--rate-read={rate}");
    let said = cluster.ctl(&["cluster", "settings", "set", &rate, "--output=json"]).await.expect("ctl runs");
    findings.holds(&format!("ctl: {}", String::from_utf8_lossy(&said.stderr)), said.status.success());
    serde_json::from_slice(&said.stdout).unwrap_or_default()
}

async fn set_quota(world: &World, patch: serde_json::Value, findings: &mut Findings) {
    let file = world.cluster.as_ref().expect("a cluster of our own").file().expect("a cluster file");
    let admin = file.of_kind(Kind::Gateway).find_map(|gateway| gateway.address("admin").ok());
    let admin = admin.expect("an admin listener");
    let path = world.fill("/users/{alice}/quota");
    let bytes = request("PATCH", &path, &admin.to_string(), &[PASSWORD, JSON], patch.to_string().as_bytes());
    findings.status("a quota is changed", &exchange(admin, &bytes).await, 200);
}
