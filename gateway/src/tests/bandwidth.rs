//! The pace of bodies: whose cells are taken, how many, and that they are waited for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::wire::limits::{Exhausted, TakeRequest, Taken, take_reply};
use rowhouse_proto::wire::shard::{
    Bandwidth, BandwidthRate, Done, Entry, Listing, UploadBegun, credential, execute_reply, execute_request,
    query_reply, query_request,
};

use crate::testing::{Fixture, Script, User};

const OBJECT: Bytes = Bytes::from_static(&[5; 16]);
/// Large bodies have no whole number of chunks, and none of KiB.
const LENGTH: usize = CHUNK_BYTES * 3 / 2 + 100;
/// Each question is of 256 KiB.
const RATE: BandwidthRate = BandwidthRate { kib_per_period: 1024, period_ms: 1_000, burst_kib: 1024 };
const SMALL: &[u8] = &[b'x'; 3_000];

/// Answers every read and write; large files are objects.
fn serving() -> Script {
    let mut script = Script::execute(|request| {
        Ok(match request.op {
            Some(execute_request::Op::BeginUpload(_)) => {
                execute_reply::Result::UploadBegun(UploadBegun { lifetime_ms: 60_000 })
            }
            _ => execute_reply::Result::Done(Done {}),
        })
    });
    script = script.and_query(|request| {
        let (body, object, length) = match request.op {
            Some(query_request::Op::ReadEntry(read)) if read.path.ends_with(".mp4") => {
                (Bytes::new(), OBJECT, LENGTH)
            }
            Some(query_request::Op::ReadEntry(_)) => (Bytes::from_static(SMALL), Bytes::new(), SMALL.len()),
            _ => {
                let paths = vec!["/pub/a".to_owned(); 40];
                return Ok(query_reply::Result::Listing(Listing { paths }));
            }
        };
        let entry =
            Entry { hash: vec![7; 32].into(), length: length as u64, body, object, ..Entry::default() };
        Ok(query_reply::Result::Entry(entry))
    });
    script
}

fn rates(user: &User) -> Bandwidth {
    let slow = BandwidthRate { kib_per_period: 512, period_ms: 1_000, burst_kib: 512 };
    Bandwidth { user: user.key.as_bytes().to_vec().into(), read: Some(RATE), write: Some(slow) }
}

async fn three(script: Script) -> Fixture {
    let fixture = Fixture::three(script, |_| {}).await;
    for node in fixture.nodes() {
        node.disk.keep(&OBJECT, &vec![7; LENGTH].into());
    }
    fixture
}

fn taken(fixture: &Fixture) -> Vec<TakeRequest> {
    fixture.nodes().flat_map(|node| node.taken()).collect()
}

fn cells(taken: &[TakeRequest]) -> usize {
    taken.iter().map(|taken| taken.cells as usize).sum()
}

#[tokio::test]
async fn reads_and_writes_take_a_cell_for_each_kib_from_the_bucket_of_their_kind() {
    let fixture = three(serving()).await;
    let user = User::random();
    fixture.node.tell(rates(&user));
    let cookie = [("cookie", user.cookie.as_str())];
    let mut seen = 0;
    let mut since = |what: &str, expected: usize, rate: u32| {
        let all = taken(&fixture);
        let new = &all[seen..];
        assert_eq!(cells(new), expected, "{what}");
        assert!(new.iter().all(|taken| taken.cells_per_period == rate), "{what}");
        assert!(new.iter().all(|taken| taken.group == user.shard() && taken.wait_max_ms > 0), "{what}");
        assert!(new.iter().all(|taken| taken.cells <= rate / 4), "{what}: in pieces");
        assert!(new.windows(2).all(|pair| pair[0].key == pair[1].key), "{what}: one bucket");
        seen = all.len();
        new.first().map(|taken| taken.key.clone())
    };
    for path in ["/pub/a.txt", "/priv/a.txt"] {
        let reply = fixture.client.get(&user.storage(path), &cookie).await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, SMALL), "{path}");
        since(path, 3, 1024);
    }
    let large = fixture.client.get(&user.storage("/pub/a.mp4"), &cookie).await;
    assert_eq!((large.status, large.body.len()), (200, LENGTH));
    assert_eq!(large.header("content-length"), Some(LENGTH.to_string()));
    let read = since("a large file", LENGTH.div_ceil(1024), 1024);
    let listing = fixture.client.get(&user.storage("/pub/"), &cookie).await;
    since("a listing", listing.body.len().div_ceil(1024), 1024);
    let head = fixture.client.send("HEAD", &user.storage("/pub/a.txt"), &cookie, b"").await;
    assert_eq!(head.status, 200);
    since("no body", 0, 1024);

    let put = fixture.client.send("PUT", &user.storage("/pub/a.txt"), &cookie, SMALL).await;
    assert_eq!(put.status, 201);
    let written = since("a small put", 3, 512);
    let put = fixture.client.send("PUT", &user.storage("/pub/a.mp4"), &cookie, &vec![7; LENGTH]).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(since("a large put", LENGTH.div_ceil(1024), 512), written);
    assert_ne!(read, written, "reads and writes are counted apart");
}

#[tokio::test]
async fn users_without_a_rate_ask_nobody() {
    let fixture = three(serving()).await;
    let user = User::random();
    let nothing = Bandwidth { read: None, write: None, ..rates(&user) };
    for told in [false, true] {
        if told {
            fixture.node.tell(nothing.clone());
        }
        let cookie = [("cookie", user.cookie.as_str())];
        for path in ["/pub/a.txt", "/pub/a.mp4", "/pub/"] {
            assert_eq!(fixture.client.get(&user.storage(path), &cookie).await.status, 200, "{path}");
        }
        assert_eq!(fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, SMALL).await.status, 201);
    }
    assert!(taken(&fixture).is_empty());
}

#[tokio::test]
async fn public_reads_name_who_reads_and_without_a_session_the_address_counts() {
    let fixture = Fixture::with(serving(), |config| {
        config.limits.unauthenticated_ip_rate_read = Some("1mb/s".into());
    })
    .await;
    let user = User::random();
    let path = user.storage("/pub/a.txt");
    let reader = |fixture: &Fixture| {
        fixture.node.queried().pop().and_then(|asked| asked.reader).and_then(|reader| reader.kind)
    };
    assert_eq!(fixture.client.get(&path, &[]).await.status, 200);
    assert_eq!(reader(&fixture), None);
    let by_address = taken(&fixture);
    assert_eq!((by_address.len(), cells(&by_address)), (1, 3));

    let bearer = user.authorization.as_str();
    assert_eq!(fixture.client.get(&path, &[("authorization", bearer)]).await.status, 200);
    assert!(matches!(reader(&fixture), Some(credential::Kind::BearerHash(_))));
    assert_eq!(taken(&fixture)[1].key, by_address[0].key, "the shard knows no such session");
    let foreign = user.elsewhere();
    assert_eq!(fixture.client.get(&path, &[("authorization", &foreign.authorization)]).await.status, 200);
    assert_eq!(reader(&fixture), None, "this shard cannot know it");

    fixture.node.tell(Bandwidth { read: None, write: None, ..rates(&user) });
    assert_eq!(fixture.client.get(&path, &[("cookie", &user.cookie)]).await.status, 200);
    assert!(matches!(reader(&fixture), Some(credential::Kind::CookieHash(_))));
    assert_eq!(taken(&fixture).len(), 3, "a session without a rate has none");
}

#[tokio::test]
async fn bodies_wait_for_their_cells() {
    const WAIT: Duration = Duration::from_millis(150);
    let waiting = Script {
        take: Box::new(|_| Ok(take_reply::Result::Taken(Taken { wait_ms: WAIT.as_millis() as u32 }))),
        ..serving()
    };
    let fixture = three(waiting).await;
    let user = User::random();
    fixture.node.tell(rates(&user));
    let cookie = [("cookie", user.cookie.as_str())];
    let large = vec![7; LENGTH];
    for (method, path, body) in
        [("GET", "/pub/a.mp4", &b""[..]), ("PUT", "/pub/a.txt", SMALL), ("PUT", "/pub/a.mp4", &large)]
    {
        let before = taken(&fixture).len();
        let started = Instant::now();
        let reply = fixture.client.send(method, &user.storage(path), &cookie, body).await;
        assert!(reply.status < 300, "{method} {path}: {}", reply.text());
        let asked = u32::try_from(taken(&fixture).len() - before).expect("few");
        assert!(asked > 0, "{method} {path}");
        assert!(started.elapsed() >= asked * WAIT, "{method} {path}");
    }
}

#[tokio::test]
async fn a_pace_outlasts_the_patience_for_slow_clients_and_is_never_a_refusal() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let mut refusals = 0;
    let emptied = Script {
        take: Box::new(move |_| {
            refusals += 1;
            Ok(match refusals % 4 {
                0 => take_reply::Result::Taken(Taken::default()),
                _ => take_reply::Result::Exhausted(Exhausted { retry_after_ms: 150 }),
            })
        }),
        ..serving()
    };
    let leader = crate::testing::FakeNode::start(emptied).await;
    let fixture = Fixture::over(leader, Vec::new(), |config| {
        config.limits.body_timeout_s = PATIENCE;
        config.limits.write_timeout_s = PATIENCE;
    })
    .await;
    fixture.node.disk.keep(&OBJECT, &vec![7; LENGTH].into());
    let user = User::random();
    fixture.node.tell(rates(&user));
    let cookie = [("cookie", user.cookie.as_str())];
    let started = Instant::now();
    let read = fixture.client.get(&user.storage("/pub/a.mp4"), &cookie).await;
    assert_eq!((read.status, read.body.len()), (200, LENGTH));
    assert!(started.elapsed() > 2 * PATIENCE);
    let started = Instant::now();
    let put = fixture.client.send("PUT", &user.storage("/pub/a.mp4"), &cookie, &vec![7; LENGTH]).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert!(started.elapsed() > 2 * PATIENCE);
}
