//! Requests for too much get a status that says so and when to come back, and harm nobody else.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use rowhouse_chaos_tests::cluster::{ClusterOptions, Signal};
use rowhouse_chaos_tests::feed::{page_request, refusal};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::request::request;
use tokio::task::JoinSet;

use super::world::{Findings, World};

/// More than the world needs for its people, few enough to be exceeded soon.
const ATTEMPTS_BURST: usize = 20;
/// Slower than anybody asks, even on a busy machine.
const ATTEMPTS_PER_SECOND: usize = 1;
const REQUESTS_MAX: usize = 4;
/// Requests sent at once to a gateway that takes `REQUESTS_MAX`.
const REQUESTS: usize = 12;
/// The client that asks for too much; the world's own requests come from 127.0.0.1.
const CROWD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
/// Asks for pages of the feed.
const INDEXER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 78));
/// Pages asked for in a row, of which one a minute is granted.
const PAGES: usize = 5;
/// Nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn options() -> ClusterOptions {
    ClusterOptions {
        node_flags: vec![
            format!("--attempts-burst={ATTEMPTS_BURST}"),
            format!("--attempts-per-second={ATTEMPTS_PER_SECOND}"),
        ],
        gateway_flags: vec![
            format!("--requests-max={REQUESTS_MAX}"),
            r#"--rate-limits=[{ path = "/events/", method = "GET", quota = "1r/m", key = "ip" }]"#.into(),
        ],
        ..ClusterOptions::default()
    }
}

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    attempts(world, &mut findings).await;
    pages(world, &mut findings).await;
    requests(world, &mut findings).await;
    findings.0
}

/// Compares the refusal with what the protocol says of it.
fn refused(findings: &mut Findings, what: &str, response: &Response, status: u16, text: &str) {
    findings.refused(what, response, status, text);
    findings.equal(&format!("{what}: Retry-After"), &response.headers("retry-after"), &vec!["1".to_owned()]);
    let plain = vec!["text/plain; charset=utf-8".to_owned()];
    findings.equal(&format!("{what}: Content-Type"), &response.headers("content-type"), &plain);
}

/// Sign-ins of one user meet one shard, and so one node, which counts by client address.
async fn attempts(world: &World, findings: &mut Findings) {
    let host = world.address.to_string();
    let mut crowd = Connection::open_from(CROWD, world.address).await.expect("the gateway listens");
    let mut refusal = None;
    for number in 0..10 * ATTEMPTS_BURST {
        let token = world.alice.auth_token();
        let bytes = request("POST", "/session", &host, &[], &token);
        let response = crowd.exchange(&bytes, false).await.expect("an answer");
        if response.status != 200 {
            findings.holds("the burst is granted", number >= ATTEMPTS_BURST);
            refusal = Some((token, response));
            break;
        }
    }
    let Some((token, response)) = refusal else {
        return findings.holds("an address that signs in without end is stopped", false);
    };
    refused(findings, "one sign-in too many", &response, 429, "Rate limit exceeded");

    let session = world.session("alice.cookie");
    let credentials = [(session.header, session.value.as_str())];
    let target = world.fill("/storage/{alice}/pub/limits/a");
    let put = crowd.exchange(&request("PUT", &target, &host, &credentials, b"a"), false).await;
    findings.status("a session of the same client", &put.expect("an answer"), 201);
    let other = world.send("POST", "/session", &[], &world.alice.auth_token()).await;
    findings.status("a sign-in from elsewhere", &other, 200);

    // The refused token was not consumed: it is the one that gets in.
    let deadline = Instant::now() + PATIENCE;
    let bytes = request("POST", "/session", &host, &[], &token);
    loop {
        let response = crowd.exchange(&bytes, false).await.expect("an answer");
        if response.status != 429 || Instant::now() > deadline {
            return findings.status("the same sign-in later", &response, 200);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Indexers read the body of a page without looking at its status: a refusal is one line that is neither event nor cursor.
async fn pages(world: &World, findings: &mut Findings) {
    let host = world.address.to_string();
    let mut indexer = Connection::open_from(INDEXER, world.address).await.expect("the gateway listens");
    // A leader that is elected in between counts anew.
    for _ in 0..PAGES {
        let response = indexer.exchange(&page_request(&host, 0, 1000), false).await.expect("an answer");
        if response.status == 200 {
            continue;
        }
        findings.refused("one page too many", &response, 429, "Rate limit exceeded");
        findings.equal("what a careless indexer makes of it", &refusal(&response), &None);
        let wait = response.header("retry-after").and_then(|wait| wait.parse().ok()).unwrap_or(0);
        return findings.holds(&format!("Retry-After {wait}"), (1..=60).contains(&wait));
    }
    findings.holds("a second page within a minute is refused", false);
}

/// A gateway whose shards do not answer holds so many requests and no more.
async fn requests(world: &World, findings: &mut Findings) {
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let nodes = cluster.nodes().expect("nodes");
    let signal = |sent| {
        for node in &nodes {
            cluster.signal(&node.name, sent).expect("it runs");
        }
    };

    signal(Signal::SIGSTOP);
    let target = world.fill("/storage/{alice}/pub/app/a.txt");
    let bytes = request("GET", &target, &world.address.to_string(), &[], b"");
    let mut asked = JoinSet::new();
    for _ in 0..REQUESTS {
        let (address, bytes) = (world.address, bytes.clone());
        asked.spawn(async move { Connection::open(address, false).await?.exchange(&bytes, false).await });
    }
    for _ in REQUESTS_MAX..REQUESTS {
        let response = asked.join_next().await.expect("asked").expect("no panic").expect("an answer");
        refused(findings, "one request too many", &response, 503, "The server is overloaded, retry later");
    }
    let info = world.send("GET", "/info", &[], b"").await;
    findings.status("what needs no shard", &info, 200);

    signal(Signal::SIGCONT);
    while let Some(response) = asked.join_next().await {
        let response = response.expect("no panic").expect("an answer");
        findings.status("what was held", &response, 200);
    }
    findings.status("a read afterwards", &world.send("GET", &target, &[], b"").await, 200);
}
