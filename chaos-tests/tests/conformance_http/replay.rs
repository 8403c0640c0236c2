//! Tokens and proofs that were used stay used, whoever was killed meanwhile (docs/rules/protocol.md#replay-guards).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rowhouse_chaos_tests::cluster::{Cluster, Kind};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::Grant;
use rowhouse_chaos_tests::request::request;

use super::world::{Findings, JSON, World};

/// Later both are refused for their age, which shows nothing.
const WINDOW: Duration = Duration::from_secs(160);

/// Uses an AuthToken and a proof at the first gateway, kills it and each node after the other, and asks every gateway.
pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let began = Instant::now();
    let token = world.alice.auth_token();
    let proof = Grant::session(&world.alice).body(&world.alice, &world.homeserver);
    let gateways = cluster.gateways().expect("gateways");
    findings.status("a token", &sign_in(gateways[0], &token).await, 200);
    findings.status("a proof", &exchange(gateways[0], &proof).await, 200);
    kill_each(cluster).await;
    for gateway in gateways {
        let (by_token, by_proof) = (sign_in(gateway, &token).await, exchange(gateway, &proof).await);
        if began.elapsed() > WINDOW {
            println!("the machine is too slow: token and proof are too old by now");
            break;
        }
        findings.refused("a used token after kills", &by_token, 400, "AuthToken already used");
        findings.refused("a used proof after kills", &by_proof, 401, "PoP nonce already used");
    }
    findings.0
}

/// One gateway, and every node: whichever led the user's shard is among them.
async fn kill_each(cluster: &Cluster) {
    let components = cluster.file().expect("components").components;
    let gateway = components.iter().find(|component| component.kind == Kind::Gateway);
    let nodes = components.iter().filter(|component| component.kind == Kind::Node);
    for component in gateway.into_iter().chain(nodes) {
        let pid = cluster.kill(&component.name).expect("it runs");
        cluster.wait_ready_again(&component.name, pid).await.expect("it comes back");
    }
}

async fn sign_in(gateway: SocketAddr, token: &[u8]) -> Response {
    send(gateway, "/session", &[], token).await
}

async fn exchange(gateway: SocketAddr, body: &str) -> Response {
    send(gateway, "/auth/grant/session", &[JSON], body.as_bytes()).await
}

async fn send(gateway: SocketAddr, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let bytes = request("POST", target, &gateway.to_string(), headers, body);
    let mut connection = Connection::open(gateway, false).await.expect("the gateway listens");
    connection.exchange(&bytes, false).await.expect("an answer")
}
