//! The status page of the operator's listener: who sees it, what browsers may do with it, what its stream tells, and
//! that all viewers share one look at the nodes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{GroupStatus, Incident, LeaderChange, Members, NodeStatusReply};
use serde_json::Value;

use crate::testing::{Client, Fixture, OpenStream, SHARDS, Script, map_of};

const PASSWORD: &str = "correct horse";
const VIEWERS_MAX: usize = 16;
const FILES: [(&str, &str); 6] = [
    ("/status/", "text/html; charset=utf-8"),
    ("/status", "text/html; charset=utf-8"),
    ("/status/page.css", "text/css; charset=utf-8"),
    ("/status/page.js", "text/javascript; charset=utf-8"),
    ("/status/rows.js", "text/javascript; charset=utf-8"),
    ("/status/icon.svg", "image/svg+xml"),
];

fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("admin:{password}")))
}

/// The only node: it leads everything, and has a name that would be markup.
fn says(asked: &Arc<AtomicUsize>) -> Script {
    let asked = Arc::clone(asked);
    let led = |group| GroupStatus {
        group,
        replica_id: 1,
        role: "leader".into(),
        term: 4,
        committed: 9,
        applied: 8,
        members: Some(Members { voters: vec![1], ..Members::default() }),
        ..GroupStatus::default()
    };
    let reply = move |_| {
        asked.fetch_add(1, Ordering::SeqCst);
        Ok(NodeStatusReply {
            node_uuid: vec![1; 16].into(),
            name: "n1".into(),
            groups: (0..SHARDS).chain([META_GROUP]).map(led).collect(),
            used_bytes: 1,
            disk_bytes: 4,
            uptime_s: 61,
            leader_changes: vec![LeaderChange {
                at_ms: 5,
                group: 3,
                term: 4,
                from_node: vec![1; 16].into(),
                to_node: vec![1; 16].into(),
            }],
            incidents: vec![Incident {
                at_ms: 6,
                kind: "low_space".into(),
                subject: "<b>n1</b>".into(),
                text: "two\nlines".into(),
                over: false,
            }],
            ..NodeStatusReply::default()
        })
    };
    Script { status: Box::new(reply), ..Script::default() }
}

async fn fixture() -> (Fixture, Arc<AtomicUsize>) {
    let asked = Arc::default();
    let fixture = Fixture::with(says(&asked), |config| {
        config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
        config.admin.password = Some(PASSWORD.into());
    })
    .await;
    (fixture, asked)
}

fn admin(fixture: &Fixture) -> std::net::SocketAddr {
    fixture.gateway.admin_address().expect("admin")
}

async fn viewer(fixture: &Fixture) -> OpenStream {
    OpenStream::get(admin(fixture), "/status/events", &[("authorization", &basic(PASSWORD))]).await
}

/// The snapshots that have come so far.
fn told(stream: &OpenStream) -> Vec<Value> {
    let text = stream.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    // The last line may have come in part.
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Reads on until so many have come, and returns the last.
async fn nth(stream: &mut OpenStream, count: usize) -> Value {
    while told(stream).len() < count {
        stream.more().await;
    }
    told(stream).swap_remove(count - 1)
}

/// The first snapshot of which this holds.
async fn until(stream: &mut OpenStream, holds: impl Fn(&Value) -> bool, what: &str) -> Value {
    const LOOKS_MAX: usize = 60;
    for count in 1..LOOKS_MAX {
        let snapshot = nth(stream, count).await;
        if holds(&snapshot) {
            return snapshot;
        }
    }
    panic!("never: {what}: {}", nth(stream, 1).await)
}

fn at_ms(snapshot: &Value) -> u64 {
    snapshot["interval"]["at_ms"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn the_page_is_for_whom_knows_the_password() {
    let (fixture, asked) = fixture().await;
    let client = Client::new(admin(&fixture));
    let (right, wrong) = (basic(PASSWORD), basic("wrong"));
    for path in FILES.iter().map(|(path, _)| *path).chain(["/status/events"]) {
        // Not on each: ten wrong passwords are all that an address has.
        let guess = vec![("authorization", wrong.as_str())];
        let with_a_guess = if path.ends_with('s') { vec![vec![], guess] } else { vec![vec![]] };
        for headers in with_a_guess {
            let reply = client.get(path, &headers).await;
            assert_eq!((reply.status, reply.body.len()), (401, 0), "{path} {headers:?}");
            let challenge = reply.header("www-authenticate").expect("browsers ask their user");
            assert!(challenge.starts_with("Basic realm="), "{challenge}");
        }
    }
    let reply = client.get("/status", &[("x-admin-password", "no")]).await;
    assert_eq!((reply.status, reply.text().as_str()), (401, "Invalid admin password"));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody was let in");
    for (path, content_type) in FILES {
        for header in [("authorization", right.as_str()), ("x-admin-password", PASSWORD)] {
            let reply = client.get(path, &[header]).await;
            assert_eq!((reply.status, reply.header("content-type").as_deref()), (200, Some(content_type)));
        }
        let reply = client.send("POST", path, &[("authorization", &right)], b"").await;
        assert_eq!(reply.status, 405, "{path}");
    }
    assert_eq!(client.get("/status/other", &[("x-admin-password", PASSWORD)]).await.status, 404);
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the page alone asks nothing");
}

#[tokio::test]
async fn browsers_load_nothing_from_elsewhere_and_let_nobody_look_in() {
    let (fixture, _) = fixture().await;
    let client = Client::new(admin(&fixture));
    let right = basic(PASSWORD);
    for (path, _) in FILES {
        for headers in
            [vec![], vec![("authorization", right.as_str()), ("origin", "https://elsewhere.example")]]
        {
            let reply = client.get(path, &headers).await;
            let policy = reply.header("content-security-policy").expect("a policy");
            for part in
                ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
            {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("cache-control", "no-store"),
                ("referrer-policy", "no-referrer"),
            ] {
                assert_eq!(reply.header(name).as_deref(), Some(value), "{path}");
            }
            assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
        }
    }
    let html = client.get("/status", &[("authorization", &right)]).await.text();
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"] {
        assert!(!html.contains(inline), "{inline} would be refused by the policy");
    }
    assert!(
        html.matches("<script").count() == html.matches("<script type=\"module\" src=\"/status/").count()
    );
    for path in ["/status/page.js", "/status/rows.js"] {
        let script = client.get(path, &[("authorization", &right)]).await.text();
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(markup), "{path} uses {markup}");
        }
    }
}

#[tokio::test]
async fn the_stream_tells_what_the_cluster_is_like() {
    let (fixture, _) = fixture().await;
    let mut stream = viewer(&fixture).await;
    let head = stream.until("event: status\n").await;
    assert!(head.contains("text/event-stream") && head.contains("retry: 2000"), "{head}");
    let snapshot = until(&mut stream, |it| !it["health"].is_null(), "the gateway has a map").await;
    assert_eq!((&snapshot["health"], &snapshot["shards_all"]), (&"ok".into(), &(SHARDS + 1).into()));
    assert_eq!(snapshot["shards"].as_array().map(Vec::len), Some(SHARDS as usize + 1));
    let shard = &snapshot["shards"][3];
    assert_eq!((&shard["leader"], &shard["replicas"][0]["leads"]), (&"n1".into(), &true.into()));
    let node = &snapshot["interval"]["nodes"][0];
    assert_eq!(node["leaders"], SHARDS + 1);
    let of = |field: &str| node[field].as_u64();
    assert_eq!((of("apply_lag"), of("free_bytes"), of("uptime_s")), (Some(1), Some(3), Some(61)));
    assert_eq!(snapshot["elections"][0]["group"], "3");
    assert_eq!(snapshot["incidents"][0]["subject"], "<b>n1</b>");
    assert_eq!(snapshot["incidents"][0]["text"], "two\nlines", "a line break does not end the event");
    assert_eq!(snapshot["diagnosis"]["verdict"], "act", "no gateway is announced");
    // The next event may still tell the same look.
    let another = |it: &Value| at_ms(it) > at_ms(&snapshot);
    let later = until(&mut stream, another, "it looks again").await;
    assert_eq!(later["interval"]["nodes"][0]["commits_per_s"], 0.0, "the second look can compare");
}

#[tokio::test]
async fn viewers_share_one_look_and_nobody_asks_while_nobody_looks() {
    let (fixture, asked) = fixture().await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        viewers.push(viewer(&fixture).await);
    }
    let mut looks = BTreeSet::new();
    for stream in &mut viewers {
        nth(stream, 3).await;
        looks.extend(told(stream).iter().map(at_ms));
    }
    // The others may have had one more meanwhile, and one may be under way.
    let asked_for = asked.load(Ordering::SeqCst);
    assert!(asked_for <= looks.len() + 6, "{asked_for} questions for {} looks", looks.len());
    drop(viewers);
    // The gateway hears of closed connections, and a look under way ends.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = asked.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(asked.load(Ordering::SeqCst), before, "nobody looks");
}

#[tokio::test]
async fn viewers_are_bounded_and_their_places_are_given_back() {
    let (fixture, _) = fixture().await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS_MAX {
        viewers.push(viewer(&fixture).await);
    }
    let client = Client::new(admin(&fixture));
    let right = basic(PASSWORD);
    let refused = client.get("/status/events", &[("authorization", &right)]).await;
    assert_eq!((refused.status, refused.header("retry-after").as_deref()), (503, Some("10")));
    assert!(refused.header("content-security-policy").is_some(), "refusals carry it too");
    viewers.pop();
    let again = async {
        while !viewer(&fixture).await.text().starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("its place is free");
}

#[tokio::test]
async fn a_node_that_dies_is_shown_and_a_stopping_gateway_ends_the_stream() {
    let (fixture, _) = fixture().await;
    let mut stream = viewer(&fixture).await;
    until(&mut stream, |it| !it["health"].is_null(), "the gateway has a map").await;
    let mut map = map_of(2, SHARDS, &[fixture.node.address, ([127, 0, 0, 1], 1).into()], "open");
    map.nodes[1].name = "gone".into();
    fixture.node.publish(map);
    let silent = |snapshot: &Value| {
        let findings = snapshot["diagnosis"]["findings"].as_array().cloned().unwrap_or_default();
        findings.into_iter().find(|it| it["kind"] == "node_silent")
    };
    let snapshot = until(&mut stream, |it| silent(it).is_some(), "the other node is silent").await;
    let found = silent(&snapshot).expect("waited for");
    assert_eq!(
        (&found["subject"], found["shards"].as_array().map(Vec::len)),
        (&"gone".into(), Some(SHARDS as usize + 1))
    );
    fixture.gateway.shutdown().await;
    assert!(stream.ends_properly().await, "browsers connect again elsewhere or later");
}

#[tokio::test]
async fn without_a_map_it_cannot_tell() {
    let asked = Arc::default();
    let fixture = Fixture::with(says(&asked), |config| {
        config.gateway.nodes = vec!["127.0.0.1:1".into()];
        config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
        config.admin.password = Some(PASSWORD.into());
    })
    .await;
    let mut stream = viewer(&fixture).await;
    let text = stream.until("no node has sent").await;
    assert!(text.contains("\"verdict\":\"unknown\""), "{text}");
}
