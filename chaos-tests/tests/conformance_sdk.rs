//! The unmodified Pubky SDK against real processes, which it finds through PKARR alone.

use std::net::{TcpListener, UdpSocket};

use futures::StreamExt;
use pubky::{ClientId, Event, EventType, Keypair, Pubky, PubkySession, PublicKey, StatusCode};
use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, Findable, Place};

#[path = "sdk/client.rs"]
mod client;

use client::{homeserver, sdk};

/// Ports that `Pubky::testnet()` expects on this machine: DHT, pkarr relay (and ours: HTTP, TLS, admin, HTTP relay).
const TESTNET_DHT: u16 = 6881;
const TESTNET_PORTS: [u16; 5] = [15411, 15412, 6286, 6287, 6288];

fn client_id() -> ClientId {
    ClientId::new("conformance.test").expect("well formed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_sign_up_write_and_read_each_other() {
    // `make pods-test` names the homeserver that it runs.
    match Place::given().expect("well formed") {
        Some(place) => apps(&place).await,
        None => apps(&Cluster::start(ClusterOptions::default()).await.expect("the cluster starts")).await,
    }
}

async fn apps(cluster: &impl Findable) {
    let homeserver = homeserver(cluster);
    let pubky = sdk(cluster);

    let alice = pubky.signer(Keypair::random());
    alice.signup(&homeserver, None).await.expect("alice signs up");
    let session = alice.signin(client_id()).await.expect("alice signs in");
    storage(&session).await;
    another_client_reads(cluster, &alice.public_key()).await;
    repeated_signup_is_refused(cluster, &alice).await;

    assert!(session.revalidate().await.expect("an answer").is_some());
    session.signout().await.map_err(|(error, _)| error).expect("alice signs out");
    let session = alice.signin_blocking(client_id()).await.expect("and in again");
    session.storage().put("/pub/sdk/again.txt", "again").await.expect("a write with the new session");
    cookies(cluster, &homeserver).await;
    event_streams(cluster, &session).await;
}

/// History and live events of the SDK's own stream, public and private, and from a cursor.
async fn event_streams(cluster: &impl Findable, session: &PubkySession) {
    let alice = session.public_key().clone();
    let storage = session.storage();
    for number in 0..3 {
        storage.put(format!("/pub/stream/{number}"), number.to_string()).await.expect("put");
    }
    storage.delete("/pub/stream/1").await.expect("delete");
    storage.put("/priv/stream/secret", "secret").await.expect("put private");
    let reader = sdk(cluster);

    let history = reader.event_stream_for_user(&alice, None).path("/pub/stream/").subscribe().await;
    let history: Vec<Event> =
        history.expect("a stream").map(|event| event.expect("an event")).collect().await;
    assert_eq!(
        told(&history),
        ["PUT /pub/stream/0", "PUT /pub/stream/1", "PUT /pub/stream/2", "DEL /pub/stream/1"]
    );
    assert!(history.is_sorted_by(|one, other| one.cursor < other.cursor));
    let hash = blake3::hash(b"2");
    assert!(
        matches!(&history[2].event_type, EventType::Put { content_hash } if content_hash.as_bytes() == hash.as_bytes())
    );

    let homeserver = homeserver(cluster);
    let newest = reader.event_stream_for(&homeserver).add_users([(&alice, None)]).expect("a user");
    let newest = newest.path("/pub/stream/").reverse().limit(1).subscribe().await.expect("a stream");
    let newest: Vec<Event> = newest.map(|event| event.expect("an event")).collect().await;
    assert_eq!(told(&newest), ["DEL /pub/stream/1"]);

    let live = reader.event_stream_for_user(&alice, Some(history[1].cursor)).path("/pub/stream/").live();
    let mut live = live.subscribe().await.expect("a live stream");
    let private = reader.event_stream_for_user(&alice, None).session(session).path("/priv/stream/").live();
    let mut private = private.subscribe().await.expect("a private stream");
    let mut next = async || told(&[live.next().await.expect("it goes on").expect("an event")]).remove(0);
    assert_eq!(next().await, "PUT /pub/stream/2");
    assert_eq!(next().await, "DEL /pub/stream/1");
    for number in 3..6 {
        storage.put(format!("/pub/stream/{number}"), "live").await.expect("put");
        assert_eq!(next().await, format!("PUT /pub/stream/{number}"));
    }
    storage.delete("/priv/stream/secret").await.expect("delete private");
    let mut next = async || told(&[private.next().await.expect("it goes on").expect("an event")]).remove(0);
    assert_eq!(next().await, "PUT /priv/stream/secret");
    assert_eq!(next().await, "DEL /priv/stream/secret");
}

fn told(events: &[Event]) -> Vec<String> {
    let name = |event: &Event| if matches!(event.event_type, EventType::Delete) { "DEL" } else { "PUT" };
    events.iter().map(|event| format!("{} {}", name(event), event.resource.path.as_str())).collect()
}

/// Put, get, json, list, exists, stats, delete.
async fn storage(session: &PubkySession) {
    let storage = session.storage();
    let put = storage.put("/pub/sdk/hello.txt", "hello").await.expect("put");
    assert_eq!(put.status(), StatusCode::CREATED);
    let text = storage.get("/pub/sdk/hello.txt").await.expect("get").text().await.expect("a body");
    assert_eq!(text, "hello");

    let value = serde_json::json!({ "name": "alice", "numbers": [1, 2, 3] });
    storage.put_json("/pub/sdk/profile.json", &value).await.expect("put json");
    let back: serde_json::Value = storage.get_json("/pub/sdk/profile.json").await.expect("get json");
    assert_eq!(back, value);

    storage.put("/priv/sdk/secret", "secret").await.expect("put private");
    let secret = storage.get("/priv/sdk/secret").await.expect("get private").text().await.expect("a body");
    assert_eq!(secret, "secret");

    assert!(storage.exists("/pub/sdk/hello.txt").await.expect("exists"));
    assert!(!storage.exists("/pub/sdk/none").await.expect("exists not"));
    let stats = storage.stats("/pub/sdk/hello.txt").await.expect("stats").expect("a file");
    assert_eq!(stats.content_length, Some(5));
    assert_eq!(stats.content_type.as_deref(), Some("text/plain"));
    assert!(stats.etag.is_some() && stats.last_modified.is_some());

    for number in 0..7 {
        storage.put(format!("/pub/sdk/list/{number}"), "x").await.expect("put");
    }
    let page = storage.list("/pub/sdk/list/").expect("a path").limit(3).send().await.expect("list");
    let paths: Vec<String> = page.iter().map(|resource| resource.path.as_str().to_owned()).collect();
    assert_eq!(paths, ["/pub/sdk/list/0", "/pub/sdk/list/1", "/pub/sdk/list/2"]);
    let cursor = page[2].to_pubky_url();
    let rest = storage.list("/pub/sdk/list/").expect("a path").cursor(&cursor).send().await.expect("list on");
    assert_eq!(rest.len(), 4);
    let back = storage
        .list("/pub/sdk/list/")
        .expect("a path")
        .reverse(true)
        .limit(1)
        .send()
        .await
        .expect("list back");
    assert_eq!(back[0].path.as_str(), "/pub/sdk/list/6");
    let shallow =
        storage.list("/pub/sdk/").expect("a path").shallow(true).send().await.expect("list shallow");
    let paths: Vec<&str> = shallow.iter().map(|resource| resource.path.as_str()).collect();
    assert_eq!(paths, ["/pub/sdk/hello.txt", "/pub/sdk/list/", "/pub/sdk/profile.json"]);

    let deleted = storage.delete("/pub/sdk/list/0").await.expect("delete");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert!(!storage.exists("/pub/sdk/list/0").await.expect("gone"));
    assert!(storage.delete("/pub/sdk/list/0").await.is_err(), "deleting nothing is 404");
}

/// A client that never met alice resolves her key and reads over Pubky TLS.
async fn another_client_reads(cluster: &impl Findable, alice: &PublicKey) {
    let stranger = sdk(cluster);
    let address = format!("pubky://{}/pub/sdk/hello.txt", alice.z32());
    let text =
        stranger.public_storage().get(&address).await.expect("a public read").text().await.expect("a body");
    assert_eq!(text, "hello");
    let private = format!("pubky://{}/priv/sdk/secret", alice.z32());
    assert!(stranger.public_storage().get(&private).await.is_err(), "private data needs its owner");
    let folder = format!("pubky://{}/pub/sdk/", alice.z32());
    let listed =
        stranger.public_storage().list(&folder).expect("an address").send().await.expect("a public list");
    assert_eq!(listed.len(), 8);
    let found = stranger.get_homeserver_of(alice).await.expect("an answer").expect("alice's homeserver");
    assert_eq!(found, homeserver(cluster));
}

async fn repeated_signup_is_refused(cluster: &impl Findable, signer: &pubky::PubkySigner) {
    let error = signer.signup(&homeserver(cluster), None).await.expect_err("one account a key");
    assert!(error.to_string().contains("User already exists"), "{error}");
}

/// The deprecated ways, which apps still use.
#[expect(deprecated)]
async fn cookies(cluster: &impl Findable, homeserver: &PublicKey) {
    let pubky = sdk(cluster);
    let bob = pubky.signer(Keypair::random());
    let session = bob.signup_cookie(homeserver, None).await.expect("bob signs up by cookie");
    session.storage().put("/pub/sdk/cookie.txt", "cookie").await.expect("a write by cookie");
    let again = bob.signin_cookie().await.expect("bob signs in by cookie");
    let text =
        again.storage().get("/pub/sdk/cookie.txt").await.expect("a read").text().await.expect("a body");
    assert_eq!(text, "cookie");
    assert!(again.revalidate().await.expect("an answer").is_some());
    again.signout().await.map_err(|(error, _)| error).expect("one session ends");
    session.storage().put("/pub/sdk/cookie.txt", "still").await.expect("the other lives");
}

/// The one-line set-up of app developers; only where its fixed ports are free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn testnet_sdk_just_works() {
    if !testnet_ports_are_free() {
        eprintln!("skipped: the testnet's fixed ports are in use on this machine");
        return;
    }
    let options = ClusterOptions { testnet_ports: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.expect("the cluster starts");
    let pubky = Pubky::testnet().expect("the SDK's own set-up");
    let carol = pubky.signer(Keypair::random());
    carol.signup(&homeserver(&cluster), None).await.expect("carol signs up");
    let session = carol.signin(client_id()).await.expect("carol signs in");
    session.storage().put("/pub/sdk/hello.txt", "hello").await.expect("put");
    let address = format!("pubky://{}/pub/sdk/hello.txt", carol.public_key().z32());
    let reader = Pubky::testnet().expect("the SDK's own set-up");
    let text = reader.public_storage().get(&address).await.expect("get").text().await.expect("a body");
    assert_eq!(text, "hello");
}

fn testnet_ports_are_free() -> bool {
    UdpSocket::bind(("127.0.0.1", TESTNET_DHT)).is_ok()
        && TESTNET_PORTS.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}
