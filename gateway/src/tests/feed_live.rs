//! Event streams of users that go on: history and news without a seam, and how they end.

use std::time::Duration;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Failure, query_reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::testing::{Fixture, OpenStream, Script, User, UserEvents, failure};

/// Far beyond any pause of a stream, and far below its next read without a mark.
const A_WHILE: Duration = Duration::from_millis(500);
/// Far beyond any timeout of the gateways under test.
const PATIENCE: Duration = Duration::from_secs(60);

fn user(events: &UserEvents) -> User {
    let user = User::random();
    events.add(&user);
    user
}

async fn live(fixture: &Fixture, query: &str, headers: &[(&str, &str)]) -> OpenStream {
    let path = format!("/events-stream?live=true&{query}");
    let open = OpenStream::get(fixture.gateway.http_address(), &path, headers).await;
    assert!(open.text().starts_with("HTTP/1.1 200 OK\r\n"), "{}", open.text());
    open
}

async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "it never came about");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn news_follow_history_once_however_late_and_often_marks_come() {
    let events = UserEvents::default();
    let (one, two) = (user(&events), user(&events));
    let fixture = Fixture::three(events.script(), |_| {}).await;
    let mut written: Vec<u64> = (0..3).map(|at| events.write(&one, &format!("/pub/{at}")).id).collect();
    let query = format!("user={}:{}&user={}", one.z32, written[0], two.z32);
    let mut open = live(&fixture, &query, &[("accept-encoding", "gzip")]).await;
    assert!(!open.text().to_lowercase().contains("content-encoding"), "{}", open.text());
    open.until(&format!("cursor: {}\n", written[2])).await;
    for at in 0..40 {
        let writer = if at % 3 == 0 { &two } else { &one };
        let event = events.tell([&fixture.node], writer, &format!("/pub/news/{at}"));
        written.push(event.id);
        if at % 5 == 0 {
            open.until(&format!("cursor: {}\n", event.id)).await;
        }
        // The followers' marks come when the event is long sent, and once more from the third node.
        for node in &fixture.others {
            node.feed.append(event.clone());
        }
    }
    // Told of by nobody, until something else is.
    written.push(events.write(&one, "/pub/quiet").id);
    written.push(events.tell(fixture.nodes(), &one, "/pub/last").id);
    open.until(&format!("cursor: {}\n", written[written.len() - 1])).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(open.cursors(), written[1..]);
}

#[tokio::test]
async fn others_events_and_private_ones_are_not_told() {
    let events = UserEvents::default();
    let (one, two) = (user(&events), user(&events));
    let fixture = Fixture::start(events.script()).await;
    let mut open = live(&fixture, &format!("user={}&path=/pub/app/", one.z32), &[]).await;
    events.tell([&fixture.node], &two, "/pub/app/a");
    events.tell([&fixture.node], &one, "/priv/app/a");
    events.tell([&fixture.node], &one, "/pub/other");
    let last = events.tell([&fixture.node], &one, "-/pub/app/a");
    let text = open.until(&format!("cursor: {}\n", last.id)).await;
    assert_eq!(open.cursors(), [last.id]);
    let expected = format!("event: DEL\ndata: pubky://{}/pub/app/a\ndata: cursor: {}\n\n", one.z32, last.id);
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_change_of_leader_loses_nothing_and_doubles_nothing() {
    let events = UserEvents::default();
    let user = user(&events);
    let fixture = Fixture::three(events.script(), |_| {}).await;
    let mut written = vec![events.write(&user, "/pub/0").id];
    let mut open = live(&fixture, &format!("user={}", user.z32), &[]).await;
    open.until(&format!("cursor: {}\n", written[0])).await;
    let leaves = |leader: u8| {
        let elsewhere = Failure { leader_node: vec![leader; 16].into(), ..failure(ErrorCode::NotLeader) };
        Script::query(move |_| Ok(query_reply::Result::Failure(elsewhere.clone())))
    };
    let nodes: Vec<_> = fixture.nodes().collect();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        nodes[from].script(leaves(to as u8 + 1));
        nodes[from].feed.answers(false);
        // Nobody leads for a moment.
        let event = events.tell([nodes[to]], &user, "/pub/between");
        written.push(event.id);
        nodes[to].script(events.script());
        open.until(&format!("cursor: {}\n", event.id)).await;
        nodes[from].feed.answers(true);
        nodes[from].feed.append(event);
        written.push(events.tell(fixture.nodes(), &user, "/pub/after").id);
        open.until(&format!("cursor: {}\n", written[written.len() - 1])).await;
    }
    assert_eq!(open.cursors(), written);
}

#[tokio::test]
async fn a_shard_that_cannot_answer_is_asked_again() {
    let events = UserEvents::default();
    let user = user(&events);
    let fixture = Fixture::start(events.script()).await;
    let mut open = live(&fixture, &format!("user={}", user.z32), &[]).await;
    events.refuse(user.shard(), Some(ErrorCode::Overloaded));
    let event = events.tell([&fixture.node], &user, "/pub/a");
    let asked = fixture.node.queried().len();
    until(|| fixture.node.queried().len() > asked).await;
    events.refuse(user.shard(), None);
    open.until(&format!("cursor: {}\n", event.id)).await;
}

#[tokio::test]
async fn the_limit_counts_history_and_news_and_ends_the_stream() {
    let events = UserEvents::default();
    let user = user(&events);
    let fixture = Fixture::start(events.script()).await;
    let mut written: Vec<u64> = (0..2).map(|_| events.write(&user, "/pub/a").id).collect();
    let mut open = live(&fixture, &format!("user={}&limit=3", user.z32), &[]).await;
    open.until(&format!("cursor: {}\n", written[1])).await;
    written.push(events.tell([&fixture.node], &user, "/pub/a").id);
    events.tell([&fixture.node], &user, "/pub/a");
    assert!(open.ends_properly().await);
    assert_eq!(open.cursors(), written);
    let mut done = live(&fixture, &format!("user={}&limit=2", user.z32), &[]).await;
    assert!(done.ends_properly().await, "history was enough");
}

#[tokio::test]
async fn a_revoked_session_ends_its_stream_before_any_later_event() {
    let events = UserEvents::default();
    let user = user(&events);
    let fixture = Fixture::start(events.script()).await;
    for header in [("cookie", user.cookie.as_str()), ("authorization", &user.authorization)] {
        events.add(&user);
        let query = format!("user={}&path=/pub/&path=/priv/", user.z32);
        let mut private = live(&fixture, &query, &[header]).await;
        let mut public = live(&fixture, &format!("user={}", user.z32), &[header]).await;
        let before = events.tell([&fixture.node], &user, "/priv/before");
        private.until(&format!("cursor: {}\n", before.id)).await;
        events.revoke();
        let after = events.tell([&fixture.node], &user, "/pub/after");
        assert!(private.ends_properly().await);
        assert!(!private.cursors().contains(&after.id), "it was told after the end of the session");
        public.until(&format!("cursor: {}\n", after.id)).await;
    }
    // Nothing tells of the end of a session: the stream asks.
    events.add(&user);
    let header = ("cookie", user.cookie.as_str());
    let mut idle = live(&fixture, &format!("user={}&path=/priv/", user.z32), &[header]).await;
    events.revoke();
    assert!(idle.ends_properly().await);
}

#[tokio::test]
async fn a_stopping_gateway_ends_streams_properly_and_in_time() {
    let events = UserEvents::default();
    let user = user(&events);
    events.write(&user, "/pub/a");
    let fixture = Fixture::start(events.script()).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(live(&fixture, &format!("user={}", user.z32), &[]).await);
    }
    let Fixture { gateway, .. } = fixture;
    let ending = async {
        for open in &mut streams {
            assert!(open.ends_properly().await, "{}", open.text());
        }
        drop(streams);
    };
    let stopping = async { tokio::time::timeout(PATIENCE, gateway.shutdown()).await.expect("it stops") };
    tokio::join!(stopping, ending);
}

#[tokio::test]
async fn nodes_are_followed_once_while_anybody_listens() {
    let events = UserEvents::default();
    let user = user(&events);
    let fixture = Fixture::start(events.script()).await;
    let query = format!("user={}", user.z32);
    assert_eq!(fixture.node.feed.follows(), 0, "nobody listens");
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(live(&fixture, &query, &[]).await);
    }
    let event = events.tell([&fixture.node], &user, "/pub/a");
    for open in &mut streams {
        open.until(&format!("cursor: {}\n", event.id)).await;
    }
    assert_eq!(fixture.node.feed.follows(), 1);
    drop(streams);
    // Nobody tells when the last one has gone: a new one then follows anew.
    let anew = async {
        loop {
            let mut open = live(&fixture, &query, &[]).await;
            open.until(&format!("cursor: {}\n", event.id)).await;
            let next = events.tell([&fixture.node], &user, "/pub/b");
            open.until(&format!("cursor: {}\n", next.id)).await;
            if fixture.node.feed.follows() > 1 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, anew).await.expect("followed anew");
}

#[tokio::test]
async fn an_idle_stream_lives_on_and_a_client_that_takes_nothing_is_cut() {
    const PATIENCE_WITH_CLIENTS: Duration = Duration::from_millis(300);
    let events = UserEvents::default();
    let user = user(&events);
    let fixture = Fixture::with(events.script(), |config| {
        config.limits.write_timeout_s = PATIENCE_WITH_CLIENTS;
        config.limits.idle_timeout_s = PATIENCE_WITH_CLIENTS;
        config.limits.head_timeout_s = PATIENCE_WITH_CLIENTS;
    })
    .await;
    let query = format!("user={}", user.z32);
    let mut idle = live(&fixture, &query, &[]).await;
    tokio::time::sleep(4 * PATIENCE_WITH_CLIENTS).await;
    let event = events.tell([&fixture.node], &user, "/pub/first");
    idle.until(&format!("cursor: {}\n", event.id)).await;
    drop(idle);

    let long = "x".repeat(200);
    for at in 0..20_000 {
        events.write(&user, &format!("/pub/{long}/{long}/{long}/{at}"));
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("small");
    let mut slow = socket.connect(fixture.gateway.http_address()).await.expect("listening");
    let head = format!("GET /events-stream?live=true&{query} HTTP/1.1\r\nhost: x\r\n\r\n");
    slow.write_all(head.as_bytes()).await.expect("open");
    until(|| !fixture.node.queried().is_empty()).await;
    let mut asked = 0;
    // It reads nothing, so at some point nothing is read for it any more.
    until(|| std::mem::replace(&mut asked, fixture.node.queried().len()) == fixture.node.queried().len())
        .await;
    tokio::time::sleep(4 * PATIENCE_WITH_CLIENTS).await;
    let mut came = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut came)).await.expect("it was cut");
    let whole = closed.is_ok() && came.ends_with(b"0\r\n\r\n");
    assert!(!whole && asked < 150, "{} bytes and {asked} pages of 200", came.len());
}
