//! GET of bodies that lie in chunks: whole or in part, whatever becomes of the replicas meanwhile.

use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::wire::shard::{Entry, query_reply};
use rowhouse_proto::{CHUNK_BYTES, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::testing::{Fetching, Fixture, Reply, Script, User};

const OBJECT: Bytes = Bytes::from_static(&[5; 16]);
const LENGTH: usize = CHUNK_BYTES * 7 / 2;

fn body() -> Bytes {
    (0..LENGTH).map(|at| u8::try_from((at * 11 + at / 253) % 256).expect("a byte")).collect()
}

fn entry(length: usize) -> Entry {
    Entry {
        hash: vec![0xAB; 32].into(),
        length: length as u64,
        content_type: "video/mp4".into(),
        modified_ms: 1_445_412_480_000,
        object: OBJECT,
        ..Entry::default()
    }
}

async fn three(length: usize) -> (Fixture, User) {
    let script = Script::query(move |_| Ok(query_reply::Result::Entry(entry(length))));
    (Fixture::three(script, |_| {}).await, User::random())
}

/// The object on the disks of the named nodes, the leader being 0.
async fn kept_on(nodes: &[usize]) -> (Fixture, User) {
    let (fixture, user) = three(LENGTH).await;
    for (_, node) in fixture.nodes().enumerate().filter(|(index, _)| nodes.contains(index)) {
        node.disk.keep(&OBJECT, &body());
    }
    (fixture, user)
}

async fn get(fixture: &Fixture, user: &User, headers: &[(&str, &str)]) -> Reply {
    fixture.client.get(&user.storage("/pub/a.mp4"), headers).await
}

fn asked(fixture: &Fixture) -> Vec<Vec<u32>> {
    fixture.nodes().map(|node| node.disk.asked()).collect()
}

#[tokio::test]
async fn a_large_file_comes_whole_from_the_replica_that_answered() {
    let (fixture, user) = kept_on(&[0, 1, 2]).await;
    let reply = get(&fixture, &user, &[]).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body == body());
    for (name, value) in [
        ("content-length", Some(LENGTH.to_string())),
        ("content-type", Some("video/mp4".to_owned())),
        ("accept-ranges", Some("bytes".to_owned())),
        ("transfer-encoding", None),
        ("content-range", None),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert_eq!(asked(&fixture), [vec![0, 1, 2, 3], vec![], vec![]]);
}

#[tokio::test]
async fn no_chunk_is_fetched_for_an_answer_without_a_body() {
    let (fixture, user) = kept_on(&[0]).await;
    let etag = get(&fixture, &user, &[("range", "bytes=0-0")]).await.header("etag").expect("etag");
    let before = asked(&fixture);
    let head = fixture.client.send("HEAD", &user.storage("/pub/a.mp4"), &[("range", "bytes=0-1")], b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some(LENGTH.to_string())));
    assert_eq!(head.header("accept-ranges").as_deref(), Some("bytes"));
    assert_eq!(get(&fixture, &user, &[("if-none-match", &etag)]).await.status, 304);
    let beyond = get(&fixture, &user, &[("range", &format!("bytes={LENGTH}-"))]).await;
    assert_eq!((beyond.status, beyond.text().as_str()), (416, ""));
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{LENGTH}")));
    assert_eq!(asked(&fixture), before);
}

#[tokio::test]
async fn a_download_goes_on_elsewhere_with_the_same_bytes() {
    for fetching in [
        Fetching::RefuseFrom(1, Code::Unavailable),
        Fetching::RefuseFrom(2, Code::NotFound),
        Fetching::RefuseFrom(0, Code::DataLoss),
        Fetching::ShortenFrom(3),
    ] {
        let (fixture, user) = kept_on(&[0, 2]).await;
        fixture.node.disk.fetching(fetching);
        let reply = get(&fixture, &user, &[]).await;
        assert_eq!(reply.status, 200, "{fetching:?}");
        assert!(reply.body == body(), "{fetching:?}");
    }
}

#[tokio::test]
async fn a_download_outlives_the_replica_that_began_it() {
    let (mut fixture, user) = kept_on(&[1, 2]).await;
    drop(fixture.others.pop());
    let reply = get(&fixture, &user, &[]).await;
    assert!(reply.status == 200 && reply.body == body());
}

#[tokio::test]
async fn a_body_that_nobody_has_is_503() {
    let (fixture, user) = kept_on(&[]).await;
    let reply = get(&fixture, &user, &[]).await;
    assert_eq!((reply.status, reply.text().as_str()), (503, ErrorCode::BodyUnavailable.text()));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.header("etag"), None);
    assert!(asked(&fixture).iter().all(|indices| indices.iter().filter(|index| **index == 0).count() <= 2));
}

#[tokio::test]
async fn a_body_that_gets_lost_midway_breaks_and_is_never_short() {
    let (fixture, user) = kept_on(&[0, 1, 2]).await;
    for node in fixture.nodes() {
        node.disk.fetching(Fetching::RefuseFrom(2, Code::DataLoss));
    }
    let reply = get(&fixture, &user, &[]).await;
    assert_eq!((reply.status, reply.header("content-length")), (200, Some(LENGTH.to_string())));
    assert!(reply.body.len() < LENGTH && body().starts_with(&reply.body), "{}", reply.body.len());
}

#[tokio::test]
async fn ranges_cross_chunk_borders() {
    let (fixture, user) = kept_on(&[0, 1, 2]).await;
    let (whole, chunk) = (body(), CHUNK_BYTES);
    for (range, span) in [
        ("bytes=0-0".to_owned(), 0..1),
        (format!("bytes={}-{}", chunk - 1, chunk), chunk - 1..chunk + 1),
        (format!("bytes={chunk}-{}", 2 * chunk - 1), chunk..2 * chunk),
        (format!("bytes=5-{}", 3 * chunk + 5), 5..3 * chunk + 6),
        ("bytes=-7".to_owned(), LENGTH - 7..LENGTH),
        (format!("bytes={}-", 3 * chunk), 3 * chunk..LENGTH),
        (format!("bytes=0-{}", 2 * LENGTH), 0..LENGTH),
    ] {
        let reply = get(&fixture, &user, &[("range", &range)]).await;
        assert_eq!(reply.status, 206, "{range}");
        assert!(reply.body == whole[span.clone()], "{range}");
        let told = format!("bytes {}-{}/{LENGTH}", span.start, span.end - 1);
        assert_eq!(reply.header("content-range"), Some(told));
        assert_eq!(reply.header("content-length"), Some(span.len().to_string()));
    }
    let before = fixture.node.disk.asked().len();
    get(&fixture, &user, &[("range", &format!("bytes={}-{}", chunk + 1, 2 * chunk))]).await;
    assert_eq!(fixture.node.disk.asked()[before..], [1, 2], "no chunk that is not wanted");
    for (name, value) in [("range", "bytes=0-1,3-4"), ("range", "lines=1-2"), ("range", "bytes=4-3")] {
        let reply = get(&fixture, &user, &[(name, value)]).await;
        assert!(reply.status == 200 && reply.body == whole, "{value}");
    }
}

#[tokio::test]
async fn a_part_of_a_chunk_is_all_that_is_fetched() {
    let (fixture, user) = kept_on(&[0, 1, 2]).await;
    let (whole, chunk) = (body(), CHUNK_BYTES);
    for span in [0..1, chunk - 1..chunk, chunk..chunk + 1, chunk - 1..chunk + 2, LENGTH - 1..LENGTH] {
        let before = fixture.node.disk.sent();
        let range = format!("bytes={}-{}", span.start, span.end - 1);
        let reply = get(&fixture, &user, &[("range", &range)]).await;
        assert!(reply.status == 206 && reply.body == whole[span.clone()], "{range}");
        assert_eq!(fixture.node.disk.sent() - before, span.len(), "{range}");
    }
}

#[tokio::test]
async fn a_node_that_knows_no_parts_is_understood() {
    let (fixture, user) = kept_on(&[0, 1, 2]).await;
    fixture.node.disk.fetching(Fetching::WholeAlways);
    let (whole, chunk) = (body(), CHUNK_BYTES);
    for span in [0..1, chunk - 1..chunk + 2, 5..3 * chunk + 6, LENGTH - 7..LENGTH] {
        let range = format!("bytes={}-{}", span.start, span.end - 1);
        let reply = get(&fixture, &user, &[("range", &range)]).await;
        assert!(reply.status == 206 && reply.body == whole[span], "{range}");
    }
    assert!(asked(&fixture)[1..].iter().all(Vec::is_empty), "its answers were good");
    // A part that is too short is no part.
    fixture.node.disk.fetching(Fetching::ShortenFrom(0));
    let reply = get(&fixture, &user, &[("range", "bytes=3-9")]).await;
    assert!(reply.status == 206 && reply.body == whole[3..10]);
    assert_eq!(asked(&fixture)[1], [0]);
}

#[tokio::test]
async fn one_bad_range_spoils_no_good_one_and_many_cost_nothing() {
    let (fixture, user) = kept_on(&[0, 1, 2]).await;
    for range in [format!("bytes={LENGTH}-,0-1"), "bytes=,0-1".into(), "bytes=0-1,".into()] {
        let reply = get(&fixture, &user, &[("range", &range)]).await;
        assert!(reply.status == 206 && reply.body == body()[..2], "{range}");
        assert_eq!(reply.header("content-range"), Some(format!("bytes 0-1/{LENGTH}")), "{range}");
    }
    let before = fixture.node.disk.sent();
    let reply = get(&fixture, &user, &[("range", &format!("bytes={}", "0-,".repeat(1_000)))]).await;
    assert!(reply.status == 200 && reply.body == body());
    assert_eq!(fixture.node.disk.sent() - before, LENGTH, "once");
}

#[tokio::test]
async fn nothing_of_an_empty_file_can_be_had() {
    let empty = Entry { object: Bytes::new(), ..entry(0) };
    let script = Script::query(move |_| Ok(query_reply::Result::Entry(empty.clone())));
    let (fixture, user) = (Fixture::start(script).await, User::random());
    let etag = get(&fixture, &user, &[]).await.header("etag").expect("etag");
    for (range, status) in [("bytes=0-", 416), ("bytes=0-0", 416), ("bytes=-5", 200), ("bytes=-0", 416)] {
        for condition in [None, Some(("if-range", etag.as_str()))] {
            let headers: Vec<_> = std::iter::once(("range", range)).chain(condition).collect();
            let reply = get(&fixture, &user, &headers).await;
            assert_eq!((reply.status, reply.text().as_str()), (status, ""), "{range}");
            let told = (status == 416).then(|| "bytes */0".to_owned());
            assert_eq!(reply.header("content-range"), told, "{range}");
        }
        let head = fixture.client.send("HEAD", &user.storage("/pub/a"), &[("range", range)], b"").await;
        assert_eq!((head.status, head.header("content-length").as_deref()), (200, Some("0")));
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_stops_the_fetching() {
    const CHUNKS: u32 = 256;
    let (fixture, user) = three(CHUNKS as usize * CHUNK_BYTES).await;
    let chunk = Bytes::from(vec![7; CHUNK_BYTES]);
    for index in 0..CHUNKS {
        fixture.node.disk.keep_chunk(&OBJECT, index, chunk.clone());
    }
    let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", user.storage("/pub/a"));
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut start = [0; 1024];
    stream.read_exact(&mut start).await.expect("served");
    let count = || fixture.node.disk.asked().len();
    let mut before = 0;
    while count() > before {
        before = count();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(before < CHUNKS as usize / 4, "{before} chunks for a client that reads nothing");
}
