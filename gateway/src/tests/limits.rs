//! Slow, endless and oversized requests: a clear status or a closed connection, and nothing for the shard.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::testing::{Fixture, Script, User, raw};

const SOON: Duration = Duration::from_millis(300);
/// Far beyond any timeout of the gateways under test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything the server says until it closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A reset is a close too.
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "it never came about");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn open(address: SocketAddr, message: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    stream.write_all(message.as_bytes()).await.expect("open");
    stream
}

#[tokio::test]
async fn a_request_head_that_never_ends_closes_the_connection() {
    let fixture = Fixture::with(Script::default(), |config| config.limits.head_timeout = SOON).await;
    for head in ["G", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = open(fixture.gateway.http_address(), head).await;
        assert_eq!(until_closed(&mut stream).await, "");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_own_time() {
    let fixture = Fixture::with(Script::default(), |config| config.limits.idle_timeout = SOON).await;
    let mut untouched = open(fixture.gateway.http_address(), "").await;
    assert_eq!(until_closed(&mut untouched).await, "");
    let mut kept = open(fixture.gateway.http_address(), "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(until_closed(&mut kept).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_are_kept_alive_over_requests() {
    let fixture = Fixture::start(Script::default()).await;
    let request = "GET /info HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = open(fixture.gateway.http_address(), request).await;
    let mut answers = String::new();
    let mut chunk = [0; 4096];
    for round in 1..=20 {
        while answers.matches("grant-proof-logout").count() < round {
            let reading = tokio::time::timeout(PATIENCE, stream.read(&mut chunk));
            let length = reading.await.expect("answered").expect("open");
            assert!(length > 0, "closed after {round}");
            answers.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
        stream.write_all(request.as_bytes()).await.expect("open");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_408_and_one_cut_short_reaches_nobody() {
    let fixture = Fixture::with(Script::default(), |config| config.limits.body_timeout = SOON).await;
    let user = User::random();
    let put = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\ncookie: {}\r\ncontent-length: 10\r\n\r\nhalf",
        user.storage("/pub/a"),
        user.cookie
    );
    let mut slow = open(fixture.gateway.http_address(), &put).await;
    assert!(until_closed(&mut slow).await.starts_with("HTTP/1.1 408"));
    let session = "POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
    let mut slow = open(fixture.gateway.http_address(), session).await;
    assert!(until_closed(&mut slow).await.starts_with("HTTP/1.1 408"));
    assert!(fixture.node.executed().is_empty());
}

#[tokio::test]
async fn an_upload_cut_short_changes_nothing() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    for framing in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let put = format!(
            "PUT {} HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n{framing}",
            user.storage("/pub/a"),
            user.cookie
        );
        let mut stream = open(fixture.gateway.http_address(), &put).await;
        stream.shutdown().await.expect("open");
        let answer = until_closed(&mut stream).await;
        assert!(answer.is_empty() || answer.ends_with("Stream broken"), "{answer}");
    }
    let malformed = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\ncookie: {}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        user.storage("/pub/a"),
        user.cookie
    );
    let answer = raw(fixture.gateway.http_address(), malformed.as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with("Stream broken"), "{answer}");
    assert!(fixture.node.executed().is_empty());
}

#[tokio::test]
async fn heads_too_large_are_431() {
    let fixture = Fixture::start(Script::default()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(100_000));
    let many: String = (0..200).map(|index| format!("x-{index}: a\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    for request in [long, many] {
        let answer = raw(fixture.gateway.http_address(), request.as_bytes()).await;
        // A client that is still sending may meet the reset before it reads the answer.
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
    }
    assert_eq!(fixture.client.get("/", &[]).await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_and_places_come_back() {
    let fixture = Fixture::with(Script::default(), |config| config.limits.connections_max = 2).await;
    let address = fixture.gateway.http_address();
    let request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = open(address, request).await;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("served");
        held.push(stream);
    }
    let mut refused = TcpStream::connect(address).await.expect("accepted by the kernel");
    assert_eq!(until_closed(&mut refused).await, "");
    drop(held);
    for _ in 0..3_000 {
        let mut stream = TcpStream::connect(address).await.expect("listening");
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        if until_closed(&mut stream).await.starts_with("HTTP/1.1 200") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no place came back");
}

#[tokio::test]
async fn a_refused_upload_is_answered_though_its_body_keeps_coming() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let body = vec![b'x'; 1024 * 1024];
    let cookie = [("cookie", user.cookie.as_str())];
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, &body).await;
    assert_eq!(reply.status, 201, "this shard takes anything");
    let reply = fixture.client.send("POST", "/session", &[], &vec![b'x'; 3 * 1024 * 1024]).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn shutdown_ends_listeners_and_connections() {
    let fixture = Fixture::with(Script::default(), |config| config.limits.idle_linger = SOON).await;
    let address = fixture.gateway.http_address();
    let mut idle = open(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut byte = [0];
    idle.read_exact(&mut byte).await.expect("served");
    fixture.gateway.shutdown().await;
    until_closed(&mut idle).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stopping_gateway_answers_open_connections_once_more_and_refuses_new_ones() {
    let fixture = Fixture::with(Script::default(), |config| {
        config.limits.idle_linger = Duration::from_secs(3_600);
    })
    .await;
    let address = fixture.gateway.http_address();
    let ready = fixture.gateway.readiness();
    until(|| ready().is_empty()).await;
    let mut kept = open(address, "").await;
    let mut served = open(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut byte = [0];
    served.read_exact(&mut byte).await.expect("served");
    let mut stopping = JoinSet::new();
    stopping.spawn(fixture.gateway.shutdown());
    for tries in 0.. {
        if TcpStream::connect(address).await.is_err() {
            break;
        }
        assert!(tries < 1_000, "the port stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ready(), ["stopping"]);
    for stream in [&mut kept, &mut served] {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("open");
        let answer = until_closed(stream).await;
        assert!(answer.contains("connection: close") && answer.ends_with("Pubky Homeserver"), "{answer}");
    }
    stopping.join_next().await.expect("it runs").expect("it ends when no connection is left");
}
