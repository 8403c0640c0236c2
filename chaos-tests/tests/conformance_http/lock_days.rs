//! A bad day of a lock: its shard's leader dies, then the other gateway, while its holder's body is still coming.

use std::cell::Cell;
use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::request::{head, request};
use rowhouse_proto::domain::slot::Slot;

use super::world::{Findings, World};

/// What is killed here stays away.
const AWAY: Duration = Duration::from_secs(600);
const PATH: &str = "/pub/lock/day";
/// Several times as long as the lock was to live.
const PIECES: usize = 20;
const PIECE_BYTES: usize = 20_000;
const PIECE_PAUSE: Duration = Duration::from_secs(1);
const LEADER_DIES_AT: usize = 7;
const GATEWAY_DIES_AT: usize = 13;
const RIVAL_PAUSE: Duration = Duration::from_millis(500);
/// An election, and more.
const PATIENCE: Duration = Duration::from_secs(60);
/// Name of the gateway that does not carry the upload.
const OTHER_GATEWAY: &str = "gateway-2";

/// A cluster whose processes stay dead.
pub fn options() -> ClusterOptions {
    ClusterOptions { restart_delay: AWAY, ..ClusterOptions::default() }
}

/// The body lands, and nobody else gets in before its end.
pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let locked = ask(world, "LOCK", &[("timeout", "Second-5")], b"").await.expect("an answer");
    findings.status("LOCK", &locked, 200);
    let token = locked.header("lock-token").unwrap_or_default();
    let is_over = Cell::new(false);
    let (written, rivals) = tokio::join!(
        async {
            let written = write_slowly(world, cluster, &token).await;
            is_over.set(true);
            written
        },
        rivals(world, &is_over),
    );
    match written {
        Ok(answer) => findings.status("the holder's body", &answer, 201),
        Err(error) => findings.holds(&format!("the holder's body: {error}"), false),
    }
    findings.holds(&format!("rivals were answered {rivals:?}"), rivals.iter().all(|status| *status == 423));
    findings.holds("there were rivals", rivals.len() >= 3);
    let found = ask(world, "GET", &[], b"").await.expect("an answer");
    findings.equal("the file", &found.body.len(), &(PIECES * PIECE_BYTES));
    let given_up = ask(world, "UNLOCK", &[("lock-token", &token)], b"").await.expect("an answer");
    findings.status("UNLOCK", &given_up, 204);
    let rival = ask(world, "LOCK", &[], b"").await.expect("an answer");
    findings.status("a rival then", &rival, 200);
    findings.0
}

async fn write_slowly(world: &World, cluster: &Cluster, token: &str) -> Result<Response, String> {
    let (named, length) = (format!("({token})"), (PIECES * PIECE_BYTES).to_string());
    let cookie = world.fill("{alice.cookie}");
    let headers = [("cookie", cookie.as_str()), ("if", &named), ("content-length", &length)];
    let mut bytes = head("PUT", &target(world), &world.address.to_string(), &headers);
    bytes.extend_from_slice(b"\r\n");
    let mut connection = world.connect().await;
    let send = async |connection: &mut Connection, bytes: &[u8]| {
        connection.send(bytes).await.map_err(|error| error.to_string())
    };
    send(&mut connection, &bytes).await?;
    for number in 0..PIECES {
        if number == LEADER_DIES_AT {
            cluster.kill(&leader(world, cluster).await).expect("it runs");
        }
        if number == GATEWAY_DIES_AT {
            cluster.kill(OTHER_GATEWAY).expect("it runs");
        }
        send(&mut connection, &[b'x'; PIECE_BYTES]).await?;
        tokio::time::sleep(PIECE_PAUSE).await;
    }
    let mut answer = Response::default();
    connection.receive(&mut answer, false).await.map_err(|error| error.to_string())?;
    Ok(answer)
}

/// Tries to lock, put and delete until the write is over. Answers the statuses of what was decided.
async fn rivals(world: &World, is_over: &Cell<bool>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (method, body) in [("LOCK", &b""[..]), ("PUT", b"rival"), ("DELETE", b"")].into_iter().cycle() {
        tokio::time::sleep(RIVAL_PAUSE).await;
        if is_over.get() {
            break;
        }
        let answer = tokio::time::timeout(PATIENCE, ask(world, method, &[], body)).await;
        // Nobody can be asked during an election, and the last answer may come when the lock is free.
        if let Ok(Some(answer)) = answer
            && answer.status != 503
            && !is_over.get()
        {
            statuses.push(answer.status);
        }
    }
    statuses
}

async fn leader(world: &World, cluster: &Cluster) -> String {
    let shard = Slot::of_user(&world.alice.public_key()).shard(options().shards);
    for node in cluster.nodes().expect("nodes") {
        let Ok(status) = node.status(false).await else { continue };
        if status.groups.iter().any(|group| group.group == shard && group.role == "leader") {
            return node.name;
        }
    }
    panic!("shard {shard} has no leader");
}

fn target(world: &World) -> String {
    world.fill(&format!("/storage/{{alice}}{PATH}"))
}

/// By the gateway that stays.
async fn ask(world: &World, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Response> {
    let cookie = world.fill("{alice.cookie}");
    let headers = [&[("cookie", cookie.as_str())], headers].concat();
    let bytes = request(method, &target(world), &world.address.to_string(), &headers, body);
    world.exchange(&bytes, false).await.ok()
}
