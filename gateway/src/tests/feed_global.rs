//! The feed over all shards, as indexers poll it: exact bytes, and nothing missing, doubled or too early.

use futures::future::join_all;
use rowhouse_proto::domain::event::EVENT_EPOCH_MS;
use rowhouse_proto::wire::shard::EventRecord;

use crate::testing::{FakeNode, Fixture, Reply, SHARDS, Script, User, ids};

/// Ticks of tests count from here.
const START_US: u64 = EVENT_EPOCH_MS * 1000 + 1_000_000_000;

fn tick(n: u64) -> u64 {
    ids().tick(START_US) + n
}

fn event(user: &User, n: u64, path: &str) -> EventRecord {
    EventRecord {
        id: ids().id(tick(n), user.shard()),
        deleted: false,
        user: user.key.as_bytes().to_vec().into(),
        path: path.into(),
        hash: vec![1; 32].into(),
    }
}

fn line(user: &User, path: &str) -> String {
    format!("PUT pubky://{}{path}", user.z32)
}

/// Writes an event of a user on all nodes and acknowledges it. The id.
fn write(fixture: &Fixture, user: &User, n: u64, path: &str) -> u64 {
    let event = event(user, n, path);
    for node in fixture.nodes() {
        node.feed.append(event.clone());
    }
    event.id
}

async fn poll(fixture: &Fixture, query: &str) -> Reply {
    fixture.client.get(&format!("/events/{query}"), &[]).await
}

/// Indexers take such a body for events, or a cursor, without looking at the status.
fn assert_is_one_harmless_line(reply: &Reply) {
    let body = reply.text();
    assert!(!body.is_empty() && !body.contains(['\n', '\r', '<']), "{body:?}");
    assert!(!["cursor: ", "PUT ", "DEL "].iter().any(|start| body.starts_with(start)), "{body:?}");
}

/// 503 with a time to come back.
fn assert_is_unavailable(reply: &Reply) {
    assert_eq!((reply.status, reply.text().as_str()), (503, "The shard is unavailable, retry later"));
    assert_eq!(reply.header("retry-after").as_deref(), Some("1"));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_is_one_harmless_line(reply);
}

/// Three nodes that have all replicas, of which each leads every third.
async fn three() -> Fixture {
    let fixture = Fixture::three(Script::default(), |_| {}).await;
    for (index, node) in (0..).zip(fixture.nodes()) {
        node.feed.leads((0..SHARDS).filter(|shard| shard % 3 == index));
    }
    fixture
}

#[tokio::test]
async fn a_page_is_lines_in_the_order_of_ids_and_the_cursor_of_the_last() {
    let fixture = three().await;
    let user = User::random();
    let other = user.elsewhere();
    write(&fixture, &user, 1, "/pub/a b");
    write(&fixture, &other, 2, "/pub/ü%20");
    write(&fixture, &user, 3, "/priv/secret");
    let gone = EventRecord { deleted: true, hash: Default::default(), ..event(&user, 4, "/pub/a b") };
    fixture.nodes().for_each(|node| node.feed.append(gone.clone()));
    let reply = poll(&fixture, "").await;
    let [first, second] = [line(&user, "/pub/a b"), line(&other, "/pub/ü%20")];
    let deleted = format!("DEL pubky://{}/pub/a b", user.z32);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), format!("{first}\n{second}\n{deleted}\ncursor: {}", gone.id));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain"));
    assert_eq!(reply.header("cache-control"), None);
    for query in ["?cursor=0", "?cursor=", "?limit=junk", "?limit=65536", "?reverse=true&shallow=1"] {
        assert_eq!(poll(&fixture, query).await.text(), reply.text(), "{query}");
    }
    let last = event(&other, 2, "").id;
    for (query, body) in [
        ("?limit=2".to_owned(), format!("{first}\n{second}\ncursor: {last}")),
        (format!("?cursor={last}"), format!("{deleted}\ncursor: {}", gone.id)),
        (format!("?cursor=pubky%3A%2F%2F{last}"), format!("{deleted}\ncursor: {}", gone.id)),
        (format!("?cursor={}", gone.id), String::new()),
        ("?limit=0".to_owned(), String::new()),
        (format!("?cursor={}", u64::MAX), String::new()),
    ] {
        let reply = poll(&fixture, &query).await;
        assert_eq!((reply.status, reply.text()), (200, body), "{query}");
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain"), "{query}");
    }
    let head = fixture.client.send("HEAD", "/events/", &[], b"").await;
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    assert_eq!(head.header("content-length"), reply.header("content-length"));
    assert_eq!(fixture.client.send("POST", "/events/", &[], b"").await.status, 405);
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said_in_one_line() {
    let fixture = three().await;
    for query in ["?reverse=maybe", "?shallow=2", "?shallow=2&cursor=abc"] {
        let reply = poll(&fixture, query).await;
        assert_eq!((reply.status, reply.text().as_str()), (400, "Invalid boolean parameter"), "{query}");
        assert_eq!(reply.header("content-type"), None, "{query}");
    }
    // Also with a limit of nothing.
    for cursor in
        ["abc", "-1", "1.0", "18446744073709551616", "pubky%3A%2F%2F", "%205", "cursor%3A%201&limit=0"]
    {
        let reply = poll(&fixture, &format!("?cursor={cursor}")).await;
        assert_eq!((reply.status, reply.text().as_str()), (400, "Invalid cursor"), "{cursor}");
        assert_is_one_harmless_line(&reply);
    }
}

#[tokio::test]
async fn cursors_of_another_homeserver_begin_at_the_first_event() {
    let fixture = three().await;
    let user = User::random();
    let id = write(&fixture, &user, 1, "/pub/a");
    for cursor in ["0", "1", "2", "3", "0000000000000", "0000000000003", "%2B3"] {
        let reply = poll(&fixture, &format!("?cursor={cursor}")).await;
        assert_eq!(reply.text(), format!("{}\ncursor: {id}", line(&user, "/pub/a")), "{cursor}");
    }
}

#[tokio::test]
async fn an_old_cursor_is_the_exact_time_of_an_event() {
    use pubky_common::timestamp::Timestamp;
    let fixture = three().await;
    let user = User::random();
    write(&fixture, &user, 0, "/priv/a");
    let next = write(&fixture, &user, 1, "/pub/b");
    let cursor = |unix_us: u64| format!("?cursor={}", Timestamp::from(unix_us));
    let after = format!("{}\ncursor: {next}", line(&user, "/pub/b"));
    for query in [cursor(START_US), cursor(START_US).to_lowercase()] {
        assert_eq!(poll(&fixture, &query).await.text(), after, "{query}");
    }
    let none_at = [
        START_US - 1_000,
        START_US + 1_000,
        EVENT_EPOCH_MS * 1000,
        EVENT_EPOCH_MS * 1000 - 1,
        START_US + 50 * 365 * 86_400_000_000,
        u64::MAX,
        0,
    ];
    let wrong = none_at.map(cursor).into_iter().filter(|query| query != "?cursor=0000000000000");
    // Of a wrong length, and not of the alphabet.
    let wrong = wrong
        .chain(["000064CZ6H40", "000064CZ6H4000", "000064CZ6H40U"].map(|text| format!("?cursor={text}")));
    for query in wrong {
        let reply = poll(&fixture, &query).await;
        assert_eq!((reply.status, reply.text().as_str()), (400, "Invalid cursor"), "{query}");
    }
}

#[tokio::test]
async fn an_acknowledged_event_is_in_the_page() {
    let fixture = three().await;
    let user = User::random();
    let users = [&user, &user.elsewhere(), &user.elsewhere()];
    let mut cursor = 0;
    for (n, user) in (1..=24).zip(users.iter().cycle()) {
        let path = format!("/pub/{n}");
        let id = write(&fixture, user, n, &path);
        let reply = poll(&fixture, &format!("?cursor={cursor}")).await;
        assert_eq!(reply.text(), format!("{}\ncursor: {id}", line(user, &path)));
        cursor = id;
    }
}

#[tokio::test]
async fn a_page_without_public_events_is_empty_and_moves_no_cursor() {
    let fixture = three().await;
    let user = User::random();
    let other = user.elsewhere();
    let known = write(&fixture, &user, 1, "/pub/a");
    for n in 2..52 {
        write(&fixture, if n % 2 == 0 { &user } else { &other }, n, "/priv/a");
    }
    for node in fixture.nodes() {
        node.feed.looks_at(7);
    }
    let query = format!("?cursor={known}&limit=1000");
    let reply = poll(&fixture, &query).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain"));
    let id = write(&fixture, &other, 52, "/pub/b");
    assert_eq!(poll(&fixture, &query).await.text(), format!("{}\ncursor: {id}", line(&other, "/pub/b")));
}

#[tokio::test]
async fn a_shard_that_nobody_answers_for_is_503_and_never_an_older_page() {
    let fixture = three().await;
    let user = User::random();
    let other = user.elsewhere();
    write(&fixture, &user, 1, "/pub/a");
    let last = write(&fixture, &other, 2, "/pub/b");
    let all = poll(&fixture, "?limit=2").await.text();
    fixture.nodes().for_each(|node| node.feed.leads((0..SHARDS).filter(|shard| *shard != user.shard())));
    for query in ["", "?cursor=1", &format!("?cursor={last}"), "?limit=3"] {
        assert_is_unavailable(&poll(&fixture, query).await);
    }
    // What is below the frontier is whole, whatever became of the shard.
    assert_eq!(poll(&fixture, "?limit=2").await.text(), all);
    fixture.node.feed.leads(0..SHARDS);
    assert_eq!(poll(&fixture, "").await.text(), all, "it is back");
}

#[tokio::test]
async fn nothing_above_the_frontier_is_emitted() {
    let fixture = three().await;
    let user = User::random();
    let other = user.elsewhere();
    write(&fixture, &user, 1, "/pub/a");
    let frontier = write(&fixture, &other, 2, "/pub/b");
    let page = poll(&fixture, "").await.text();
    assert!(page.ends_with(&format!("\ncursor: {frontier}")));
    // One shard stands still while the other goes on.
    fixture.nodes().for_each(|node| node.feed.leads([other.shard()]));
    for n in 10..20 {
        write(&fixture, &other, n, "/pub/later");
    }
    assert_eq!(poll(&fixture, "?limit=2").await.text(), page);
    assert_is_unavailable(&poll(&fixture, "?limit=3").await);
    assert_is_unavailable(&poll(&fixture, &format!("?cursor={frontier}")).await);
    let ends: Vec<u64> =
        fixture.nodes().flat_map(|node| node.feed.reads()).map(|read| read.tick_max).collect();
    assert!(!ends.is_empty() && ends.iter().all(|end| *end <= tick(2)), "{ends:?}");
}

#[tokio::test]
async fn polling_an_idle_cluster_closes_and_reads_nothing() {
    let fixture = three().await;
    let asked = |node: &FakeNode| (node.feed.clocks().len(), node.feed.reads().len());
    // Of a cluster that was never written to.
    assert_eq!(poll(&fixture, "").await.text(), "");
    assert!(fixture.nodes().all(|node| asked(node) == (1, 0)));
    let user = User::random();
    let id = write(&fixture, &user, 1, "/pub/a");
    poll(&fixture, "").await;
    let idle = user.elsewhere().shard();
    let closed: Vec<u64> = fixture.nodes().map(|node| node.feed.closed(idle)).collect();
    assert_eq!(closed.iter().max(), Some(&tick(1)), "no further than the newest event");
    assert_eq!(poll(&fixture, &format!("?cursor={id}")).await.text(), "");
    let before: Vec<_> = fixture.nodes().map(asked).collect();
    // Behind all ids of the newest event's tick, of which other shards may have one too.
    let end = ids().id(tick(1), SHARDS - 1);
    for _ in 0..5 {
        assert_eq!(poll(&fixture, &format!("?cursor={end}")).await.text(), "");
    }
    for (node, (clocks, reads)) in fixture.nodes().zip(before) {
        assert_eq!(asked(node), (clocks + 5, reads), "one question a round");
        assert!(node.feed.clocks()[clocks..].iter().all(|request| request.tick == 0));
        assert_eq!(node.feed.follows(), 0);
    }
}

#[tokio::test]
async fn a_replica_that_is_behind_or_silent_is_asked_for_elsewhere() {
    let fixture = three().await;
    fixture.nodes().for_each(|node| node.feed.leads([]));
    fixture.node.feed.leads(0..SHARDS);
    let user = User::random();
    let other = user.elsewhere();
    write(&fixture, &user, 1, "/pub/a");
    write(&fixture, &other, 2, "/pub/b");
    let page = poll(&fixture, "?limit=2").await.text();
    let [second, third] = &fixture.others[..] else { panic!("three nodes") };
    assert!(second.feed.reads().is_empty() && third.feed.reads().is_empty(), "the leader is asked first");
    // It has given a replica away; the others have all replicas, but are not closed as far.
    fixture.node.feed.hosts((0..SHARDS).filter(|shard| *shard != user.shard()));
    for shard in 0..SHARDS {
        let silent = EventRecord { id: ids().id(tick(3), shard), ..event(&other, 3, "/priv/a") };
        third.feed.append(silent);
    }
    assert_eq!(poll(&fixture, "?limit=2").await.text(), page);
    let asked: Vec<Vec<u32>> = third.feed.reads().into_iter().map(|read| read.shards).collect();
    assert!(asked.iter().any(|shards| shards.contains(&user.shard())), "nobody else could tell: {asked:?}");
    // And one that does not answer is left out whole.
    fixture.node.feed.answers(false);
    assert_eq!(poll(&fixture, "?limit=2").await.text(), page);
    assert!(third.feed.reads().len() > asked.len());
}

#[tokio::test]
async fn readers_of_many_connections_see_the_same() {
    let fixture = three().await;
    let user = User::random();
    let id = write(&fixture, &user, 1, "/pub/a");
    let replies = join_all((0..20).map(|_| poll(&fixture, ""))).await;
    let body = format!("{}\ncursor: {id}", line(&user, "/pub/a"));
    assert!(replies.iter().all(|reply| reply.text() == body));
}
