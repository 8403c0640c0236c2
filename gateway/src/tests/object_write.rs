//! PUT of bodies too large for the log: who is asked, which disks get them, and what a client sees.

use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::wire::shard::{
    BeginUpload, Done, ExecuteRequest, Failure, PutEntry, Upload, UploadBegun, execute_reply, execute_request,
};
use rowhouse_proto::{CHUNK_BYTES, ErrorCode, INLINE_BODY_BYTES_MAX, UPLOAD_WINDOW_BYTES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::testing::{Fixture, Reply, Script, Staging, User, failure};

const SOON: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(60);
/// Chunks that may be on their way to one replica.
const WINDOW: usize = 2;

fn body_of(length: usize) -> Vec<u8> {
    let png = [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A];
    let rest = (png.len()..length).map(|at| u8::try_from((at * 13 + at / 255) % 256).expect("a byte"));
    png.into_iter().chain(rest).collect()
}

/// In pieces that end nowhere in particular, the first of them a single byte.
fn chunked(body: &[u8]) -> Vec<u8> {
    let (first, rest) = body.split_at(1);
    let mut message = Vec::new();
    for piece in [first].into_iter().chain(rest.chunks(70_001)) {
        message.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        message.extend_from_slice(piece);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"0\r\n\r\n");
    message
}

async fn put_of_unknown_length(fixture: &Fixture, user: &User, body: &[u8]) -> Reply {
    let cookie = ("cookie", user.cookie.as_str());
    let headers = [cookie, ("transfer-encoding", "chunked"), ("content-length", "(none)")];
    fixture.client.send("PUT", &user.storage("/pub/a.txt"), &headers, &chunked(body)).await
}

async fn put(fixture: &Fixture, user: &User, body: &[u8]) -> Reply {
    let cookie = [("cookie", user.cookie.as_str())];
    fixture.client.send("PUT", &user.storage("/pub/a.txt"), &cookie, body).await
}

fn begun(request: &ExecuteRequest) -> &BeginUpload {
    match &request.op {
        Some(execute_request::Op::BeginUpload(begin)) => begin,
        other => panic!("not a beginning: {other:?}"),
    }
}

fn put_of(request: &ExecuteRequest) -> &PutEntry {
    match &request.op {
        Some(execute_request::Op::PutEntry(put)) => put,
        other => panic!("not a put: {other:?}"),
    }
}

fn committed(fixture: &Fixture) -> Upload {
    let executed = fixture.node.executed();
    put_of(executed.last().expect("asked")).upload.clone().expect("an object")
}

/// Nothing but the beginning was asked of the shard.
fn assert_not_committed(fixture: &Fixture) {
    for request in fixture.node.executed() {
        if !matches!(request.op, Some(execute_request::Op::AbandonUpload(_))) {
            begun(&request);
        }
    }
}

async fn three() -> (Fixture, User) {
    (Fixture::three(Script::default(), |_| {}).await, User::random())
}

#[tokio::test]
async fn a_large_body_lies_on_every_disk_before_the_shard_is_told() {
    for length in [INLINE_BODY_BYTES_MAX + 1, CHUNK_BYTES, CHUNK_BYTES * 5 / 2] {
        let (fixture, user) = three().await;
        let body = body_of(length);
        for declared in [Some(length as u64), None] {
            let cookie = ("cookie", user.cookie.as_str());
            let chunking = [cookie, ("transfer-encoding", "chunked"), ("content-length", "(none)")];
            let (headers, message) = if declared.is_some() {
                (&chunking[..1], body.clone())
            } else {
                (&chunking[..], chunked(&body))
            };
            let path = user.storage("/pub/a.txt");
            let reply = fixture.client.send("PUT", &path, headers, &message).await;
            assert_eq!((reply.status, reply.text().as_str()), (201, ""));
            let executed = fixture.node.executed();
            let [.., first, last] = &executed[..] else { panic!("{executed:?}") };
            let (begin, put) = (begun(first), put_of(last));
            assert_eq!(first.group, user.shard());
            assert_ne!(first.request_id, last.request_id);
            assert_eq!((begin.path.as_str(), begin.content_length), ("/pub/a.txt", declared));
            assert_eq!((put.path.as_str(), put.content_length), ("/pub/a.txt", declared));
            assert_eq!((put.content_type.as_str(), put.body.len()), ("image/png", 0));
            assert!(begin.credential.is_some() && put.credential.is_some());
            let mut upload = put.upload.clone().expect("an object");
            upload.holders.sort_unstable();
            assert_eq!((upload.length, &upload.holders[..]), (length as u64, &[1, 2, 3][..]));
            assert_eq!(upload.hash, blake3::hash(&body).as_bytes().as_slice());
            assert_eq!((&upload.object, upload.object.len()), (&begin.object, 16));
            for node in fixture.nodes() {
                assert!(node.disk.body(&upload.object) == body, "{length} bytes, declared {declared:?}");
            }
        }
        assert_eq!(fixture.node.executed().len(), 4);
    }
}

#[tokio::test]
async fn one_lost_replica_costs_the_client_nothing() {
    for staging in [
        Staging::Refuse(Code::Unavailable),
        Staging::Refuse(Code::ResourceExhausted),
        Staging::EndAt(1),
        Staging::StallAt(1),
        Staging::Lie,
    ] {
        let (fixture, user) = three().await;
        fixture.others[0].disk.staging(staging);
        let body = body_of(8 * CHUNK_BYTES + 1);
        assert_eq!(put(&fixture, &user, &body).await.status, 201, "{staging:?}");
        let mut upload = committed(&fixture);
        upload.holders.sort_unstable();
        assert_eq!(upload.holders, [1, 3], "{staging:?}");
        assert!(fixture.node.disk.body(&upload.object) == body);
        assert!(fixture.others[0].disk.offered() <= WINDOW + 1, "{staging:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_gone_costs_the_client_nothing() {
    let (mut fixture, user) = three().await;
    drop(fixture.others.pop());
    assert_eq!(put(&fixture, &user, &body_of(3 * CHUNK_BYTES)).await.status, 201);
    let mut holders = committed(&fixture).holders;
    holders.sort_unstable();
    assert_eq!(holders, [1, 2]);
}

#[tokio::test]
async fn without_a_majority_of_disks_nothing_is_committed() {
    use Staging::{EndAt, Refuse, StallAt};
    for (first, second, code) in [
        (EndAt(0), EndAt(1), ErrorCode::TooFewCopies),
        (StallAt(0), EndAt(2), ErrorCode::TooFewCopies),
        (StallAt(1), StallAt(2), ErrorCode::TooFewCopies),
        (Refuse(Code::ResourceExhausted), Refuse(Code::ResourceExhausted), ErrorCode::DiskFull),
    ] {
        let script = Script::default();
        let fixture = Fixture::three(script, |config| config.limits.retry_timeout_s = SOON * 5).await;
        let user = User::random();
        fixture.node.disk.staging(first);
        fixture.others[1].disk.staging(second);
        let reply = put(&fixture, &user, &body_of(4 * CHUNK_BYTES)).await;
        let expected = (code.http_status().as_u16(), code.text());
        assert_eq!((reply.status, reply.text().as_str()), expected, "{first:?} {second:?}");
        assert_eq!(reply.header("retry-after").is_some(), code.is_transient());
        assert_not_committed(&fixture);
    }
}

#[tokio::test]
async fn what_the_shard_refuses_is_refused_before_the_body() {
    for code in [
        ErrorCode::NoSession,
        ErrorCode::NoWriteCapability,
        ErrorCode::NotFound,
        ErrorCode::PathCollision,
        ErrorCode::QuotaExceeded,
        ErrorCode::DiskFull,
    ] {
        let script = Script::execute(move |_| Ok(execute_reply::Result::Failure(failure(code))));
        let fixture = Fixture::three(script, |_| {}).await;
        let user = User::random();
        let reply = put(&fixture, &user, &body_of(2 * CHUNK_BYTES)).await;
        assert_eq!((reply.status, reply.text().as_str()), (code.http_status().as_u16(), code.text()));
        // A client that asks first sends nothing.
        let head = head_of(&user, "content-length: 9000000\r\nexpect: 100-continue");
        let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
        stream.write_all(head.as_bytes()).await.expect("open");
        let answer = until_closed(&mut stream).await;
        // Its answer is the first thing said, and says that nothing is expected any more.
        assert!(answer.starts_with(&format!("HTTP/1.1 {}", code.http_status().as_u16())), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        for framing in ["content-length: 5", "transfer-encoding: chunked"] {
            let head = head_of(&user, &format!("{framing}\r\nexpect: 100-continue"));
            let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
            stream.write_all(head.as_bytes()).await.expect("open");
            let answer = until_closed(&mut stream).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {}", code.http_status().as_u16())), "{answer}");
        }
        assert_eq!(fixture.node.executed().len(), 4);
        assert_not_committed(&fixture);
        assert!(fixture.nodes().all(|node| node.disk.offered() == 0));
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_asked_for_its_body_whatever_its_size() {
    let (fixture, user) = three().await;
    for (framing, body, length) in [
        ("content-length: 5", "small", 5),
        ("transfer-encoding: chunked", "5\r\nsmall\r\n0\r\n\r\n", 5),
        ("transfer-encoding: chunked", "0\r\n\r\n", 0),
    ] {
        let head = head_of(&user, &format!("{framing}\r\nexpect: 100-continue"));
        let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
        stream.write_all(head.as_bytes()).await.expect("open");
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).await.expect("asked for the body");
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(body.as_bytes()).await.expect("open");
        assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 201"), "{framing}");
        let executed = fixture.node.executed();
        let put = put_of(executed.last().expect("asked"));
        assert_eq!(put.upload.as_ref().map_or(0, |upload| upload.length), length, "{framing}");
        assert!(put.body.is_empty());
    }
    let empty = head_of(&user, "content-length: 0\r\nexpect: 100-continue");
    let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
    stream.write_all(empty.as_bytes()).await.expect("open");
    assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 201"), "there is no body to ask for");
}

#[tokio::test]
async fn a_refusal_at_the_end_reaches_the_client() {
    let script = Script::execute(|request| {
        Ok(match request.op {
            Some(execute_request::Op::BeginUpload(_)) => execute_reply::Result::Done(Done {}),
            _ => execute_reply::Result::Failure(failure(ErrorCode::TooFewCopies)),
        })
    });
    let fixture = Fixture::three(script, |_| {}).await;
    let reply = put(&fixture, &User::random(), &body_of(CHUNK_BYTES + 1)).await;
    assert_eq!((reply.status, reply.text().as_str()), (503, ErrorCode::TooFewCopies.text()));
    assert_eq!(reply.header("retry-after").as_deref(), Some("1"));
}

fn head_of(user: &User, framing: &str) -> String {
    let (path, cookie) = (user.storage("/pub/a"), &user.cookie);
    format!("PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: {cookie}\r\n{framing}\r\n\r\n")
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is a close too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a head that promises five chunks, and one and a half of them.
async fn half_sent(fixture: &Fixture, user: &User) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
    let head = head_of(user, &format!("content-length: {}", 5 * CHUNK_BYTES));
    stream.write_all(head.as_bytes()).await.expect("open");
    stream.write_all(&body_of(CHUNK_BYTES * 3 / 2)).await.expect("open");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while fixture.nodes().any(|node| node.disk.offered() == 0) {
        assert!(tokio::time::Instant::now() < deadline, "its first chunk never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream
}

#[tokio::test]
async fn a_client_that_goes_or_falls_silent_in_the_middle_changes_nothing() {
    let script = Script::default();
    let fixture = Fixture::three(script, |config| config.limits.body_timeout_s = SOON * 5).await;
    let user = User::random();
    let mut gone = half_sent(&fixture, &user).await;
    gone.shutdown().await.expect("open");
    let answer = until_closed(&mut gone).await;
    assert!(answer.is_empty() || answer.ends_with("Stream broken"), "{answer}");
    let mut silent = half_sent(&fixture, &user).await;
    assert!(until_closed(&mut silent).await.starts_with("HTTP/1.1 408"));
    assert_not_committed(&fixture);
    // The shard hears of both, so that nothing is held until it expires.
    let abandoned = || {
        let executed = fixture.node.executed();
        executed.iter().filter(|it| matches!(it.op, Some(execute_request::Op::AbandonUpload(_)))).count()
    };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while abandoned() < 2 {
        assert!(tokio::time::Instant::now() < deadline, "an upload stays until it expires");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fixture.node.executed().len(), 4);
}

#[tokio::test]
async fn a_client_is_no_faster_than_the_disks() {
    let script = Script::default();
    let fixture = Fixture::three(script, |config| config.limits.retry_timeout_s = SOON * 5).await;
    for node in fixture.nodes() {
        node.disk.staging(Staging::StallAt(0));
    }
    let user = User::random();
    let reply = put(&fixture, &user, &body_of(8 * CHUNK_BYTES)).await;
    assert_eq!((reply.status, reply.text().as_str()), (503, ErrorCode::TooFewCopies.text()));
    assert!(fixture.nodes().all(|node| node.disk.offered() <= WINDOW));
    assert_not_committed(&fixture);
}

#[tokio::test]
async fn uploads_wait_for_each_others_room() {
    let one_chunk = |config: &mut crate::GatewayConfig| config.limits.chunk_bytes_max = CHUNK_BYTES;
    let fixture = Fixture::three(Script::default(), one_chunk).await;
    let (first, second, body) = (User::random(), User::random(), body_of(5 * CHUNK_BYTES));
    let (one, other) = tokio::join!(put(&fixture, &first, &body), put(&fixture, &second, &body));
    assert_eq!((one.status, other.status), (201, 201));
    let object = Bytes::copy_from_slice(&committed(&fixture).object);
    assert!(fixture.node.disk.body(&object) == body);
}

#[tokio::test]
async fn an_upload_that_expired_is_not_begun_anew() {
    let script = Script::execute(|request| {
        Ok(if begun(&request).renew {
            execute_reply::Result::Failure(failure(ErrorCode::UploadExpired))
        } else {
            // The gateway says that it goes on before this is over.
            execute_reply::Result::UploadBegun(UploadBegun { lifetime_ms: 2_000 })
        })
    });
    let fixture = Fixture::three(script, |_| {}).await;
    let mut stream = half_sent(&fixture, &User::random()).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.ends_with(ErrorCode::UploadExpired.text()), "{answer}");
    let executed = fixture.node.executed();
    assert_eq!(executed.iter().map(|request| begun(request).renew).collect::<Vec<_>>(), [false, true]);
    assert_eq!(begun(&executed[0]).object, begun(&executed[1]).object);
}

#[tokio::test]
async fn a_body_of_unknown_length_asks_before_it_passes_what_is_reserved() {
    let (fixture, user) = three().await;
    let body = body_of(12 * CHUNK_BYTES);
    assert_eq!(put_of_unknown_length(&fixture, &user, &body).await.status, 201);
    let executed = fixture.node.executed();
    let [beginnings @ .., last] = &executed[..] else { panic!("{executed:?}") };
    assert_eq!(put_of(last).upload.as_ref().expect("an object").length, body.len() as u64);
    let asked: Vec<_> =
        beginnings.iter().map(begun).map(|begin| (begin.renew, begin.reserved_bytes)).collect();
    // At the fifth chunk for nine, at the tenth for fourteen.
    let chunk = CHUNK_BYTES as u64;
    assert_eq!(asked, [(false, 0), (true, 9 * chunk), (true, 14 * chunk)]);
    assert_eq!(UPLOAD_WINDOW_BYTES, 4 * chunk);

    assert_eq!(put(&fixture, &user, &body).await.status, 201);
    assert_eq!(fixture.node.executed().len(), executed.len() + 2, "one that is declared need not ask");
}

#[tokio::test]
async fn a_body_that_may_not_grow_further_is_refused() {
    let script = Script::execute(|request| {
        Ok(if begun(&request).renew {
            let refused = failure(ErrorCode::TooMuchStored);
            execute_reply::Result::Failure(Failure { retry_after_ms: 60_000, ..refused })
        } else {
            execute_reply::Result::Done(Done {})
        })
    });
    let fixture = Fixture::three(script, |_| {}).await;
    let reply = put_of_unknown_length(&fixture, &User::random(), &body_of(7 * CHUNK_BYTES)).await;
    assert_eq!((reply.status, reply.text().as_str()), (507, ErrorCode::TooMuchStored.text()));
    assert_eq!(reply.header("retry-after").as_deref(), Some("60"));
    assert_not_committed(&fixture);
    assert!(
        fixture.nodes().all(|node| node.disk.offered() as u64 * CHUNK_BYTES as u64 <= UPLOAD_WINDOW_BYTES)
    );
}
