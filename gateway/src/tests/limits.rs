//! Slow, endless and oversized requests: a clear status or a closed connection, and nothing for the shard.

use std::net::SocketAddr;
use std::time::Duration;

use rowhouse_proto::wire::shard::{
    Done, Entry, Listing, execute_reply, execute_request, query_reply, query_request,
};
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::account::auth_token;
use crate::cluster::ACCOUNT_BODY_BYTES_MAX;
use crate::testing::{Fixture, Script, User, raw, session_of};

const SOON: Duration = Duration::from_millis(300);
/// Far beyond any timeout of the gateways under test.
const PATIENCE: Duration = Duration::from_secs(60);
/// The share of one address, in the largest bodies.
const HALF_SENT: usize = 64;
const ANSWERS_UNREAD: usize = 32;

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
    let fixture = Fixture::with(Script::default(), |config| config.limits.head_timeout_s = SOON).await;
    for head in ["G", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = open(fixture.gateway.http_address(), head).await;
        assert_eq!(until_closed(&mut stream).await, "");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_own_time() {
    let fixture = Fixture::with(Script::default(), |config| config.limits.idle_timeout_s = SOON).await;
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
    let fixture = Fixture::with(Script::default(), |config| config.limits.body_timeout_s = SOON).await;
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

/// A sign-in that lacks its last byte, once the gateway has read the rest.
async fn half_sent_sign_in(address: SocketAddr) -> TcpStream {
    let head = format!(
        "POST /session HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {ACCOUNT_BODY_BYTES_MAX}\r\n\r\n"
    );
    let mut stream = open(address, &head).await;
    // It is being read from now on.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.expect("asked for the body");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&vec![0; ACCOUNT_BODY_BYTES_MAX - 1]).await.expect("open");
    stream
}

/// What a sign-in from a loopback address is answered; the shard would take it.
async fn sign_in_from(ip: &str, address: SocketAddr) -> String {
    let body = auth_token(&User::random());
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(ip.parse().expect("an address"), 0)).expect("loopback");
    let mut stream = socket.connect(address).await.expect("listening");
    let head = format!(
        "POST /session HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("open");
    until_closed(&mut stream).await
}

/// Waits until sign-ins are answered so.
async fn sign_in_is(status: &str, address: SocketAddr) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = sign_in_from("127.0.0.1", address).await;
        if answer.starts_with(&format!("HTTP/1.1 {status}")) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn half_sent_sign_ins_take_room_from_nobody_but_their_own_address() {
    let user = User::random();
    let session = session_of(&user.key);
    let script = Script::execute(move |request| {
        Ok(match request.op {
            Some(execute_request::Op::CookieSignin(_)) => {
                execute_reply::Result::CookieSession(session.clone())
            }
            _ => execute_reply::Result::Done(Done {}),
        })
    });
    // No more than the half-sent ones hold.
    let room = HALF_SENT * ACCOUNT_BODY_BYTES_MAX;
    let fixture = Fixture::with(script, |config| {
        config.limits.body_bytes_max = room;
        config.limits.body_timeout_s = PATIENCE;
    })
    .await;
    let address = fixture.gateway.http_address();
    let mut half_sent = Vec::new();
    for _ in 0..HALF_SENT {
        half_sent.push(half_sent_sign_in(address).await);
    }
    // The last bytes may still be on their way.
    let refused = sign_in_is("503", address).await;
    assert!(
        refused.contains("retry-after: 1") && refused.ends_with(ErrorCode::Overloaded.text()),
        "{refused}"
    );
    let other = sign_in_from("127.0.0.2", address).await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    let cookie = [("cookie", user.cookie.as_str())];
    let body = vec![0; INLINE_BODY_BYTES_MAX];
    let put = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, &body).await;
    assert_eq!(put.status, 201, "whoever stores has room of their own");
    drop(half_sent);
    sign_in_is("200", address).await;
}

/// A connection whose client asks for the same again and again and takes next to nothing.
async fn unread(address: SocketAddr, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut stream = socket.connect(address).await.expect("listening");
    // More than the kernel takes off the gateway's hands for a client that reads nothing.
    stream.write_all(request.repeat(ANSWERS_UNREAD).as_bytes()).await.expect("open");
    stream
}

#[tokio::test]
async fn what_a_client_does_not_take_is_counted_until_it_does() {
    const LISTING_BYTES: usize = 1024 * 1024;
    let paths: Vec<String> =
        (0..LISTING_BYTES / 1024).map(|_| format!("/pub/{}", "a".repeat(1024))).collect();
    let inline = Entry { body: vec![0; INLINE_BODY_BYTES_MAX].into(), ..Entry::default() };
    let script = Script::query(move |request| {
        Ok(match request.op {
            Some(query_request::Op::ListEntries(_)) => {
                query_reply::Result::Listing(Listing { paths: paths.clone() })
            }
            _ => query_reply::Result::Entry(inline.clone()),
        })
    });
    let fixture = Fixture::with(script, |config| {
        // Room for one listing.
        config.limits.body_bytes_max = 3 * LISTING_BYTES / 2;
        config.limits.write_timeout_s = PATIENCE * 60;
    })
    .await;
    let user = User::random();
    let listing = user.storage("/pub/");
    let status = async || fixture.client.get(&listing, &[]).await.status;
    let request = format!("GET {listing} HTTP/1.1\r\nhost: x\r\n\r\n");
    let stalled = unread(fixture.gateway.http_address(), &request).await;
    let becomes = async |expected| {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while status().await != expected {
            assert!(tokio::time::Instant::now() < deadline, "it never was {expected}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    becomes(503).await;
    drop(stalled);
    becomes(200).await;
}

#[tokio::test]
async fn account_bodies_are_bounded_and_a_client_that_asks_first_is_told_at_once() {
    let fixture = Fixture::start(Script::default()).await;
    let text = ErrorCode::AccountBodyTooLarge.text();
    let too_large = vec![b' '; ACCOUNT_BODY_BYTES_MAX + 1];
    let json = [("content-type", "application/json")];
    for (method, path) in [
        ("POST", "/signup"),
        ("POST", "/session"),
        ("POST", "/auth/grant/signup"),
        ("POST", "/auth/grant/session"),
        ("DELETE", "/auth/grant/session"),
    ] {
        let reply = fixture.client.send(method, path, &json, &too_large).await;
        assert_eq!((reply.status, reply.text().as_str()), (413, text), "{method} {path}");
        let fits = fixture.client.send(method, path, &json, &too_large[1..]).await;
        assert_eq!(fits.status, 400, "{method} {path}: read, and no token or JSON");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
             content-length: {}\r\n\r\n",
            too_large.len()
        );
        let answer = until_closed(&mut open(fixture.gateway.http_address(), &head).await).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with(text), "{answer}");
    }
    let typed = [("content-type", "text/plain")];
    let reply = fixture.client.send("POST", "/auth/grant/session", &typed, &too_large).await;
    assert_eq!(reply.status, 415, "its type comes first");
    let chunked = format!(
        "POST /session HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        too_large.len(),
        " ".repeat(too_large.len())
    );
    let answer = raw(fixture.gateway.http_address(), chunked.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    assert!(fixture.node.executed().is_empty());
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
    let fixture = Fixture::with(Script::default(), |config| config.limits.idle_linger_s = SOON).await;
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
        config.limits.idle_linger_s = Duration::from_secs(3_600);
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
