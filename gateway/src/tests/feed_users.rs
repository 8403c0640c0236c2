//! Event streams of users that end: bytes, parameters, refusals, and what shards are asked.

use std::time::Duration;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{EventRecord, ListEvents, query_reply, query_request};

use crate::testing::{Fixture, OpenStream, Reply, Script, User, UserEvents, dechunked, failure, ids};

const VARY: &str = "pubky-host, Authorization, Cookie | origin, access-control-request-method, access-control-request-headers";

async fn start(events: &UserEvents) -> Fixture {
    Fixture::start(events.script()).await
}

/// A user, and others of two more shards.
fn users(events: &UserEvents) -> [User; 3] {
    let first = User::random();
    let second = first.elsewhere();
    let third =
        (0..10_000).map(|_| first.elsewhere()).find(|it| it.shard() != second.shard()).expect("16 shards");
    let users = [first, second, third];
    users.iter().for_each(|user| events.add(user));
    users
}

fn body_of(reply: &Reply) -> String {
    let body = match reply.header("transfer-encoding") {
        Some(_) => dechunked(&reply.body).expect("whole"),
        None => reply.body.clone(),
    };
    String::from_utf8(body).expect("text")
}

fn cursors(reply: &Reply) -> Vec<u64> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = body_of(reply);
    body.lines()
        .filter_map(|line| line.strip_prefix("data: cursor: "))
        .map(|id| id.parse().expect("an id"))
        .collect()
}

fn asked(fixture: &Fixture) -> Vec<ListEvents> {
    let of = |op| match op {
        Some(query_request::Op::ListEvents(asked)) => asked,
        other => panic!("{other:?}"),
    };
    fixture.node.queried().into_iter().map(|request| of(request.op)).collect()
}

#[tokio::test]
async fn a_stream_has_these_bytes_and_headers() {
    let events = UserEvents::default();
    let [user, ..] = users(&events);
    let (put, delete) = (events.write(&user, "/pub/a b"), events.write(&user, "-/pub/a b"));
    let fixture = start(&events).await;
    let path = format!("/events-stream?user={}", user.z32);
    let zipped = [("accept-encoding", "gzip, br, deflate, zstd")];
    let reply = fixture.client.get(&path, &zipped).await;
    let z32 = &user.z32;
    let expected = format!(
        "event: PUT\ndata: pubky://{z32}/pub/a b\ndata: cursor: {}\n\
         data: content_hash: q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n\n\
         event: DEL\ndata: pubky://{z32}/pub/a b\ndata: cursor: {}\n\n",
        put.id, delete.id
    );
    assert_eq!((reply.status, body_of(&reply)), (200, expected));
    for (name, value) in [
        ("content-type", Some("text/event-stream")),
        ("cache-control", Some("no-store")),
        ("vary", Some(VARY)),
        ("content-encoding", None),
    ] {
        assert_eq!(reply.header(name).as_deref(), value, "{name}");
    }
}

#[tokio::test]
async fn an_empty_batch_of_one_user_is_one_question_whatever_is_presented() {
    let events = UserEvents::default();
    let [user, ..] = users(&events);
    let last = events.write(&user, "/pub/a");
    let fixture = start(&events).await;
    let headers = [("authorization", user.authorization.as_str()), ("cookie", user.cookie.as_str())];
    let path = format!("/events-stream?user={}:{}&limit=50&path=/pub/", user.z32, last.id);
    let reply = fixture.client.get(&path, &headers).await;
    assert_eq!((reply.status, body_of(&reply).as_str()), (200, ""));
    let asked = asked(&fixture);
    let [only] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((only.limit, only.after, only.reverse, &only.credential), (50, 0, false, &None));
    assert_eq!(only.paths, ["/pub/"]);
    assert_eq!((only.users.len(), only.users[0].after), (1, last.id));
    assert_eq!(only.users[0].user, user.key.as_bytes().as_slice());
}

#[tokio::test]
async fn refusals_have_their_texts_and_are_never_cached() {
    let events = UserEvents::default();
    let [user, ..] = users(&events);
    let fixture = start(&events).await;
    let key = &user.z32;
    let many = format!("user={key}&").repeat(51);
    for (query, status, text) in [
        (String::new(), 400, "user parameter is required"),
        (many, 400, "Too many users. Maximum allowed: 50"),
        (format!("user=pubky{key}"), 400, &*format!("Invalid public key: pubky{key}")),
        (format!("user={key}&limit=x"), 400, "Invalid limit: x"),
        (format!("user={key}&limit=0"), 400, "limit must be at least 1"),
        (format!("user={key}&live=true&reverse=1"), 400, "Cannot use live mode with reverse ordering"),
        (format!("user={key}&path=../a"), 400, "Invalid path: /../a"),
        (format!("user={key}&path=/"), 403, ErrorCode::ReadOutsideRoots.text()),
        (format!("user={key}&path=/pub"), 403, ErrorCode::ReadOutsideRoots.text()),
        (format!("user={key}:x&path=/priv/"), 401, ErrorCode::ReadNeedsAuth.text()),
        (format!("user={key}:"), 400, "Invalid cursor: "),
        (format!("user={key}:a%0Acursor:%205"), 400, "Invalid cursor: a cursor: 5"),
        (format!("user={}", User::random().z32), 404, "Not Found"),
    ] {
        let reply = fixture.client.get(&format!("/events-stream?{query}"), &[]).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{query}");
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"), "{query}");
        assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"), "{query}");
        assert_eq!(reply.header("vary").as_deref(), Some(VARY), "{query}");
    }
    for method in ["HEAD", "POST", "DELETE"] {
        let reply = fixture.client.send(method, "/events-stream", &[], b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (405, ""), "{method}");
        assert_eq!(reply.header("allow").as_deref(), Some("GET"), "{method}");
    }
}

#[tokio::test]
async fn the_first_user_or_cursor_that_is_wrong_is_told() {
    let events = UserEvents::default();
    let [one, two, three] = users(&events).map(|user| user.z32);
    let nobody = User::random().z32;
    let fixture = start(&events).await;
    for (query, status, text) in [
        (format!("user={one}&user={nobody}&user={two}:x"), 404, "Not Found"),
        (format!("user={one}&user={two}:x&user={nobody}"), 400, "Invalid cursor: x"),
        (format!("user={one}:x&user={two}:y&user={nobody}"), 400, "Invalid cursor: x"),
        (format!("user={nobody}:x"), 404, "Not Found"),
        (format!("user={one}:1:2"), 400, "Invalid cursor: 1:2"),
        (format!("user={one}&user={two}:7&user={three}&live=1&user={nobody}"), 404, "Not Found"),
    ] {
        let reply = fixture.client.get(&format!("/events-stream?{query}"), &[]).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{query}");
    }
}

#[tokio::test]
async fn a_shard_that_cannot_answer_is_503_and_never_404() {
    let events = UserEvents::default();
    let [here, absent, _] = users(&events);
    let nobody = User::random();
    let fixture = Fixture::with(events.script(), |config| {
        config.limits.retry_timeout_s = Duration::from_millis(300);
    })
    .await;
    for code in [ErrorCode::Unavailable, ErrorCode::NotLeader, ErrorCode::Overloaded, ErrorCode::WrongReplica]
    {
        for user in [&absent, &nobody] {
            events.refuse(user.shard(), Some(code));
            for query in ["", ":x", ":0&live=true"] {
                let path = format!("/events-stream?user={}{query}", user.z32);
                let reply = fixture.client.get(&path, &[]).await;
                assert_eq!(reply.status, 503, "{code:?} {query}");
                assert_eq!(reply.header("retry-after").as_deref(), Some("1"), "{code:?}");
                assert_eq!(reply.text().lines().count(), 1, "{}", reply.text());
            }
            events.refuse(user.shard(), None);
        }
    }
    let path = format!("/events-stream?user={}&user={}", here.z32, absent.z32);
    assert_eq!(fixture.client.get(&path, &[]).await.status, 200, "it was no more than that");
}

#[tokio::test]
async fn pages_of_all_shards_are_one_sequence_either_way() {
    let events = UserEvents::default();
    let users = users(&events);
    let mut written: Vec<u64> = Vec::new();
    for round in 0..150 {
        for (user, every) in users.iter().zip([1, 2, 50]) {
            if round % every == 0 {
                written.push(events.write(user, &format!("/pub/{round}")).id);
            }
        }
    }
    let fixture = start(&events).await;
    let query: String = users.iter().map(|user| format!("&user={}", user.z32)).collect();
    let get =
        async |more: &str| cursors(&fixture.client.get(&format!("/events-stream?{query}{more}"), &[]).await);
    assert_eq!(get("").await, written);
    for limit in [1, 99, 100, 101, 227, 228, 229] {
        let expected: Vec<u64> = written.iter().copied().take(limit).collect();
        assert_eq!(get(&format!("&limit={limit}")).await, expected, "{limit}");
    }
    written.reverse();
    assert_eq!(get("&reverse=true").await, written);
    assert_eq!(get("&reverse=true&limit=101").await, written[..101]);
    let asked = asked(&fixture);
    assert!(asked.iter().all(|asked| (1..=100).contains(&asked.limit)), "pages of 100 rows at most");
}

#[tokio::test]
async fn each_user_has_a_cursor_and_the_last_one_counts() {
    let events = UserEvents::default();
    let [one, two, _] = users(&events);
    let of_one: Vec<u64> = (0..5).map(|at| events.write(&one, &format!("/pub/{at}")).id).collect();
    let of_two: Vec<u64> = (0..5).map(|at| events.write(&two, &format!("/pub/{at}")).id).collect();
    let fixture = start(&events).await;
    let get =
        async |query: String| cursors(&fixture.client.get(&format!("/events-stream?{query}"), &[]).await);
    let (one, two) = (one.z32, two.z32);
    let both = get(format!("user={one}:{}&user={two}:{}", of_one[1], of_two[3])).await;
    assert_eq!(both, [of_one[2], of_one[3], of_one[4], of_two[4]]);
    let twice = format!("user={one}:{}&user={two}:{}&user={one}:{}", of_one[0], of_two[4], of_one[3]);
    assert_eq!(get(twice).await, of_one[4..]);
    let below = get(format!("reverse=1&user={one}:{}&user={two}:{}", of_one[1], of_two[0])).await;
    assert_eq!(below, of_one[..1]);
}

#[tokio::test]
async fn cursors_survive_a_double_and_every_number_is_one() {
    let events = UserEvents::default();
    let [user, ..] = users(&events);
    let newest = events.write(&user, "/pub/a").id;
    let fixture = start(&events).await;
    let get = async |query: String| {
        cursors(&fixture.client.get(&format!("/events-stream?user={}:{query}", user.z32), &[]).await)
    };
    let none: [u64; 0] = [];
    // As an indexer keeps it, which knows doubles only.
    assert_eq!(get(format!("{}", newest as f64 as u64)).await, none);
    for above in [(1 << 53) - 1, 1 << 53, i64::MAX as u64, u64::MAX] {
        assert_eq!(get(above.to_string()).await, none, "{above}");
        assert_eq!(get(format!("{above}&reverse=1")).await, [newest], "{above}");
    }
    for below in ["0", "1", "%2B1", "0000000000001"] {
        assert_eq!(get(below.to_owned()).await, [newest], "{below}");
        assert_eq!(get(format!("{below}&reverse=1")).await, none, "{below}: nothing is below it");
    }
}

#[tokio::test]
async fn filters_reach_the_shard_as_they_were_written() {
    let events = UserEvents::default();
    let [user, ..] = users(&events);
    let written: Vec<EventRecord> = ["/pub/a_b/x", "/pub/axb/x", "/pub/a%b", "/pub/a_b", "/priv/a_b/x"]
        .map(|path| events.write(&user, path))
        .to_vec();
    let fixture = start(&events).await;
    for (filter, found) in [
        ("", &[0, 1, 2, 3][..]),
        ("&path=/pub/a_b/", &[0]),
        ("&path=pub/a_b", &[3]),
        ("&path=/pub/a%25b&path=&path=/pub/x/../a_b/", &[0, 2]),
        ("&path=/pub/a_", &[]),
    ] {
        let reply = fixture.client.get(&format!("/events-stream?user={}{filter}", user.z32), &[]).await;
        let expected: Vec<u64> = found.iter().map(|at| written[*at].id).collect();
        assert_eq!(cursors(&reply), expected, "{filter}");
    }
    let paths: Vec<Vec<String>> = asked(&fixture).into_iter().map(|asked| asked.paths).collect();
    assert_eq!(paths[0], ["/pub/"]);
    assert_eq!(paths[2], ["/pub/a_b"]);
    assert_eq!(paths[3], ["/pub/a%b", "/pub/a_b/"]);
}

#[tokio::test]
async fn an_error_in_mid_history_breaks_the_body() {
    let user = User::random();
    let key = user.key.as_bytes().to_vec();
    let mut pages = 0;
    let script = Script::query(move |request| {
        let Some(query_request::Op::ListEvents(asked)) = request.op else { panic!("{request:?}") };
        pages += 1;
        if pages > 2 {
            return Ok(query_reply::Result::Failure(failure(ErrorCode::Overloaded)));
        }
        let first = ids().tick_of(asked.after) + 1;
        let event = |tick| EventRecord {
            id: ids().id(tick, request.group),
            deleted: true,
            user: key.clone().into(),
            path: "/pub/a".into(),
            ..EventRecord::default()
        };
        let events: Vec<EventRecord> = (first..first + u64::from(asked.limit)).map(event).collect();
        let reached = events.last().map_or(0, |event| event.id);
        Ok(query_reply::Result::EventPage(rowhouse_proto::wire::shard::EventPage { events, reached }))
    });
    let fixture = Fixture::start(script).await;
    let path = format!("/events-stream?user={}", user.z32);
    let mut open = OpenStream::get(fixture.gateway.http_address(), &path, &[]).await;
    assert!(!open.ends_properly().await, "it looks complete: {}", open.text());
    assert_eq!(open.cursors().len(), 200, "what was read before was sent");
}

#[tokio::test]
async fn private_paths_need_the_one_users_session() {
    let events = UserEvents::default();
    let [user, other, _] = users(&events);
    let (private, public) = (events.write(&user, "/priv/a/x").id, events.write(&user, "/pub/x").id);
    events.write(&user, "/priv/b/x");
    let fixture = start(&events).await;
    let (key, cookie) = (&user.z32, ("cookie", user.cookie.as_str()));
    let bearer = ("authorization", user.authorization.as_str());
    let (foreign, foreign_cookie) =
        (("authorization", other.authorization.as_str()), ("cookie", &*other.cookie));
    let stolen = format!("{}={}", key, other.secret.as_str());
    let junk = ("authorization", "Bearer x");
    let basic = ("authorization", "Basic YTpi");
    let host = ("host", other.z32.as_str());
    let one = format!("user={key}&path=/priv/a/");
    let two = format!("user={key}&user={}&path=/priv/a/", other.z32);
    let twice = format!("user={key}&user={key}&path=/pub/&path=/priv/a/");
    let found = |reply: &Reply| if reply.status == 200 { cursors(reply) } else { Vec::new() };
    for (query, headers, status, text) in [
        (&one, vec![], 401, ErrorCode::ReadNeedsAuth.text()),
        (&one, vec![cookie], 200, ""),
        (&one, vec![cookie, basic], 200, ""),
        (&one, vec![cookie, host], 200, ""),
        (&one, vec![bearer], 200, ""),
        (&one, vec![cookie, junk], 401, ErrorCode::ReadNeedsAuth.text()),
        (&one, vec![foreign], 403, ErrorCode::TenantMismatch.text()),
        (&one, vec![foreign, cookie], 403, ErrorCode::TenantMismatch.text()),
        (&one, vec![foreign_cookie], 401, ErrorCode::ReadNeedsAuth.text()),
        (&one, vec![foreign_cookie, host], 403, ErrorCode::TenantMismatch.text()),
        (&one, vec![("cookie", stolen.as_str())], 401, ErrorCode::ReadNeedsAuth.text()),
        (&two, vec![], 401, ErrorCode::ReadNeedsAuth.text()),
        (&two, vec![bearer], 403, "A private read must be scoped to exactly one user"),
        (&twice, vec![bearer], 403, "A private read must be scoped to exactly one user"),
        (&format!("user={}&path=/priv/a/", User::random().z32), vec![], 401, ErrorCode::ReadNeedsAuth.text()),
        (&format!("{one}&path=/other/"), vec![bearer], 403, ErrorCode::ReadOutsideRoots.text()),
        (&format!("user={key}:x&path=/priv/a/"), vec![bearer], 400, "Invalid cursor: x"),
    ] {
        let reply = fixture.client.get(&format!("/events-stream?{query}"), &headers).await;
        assert_eq!(reply.status, status, "{query} {headers:?}: {}", reply.text());
        if status == 200 {
            assert_eq!(found(&reply), [private], "{query} {headers:?}");
        } else {
            assert_eq!(reply.text(), text, "{query} {headers:?}");
            assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
        }
    }
    let union = fixture.client.get(&format!("/events-stream?{one}&path=/pub/"), &[cookie]).await;
    assert_eq!(cursors(&union), [private, public]);
    let open = fixture.client.get(&format!("/events-stream?user={key}"), &[cookie]).await;
    assert_eq!(cursors(&open), [public], "private events are asked for by their paths");
}
