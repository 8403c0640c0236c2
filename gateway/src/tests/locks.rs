//! Conditions and locks on their way to the shard: what it is told, in which message, and how long a write holds on.

use std::time::Duration;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{LockRefreshed, execute_reply, execute_request::Op};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::etag::etag;
use crate::testing::{Fixture, Script, User, failure};

const TOKEN: &str = "opaquelocktoken:00000000-0000-4000-8000-000000000001";
/// Larger than what travels in the log.
const LARGE: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn ops(fixture: &Fixture) -> Vec<Op> {
    fixture.node.executed().into_iter().filter_map(|request| request.op).collect()
}

/// Nodes that do not know conditions must not take the message for one without them.
#[tokio::test]
async fn conditions_travel_in_messages_of_their_own() {
    let fixture = Fixture::three(Script::default(), |_| {}).await;
    let (user, tag) = (User::random(), etag(&[7; 32]));
    let path = user.storage("/pub/a");
    let with = [("cookie", user.cookie.as_str()), ("if-match", tag.as_str())];
    for headers in [&with[..], &with[..1]] {
        for (method, body) in [("PUT", b"x".to_vec()), ("PUT", vec![1; LARGE]), ("DELETE", Vec::new())] {
            assert!(fixture.client.send(method, &path, headers, &body).await.status < 300, "{method}");
        }
    }
    let ops = ops(&fixture);
    let (conditional, plain) = ops.split_at(ops.len() / 2);
    for op in conditional {
        let conditions = match op {
            Op::PutEntryIf(put) => &put.conditions,
            Op::BeginUploadIf(begin) => &begin.conditions,
            Op::DeleteEntryIf(delete) => &delete.conditions,
            other => panic!("{other:?}"),
        };
        let tags = conditions.as_ref().and_then(|conditions| conditions.if_match.clone());
        assert_eq!(tags.map(|tags| tags.hashes), Some(vec![vec![7; 32].into()]));
    }
    assert_eq!((conditional.len(), plain.len()), (4, 4));
    let are_plain = plain.iter().all(|op| match op {
        Op::PutEntry(put) => put.conditions.is_none(),
        Op::BeginUpload(begin) => begin.conditions.is_none(),
        Op::DeleteEntry(delete) => delete.conditions.is_none(),
        _ => false,
    });
    assert!(are_plain, "{plain:?}");
}

#[tokio::test]
async fn flaws_of_a_lock_are_left_to_the_shard_that_judges_its_author_first() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let path = user.storage("/pub/a");
    let cookie = ("cookie", user.cookie.as_str());
    for (method, header, body, flaw) in [
        ("LOCK", cookie, &b""[..], None),
        ("LOCK", cookie, b"<shared/>", Some(ErrorCode::UnsupportedLock)),
        ("UNLOCK", ("lock-token", TOKEN), b"", None),
        ("UNLOCK", ("lock-token", "x"), b"", Some(ErrorCode::InvalidLockToken)),
        ("UNLOCK", ("lock-token", "<opaquelocktoken:x>"), b"", Some(ErrorCode::NoSuchLock)),
    ] {
        fixture.client.send(method, &path, &[cookie, header], body).await;
        let (token, told) = match ops(&fixture).pop() {
            Some(Op::LockEntry(lock)) => (lock.token, lock.flaw),
            Some(Op::UnlockEntry(unlock)) => (unlock.token, unlock.flaw),
            other => panic!("{other:?}"),
        };
        assert_eq!(told, flaw.map_or(0, ErrorCode::number), "{method} {header:?}");
        assert_eq!(token.len(), if flaw.is_some() { 0 } else { 16 });
    }
}

#[tokio::test]
async fn a_write_holds_its_lock_while_a_small_body_comes_and_ends_when_it_is_lost() {
    let fixture = Fixture::start(Script::execute(|request| {
        Ok(match request.op {
            Some(Op::RefreshLock(_)) => execute_reply::Result::LockRefreshed(LockRefreshed::default()),
            _ => execute_reply::Result::Done(Default::default()),
        })
    }))
    .await;
    let user = User::random();
    let mut stream = slow_put(&fixture, &user).await;
    refreshed(&fixture).await;
    stream.write_all(b"rest").await.expect("sent");
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 201"), "the body came");
    let [.., Op::RefreshLock(refresh), Op::PutEntryIf(put)] = &ops(&fixture)[..] else { panic!("in turn") };
    assert!(refresh.extend && refresh.timeout_s == 30);
    assert_eq!(refresh.held, put.conditions.as_ref().and_then(|conditions| conditions.held.clone()));

    let lost = |_: &_| Ok(execute_reply::Result::Failure(failure(ErrorCode::LockTokenMismatch)));
    fixture.node.script(Script::execute(move |request| lost(&request)));
    let mut stream = slow_put(&fixture, &user).await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 412"), "no more of the body is needed");
}

/// A PUT under a lock, of whose body a half has come.
async fn slow_put(fixture: &Fixture, user: &User) -> TcpStream {
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: {}\r\nif: (<{TOKEN}>)\r\ncontent-length: 8\r\n\r\nhalf",
        user.storage("/pub/a"),
        user.cookie
    );
    let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

async fn refreshed(fixture: &Fixture) {
    let is_asked = async {
        while !ops(fixture).iter().any(|op| matches!(op, Op::RefreshLock(_))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_asked).await.expect("the lock is extended");
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer").expect("read");
    String::from_utf8_lossy(&answer).into_owned()
}
