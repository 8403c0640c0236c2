//! Lost leaders, lost connections and full queues, as a client sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_proto::wire::shard::{Done, Entry, Failure, execute_reply, query_reply};
use tokio::net::TcpListener;

use crate::testing::{Client, FakeNode, Fixture, HLC_US, SECRET, SHARDS, Script, User, failure, map_of};
use crate::{Gateway, GatewayConfig};

fn not_leader(hint: u8) -> execute_reply::Result {
    execute_reply::Result::Failure(Failure {
        leader_node: vec![hint; 16].into(),
        ..failure(ErrorCode::NotLeader)
    })
}

async fn gateway_over(nodes: &[&FakeNode]) -> (Gateway, Client) {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    for node in nodes {
        node.publish(map_of(1, SHARDS, &addresses, "open"));
    }
    gateway_of(nodes).await
}

#[tokio::test]
async fn the_named_leader_is_asked_with_the_same_request_id_and_remembered() {
    let followers = [
        FakeNode::start(Script::execute(|_| Ok(not_leader(3)))).await,
        FakeNode::start(Script::execute(|_| Ok(not_leader(3)))).await,
    ];
    let leader = FakeNode::start(Script::default()).await;
    let (_gateway, client) = gateway_over(&[&followers[0], &followers[1], &leader]).await;
    let user = User::random();
    let cookie = [("cookie", user.cookie.as_str())];
    for _ in 0..5 {
        let reply = client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
        assert_eq!(reply.status, 201);
    }
    let asked: Vec<_> = followers.iter().flat_map(FakeNode::executed).collect();
    assert!(asked.len() <= 1, "the leader is known after the first request");
    let led = leader.executed();
    assert_eq!(led.len(), 5);
    for request in &asked {
        assert_eq!(request.request_id, led[0].request_id);
        assert_eq!(request.issued_at_us, led[0].issued_at_us);
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_asked_again_under_the_same_request_id() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let fixture = Fixture::start(Script::execute(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Err(tonic::Status::unavailable("connection reset")),
        1 => Ok(execute_reply::Result::Failure(failure(ErrorCode::Unavailable))),
        2 => Ok(execute_reply::Result::Failure(failure(ErrorCode::WrongReplica))),
        3 => Ok(not_leader(0)),
        _ => Ok(execute_reply::Result::Done(Done {})),
    }))
    .await;
    let user = User::random();
    let cookie = [("cookie", user.cookie.as_str())];
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
    assert_eq!(reply.status, 201);
    let executed = fixture.node.executed();
    assert_eq!(executed.len(), 5);
    assert!(executed.iter().all(|request| request.request_id == executed[0].request_id));
    assert!(executed.iter().all(|request| request.issued_at_us == executed[0].issued_at_us));
}

/// A process that accepts and hangs up, as one does that is being killed again and again.
async fn hang_up_for_ever(socket: TcpListener) {
    while let Ok((stream, _)) = socket.accept().await {
        drop(stream);
    }
}

#[tokio::test]
async fn broken_connections_lead_to_another_replica() {
    let mut broken = Vec::new();
    let mut hangups = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        broken.push(socket.local_addr().expect("bound"));
        hangups.spawn(hang_up_for_ever(socket));
    }
    let leader = FakeNode::start(Script::default()).await;
    let addresses = [broken[0], broken[1], leader.address];
    leader.publish(map_of(1, SHARDS, &addresses, "open"));
    let seeds = addresses.iter().map(ToString::to_string).collect();
    let mut config = GatewayConfig::new(SECRET, seeds);
    config.gateway.announce = false;
    config.limits.map_timeout_s = Duration::from_secs(30);
    let gateway = Gateway::start(config).await.expect("loopback");
    let client = Client::new(gateway.http_address());
    for _ in 0..8 {
        let user = User::random();
        let cookie = [("cookie", user.cookie.as_str())];
        let reply = client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
        assert_eq!(reply.status, 201);
    }
    assert_eq!(leader.executed().len(), 8);
}

#[tokio::test]
async fn a_shard_without_a_leader_is_503_with_retry_after_when_time_is_up() {
    let fixture = Fixture::with(Script::execute(|_| Ok(not_leader(0))), |config| {
        config.limits.retry_timeout_s = Duration::from_millis(700);
    })
    .await;
    let user = User::random();
    let cookie = [("cookie", user.cookie.as_str())];
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
    assert_eq!((reply.status, reply.text().as_str()), (503, ErrorCode::Unavailable.text()));
    assert_eq!(reply.header("retry-after").as_deref(), Some("1"));
    let attempts = fixture.node.executed().len();
    assert!((2..=40).contains(&attempts), "{attempts}: neither giving up nor hammering");
}

#[tokio::test]
async fn a_cluster_without_a_map_is_503() {
    let node = FakeNode::start(Script::default()).await;
    let mut config = GatewayConfig::new(SECRET, vec![node.address.to_string()]);
    config.gateway.announce = false;
    config.limits.map_timeout_s = Duration::from_millis(200);
    let gateway = Gateway::start(config).await.expect("loopback");
    let client = Client::new(gateway.http_address());
    let user = User::random();
    let reply = client.get(&user.storage("/pub/a"), &[]).await;
    assert_eq!((reply.status, reply.header("retry-after").as_deref()), (503, Some("1")));
    node.publish(map_of(1, SHARDS, &[node.address], "open"));
    for _ in 0..600 {
        if client.get(&user.storage("/pub/a"), &[]).await.status == 404 {
            return;
        }
    }
    panic!("the map never arrived");
}

#[tokio::test]
async fn full_queues_answer_at_once() {
    let fixture = Fixture::with(Script::default(), |config| config.limits.requests_max = 0).await;
    let user = User::random();
    let reply = fixture.client.get(&user.storage("/pub/a"), &[]).await;
    assert_eq!((reply.status, reply.text().as_str()), (503, ErrorCode::Overloaded.text()));
    assert_eq!(reply.header("retry-after").as_deref(), Some("1"));
    assert!(fixture.node.queried().is_empty());
    let info = fixture.client.get("/info", &[]).await;
    assert_eq!(info.status, 200, "features are told whatever the load");

    let fixture = Fixture::with(Script::default(), |config| config.limits.body_bytes_max = 4).await;
    let cookie = [("cookie", user.cookie.as_str())];
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, b"12345").await;
    assert_eq!(reply.status, 503);
    assert!(fixture.node.executed().is_empty());
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, b"1234").await;
    assert_eq!(reply.status, 201);
    fixture.node.script(Script::query(|_| {
        Ok(query_reply::Result::Entry(Entry { body: "12345".into(), ..Entry::default() }))
    }));
    assert_eq!(fixture.client.get(&user.storage("/pub/a"), &[]).await.status, 503);
}

#[tokio::test]
async fn a_shards_own_overload_is_passed_on_without_retries() {
    for (code, status) in
        [(ErrorCode::Overloaded, 503), (ErrorCode::TooManyAttempts, 429), (ErrorCode::GuardTableFull, 503)]
    {
        let fixture = Fixture::start(Script::execute(move |_| {
            Ok(execute_reply::Result::Failure(Failure {
                retry_after_ms: 2_500,
                detail: "inner words".into(),
                ..failure(code)
            }))
        }))
        .await;
        let user = User::random();
        let cookie = [("cookie", user.cookie.as_str())];
        let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
        assert_eq!((reply.status, reply.text().as_str()), (status, code.text()));
        assert_eq!(reply.header("retry-after").as_deref(), Some("3"));
        assert_eq!(fixture.node.executed().len(), 1);
    }
}

const MINUTE_US: u64 = 60_000_000;

/// A gateway that heard of the cluster's time long before it was corrected, one way or the other.
#[tokio::test]
async fn a_request_of_another_time_starts_over_with_the_cluster_s() {
    for map_hlc in [1_000, HLC_US + 80 * 365 * 24 * 60 * MINUTE_US] {
        let is_of = |issued_at_us: u64, hlc_us: u64| (hlc_us..hlc_us + MINUTE_US).contains(&issued_at_us);
        let node = FakeNode::start(Script::execute(move |request| {
            Ok(if is_of(request.issued_at_us, HLC_US) {
                execute_reply::Result::Done(Done {})
            } else {
                execute_reply::Result::Failure(failure(ErrorCode::RequestExpired))
            })
        }))
        .await;
        let mut map = map_of(1, SHARDS, &[node.address], "open");
        map.hlc = map_hlc;
        node.publish(map);
        let mut config = GatewayConfig::new(SECRET, vec![node.address.to_string()]);
        config.gateway.announce = false;
        let gateway = Gateway::start(config).await.expect("loopback");
        let client = Client::new(gateway.http_address());
        let user = User::random();
        let cookie = [("cookie", user.cookie.as_str())];
        // A route that waits for the map and asks no shard.
        assert_eq!(client.get("/signup_tokens/x", &[]).await.status, 400);
        for _ in 0..2 {
            let reply = client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
            assert_eq!(reply.status, 201);
        }
        let executed = node.executed();
        let issued: Vec<u64> = executed.iter().map(|request| request.issued_at_us).collect();
        assert_eq!(issued.len(), 3, "{issued:?}");
        assert!(is_of(issued[0], map_hlc), "{issued:?}");
        assert!(is_of(issued[1], HLC_US) && is_of(issued[2], HLC_US), "{issued:?}");
        assert_eq!(executed[0].request_id, executed[1].request_id);
        assert_eq!(executed[2].seen_hlc_us, HLC_US, "what is merged is what was told");
    }
}

/// A node that starts does not know the time: its map comes with none, and the next one soon.
#[tokio::test]
async fn nothing_is_sent_before_the_cluster_tells_the_time() {
    let node = FakeNode::start(Script::default()).await;
    let mut map = map_of(1, SHARDS, &[node.address], "open");
    map.hlc = 0;
    node.publish(map.clone());
    let mut config = GatewayConfig::new(SECRET, vec![node.address.to_string()]);
    config.gateway.announce = false;
    config.limits.map_timeout_s = Duration::from_millis(300);
    let gateway = Gateway::start(config).await.expect("loopback");
    let client = Client::new(gateway.http_address());
    let user = User::random();
    let cookie = [("cookie", user.cookie.as_str())];
    let reply = client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
    assert_eq!((reply.status, node.executed().len()), (503, 0));
    map.hlc = HLC_US;
    node.publish(map);
    for _ in 0..100 {
        if client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await.status == 201 {
            assert!(node.executed().iter().all(|request| request.issued_at_us >= HLC_US));
            return;
        }
    }
    panic!("the time never arrived");
}

/// Replicas of every group only on the nodes of these positions, all nodes in the map.
fn moved(map_version: u64, nodes: &[&FakeNode], replicas: &[usize]) -> ClusterMap {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let mut map = map_of(map_version, SHARDS, &addresses, "open");
    for group in &mut map.groups {
        group.replicas = replicas.iter().map(|at| group.replicas[*at].clone()).collect();
    }
    map
}

/// What a node of map 2 answers to a gateway with an older one.
fn of_map_2(failure: Failure) -> execute_reply::Result {
    execute_reply::Result::Failure(Failure { map_version: 2, ..failure })
}

async fn gateway_of(seeds: &[&FakeNode]) -> (Gateway, Client) {
    let seeds = seeds.iter().map(|node| node.address.to_string()).collect();
    let mut config = GatewayConfig::new(SECRET, seeds);
    config.gateway.announce = false;
    let gateway = Gateway::start(config).await.expect("loopback");
    let client = Client::new(gateway.http_address());
    (gateway, client)
}

/// One change, and what `meanwhile` does while it is under way.
async fn put_while(client: &Client, meanwhile: impl Future<Output = ()>) -> u16 {
    let user = User::random();
    let (path, cookie) = (user.storage("/pub/a"), [("cookie", user.cookie.as_str())]);
    let (reply, ()) = tokio::join!(client.send("PUT", &path, &cookie, b"x"), meanwhile);
    reply.status
}

async fn asked(node: &FakeNode) {
    while node.executed().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn assert_same_request(nodes: &[&FakeNode]) {
    let requests: Vec<_> = nodes.iter().flat_map(|node| node.executed()).collect();
    assert!(requests.iter().all(|request| request.request_id == requests[0].request_id));
    assert!(requests.iter().all(|request| request.issued_at_us == requests[0].issued_at_us));
}

#[tokio::test]
async fn a_leader_beyond_the_known_replicas_is_asked_with_the_same_request_id() {
    let old = FakeNode::start(Script::execute(|_| Ok(not_leader(2)))).await;
    let new = FakeNode::start(Script::default()).await;
    old.publish(moved(1, &[&old, &new], &[0]));
    let (_gateway, client) = gateway_of(&[&old]).await;
    assert_eq!(put_while(&client, async {}).await, 201);
    assert_eq!((old.executed().len(), new.executed().len()), (1, 1));
    assert_same_request(&[&old, &new]);
}

#[tokio::test]
async fn a_leader_on_a_node_of_a_newer_map_is_found_when_the_map_arrives() {
    let not_leader = Failure { leader_node: vec![2; 16].into(), ..failure(ErrorCode::NotLeader) };
    let old = FakeNode::start(Script::execute(move |_| Ok(of_map_2(not_leader.clone())))).await;
    let new = FakeNode::start(Script::default()).await;
    old.publish(moved(1, &[&old], &[0]));
    let (_gateway, client) = gateway_of(&[&old]).await;
    let arrival = async {
        asked(&old).await;
        old.publish(moved(2, &[&old, &new], &[0]));
    };
    assert_eq!(put_while(&client, arrival).await, 201);
    assert_eq!(new.executed().len(), 1);
    assert_same_request(&[&old, &new]);
}

#[tokio::test]
async fn a_request_to_a_replica_that_is_gone_goes_on_with_the_newer_map() {
    let gone = || Ok(of_map_2(failure(ErrorCode::WrongReplica)));
    let old = FakeNode::start(Script::execute(move |_| gone())).await;
    let new = FakeNode::start(Script::default()).await;
    old.publish(moved(1, &[&old, &new], &[0]));
    let (_gateway, client) = gateway_of(&[&old]).await;
    let arrival = async {
        asked(&old).await;
        old.publish(moved(2, &[&old, &new], &[1]));
    };
    assert_eq!(put_while(&client, arrival).await, 201);
    assert_eq!(new.executed().len(), 1);
    assert_same_request(&[&old, &new]);
    let before = old.executed().len();
    assert_eq!(put_while(&client, async {}).await, 201);
    assert_eq!(old.executed().len(), before, "the new map is used");
}

/// The watched node stays on the old map although it tells of a newer one. Another node has that.
#[tokio::test]
async fn a_gateway_leaves_a_node_whose_map_lags() {
    let gone = || Ok(of_map_2(failure(ErrorCode::WrongReplica)));
    let lagging = FakeNode::start(Script::execute(move |_| gone())).await;
    let current = FakeNode::start(Script::default()).await;
    lagging.publish(moved(1, &[&lagging, &current], &[0]));
    current.publish(moved(2, &[&lagging, &current], &[1]));
    let (_gateway, client) = gateway_of(&[&lagging]).await;
    assert_eq!(put_while(&client, async {}).await, 201);
    assert_eq!(current.executed().len(), 1);
    assert_same_request(&[&lagging, &current]);
}
