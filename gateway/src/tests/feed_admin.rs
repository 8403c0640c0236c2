//! The operator's event stream: all events in one order, private ones too.

use crate::testing::{Client, Fixture, OpenStream, User, UserEvents, dechunked};

const PASSWORD: (&str, &str) = ("x-admin-password", "correct horse");

async fn start(events: &UserEvents) -> (Fixture, Client) {
    let fixture = Fixture::with(events.script(), |config| {
        config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
        config.admin.password = Some(PASSWORD.1.into());
    })
    .await;
    let client = Client::new(fixture.gateway.admin_address().expect("admin"));
    (fixture, client)
}

fn users(events: &UserEvents) -> [User; 2] {
    let first = User::random();
    let users = [first.elsewhere(), first];
    users.iter().for_each(|user| events.add(user));
    users
}

#[tokio::test]
async fn an_operator_sees_all_shards_in_one_order_private_paths_too() {
    let events = UserEvents::default();
    let users = users(&events);
    let (fixture, client) = start(&events).await;
    let mut written = Vec::new();
    for at in 0..130 {
        let path = ["/pub/a/x", "/priv/x", "-/pub/a_b"][at % 3];
        written.push(events.tell([&fixture.node], &users[at % 2], path));
    }
    let of = |query: String| {
        let client = &client;
        async move {
            let reply = client.get(&format!("/events-stream?{query}"), &[PASSWORD]).await;
            assert_eq!(reply.status, 200, "{query}: {}", reply.text());
            assert_eq!(reply.header("content-type").as_deref(), Some("text/event-stream"));
            assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
            let chunked = reply.header("transfer-encoding").is_some();
            let body = if chunked { dechunked(&reply.body).expect("whole") } else { reply.body };
            let body = String::from_utf8(body).expect("text");
            let ids = body.lines().filter_map(|line| line.strip_prefix("data: cursor: "));
            (ids.map(|id| id.parse().expect("an id")).collect::<Vec<u64>>(), body)
        }
    };
    let ids = |pick: &dyn Fn(usize) -> bool| -> Vec<u64> {
        written.iter().enumerate().filter(|(at, _)| pick(*at)).map(|(_, event)| event.id).collect()
    };
    let (all, body) = of(String::new()).await;
    assert_eq!(all, ids(&|_| true));
    assert!(body.starts_with(&format!("event: PUT\ndata: pubky://{}/pub/a/x\n", users[0].z32)), "{body}");
    let [one, two] = &users;
    assert_eq!(of(format!("user={0}&user={0}", one.z32)).await.0, ids(&|at| at % 2 == 0));
    assert_eq!(of(format!("user={}&user={}", one.z32, two.z32)).await.0, all);
    assert_eq!(of("path=/priv/&path=/pub/a_b".into()).await.0, ids(&|at| at % 3 > 0));
    assert_eq!(of("limit=101".into()).await.0, all[..101]);
    assert_eq!(of(format!("cursor={}&limit=3", all[9])).await.0, all[10..13]);
    let mut down = all.clone();
    down.reverse();
    assert_eq!(of("reverse=1".into()).await.0, down);
    assert_eq!(of(format!("reverse=1&cursor={}&limit=7", all[50])).await.0, down[80..87]);
    assert_eq!(of("reverse=1&cursor=0".into()).await.0, Vec::<u64>::new());
}

#[tokio::test]
async fn refusals_come_in_the_operators_order() {
    let events = UserEvents::default();
    let [user, _] = users(&events);
    let (_fixture, client) = start(&events).await;
    let nobody = User::random().z32;
    for (query, status, text) in [
        ("user=junk&limit=0".to_owned(), 400, "Invalid public key: junk"),
        ("limit=0&user=junk".to_owned(), 400, "limit must be at least 1"),
        ("live=1&reverse=1".to_owned(), 400, "Cannot use live mode with reverse ordering"),
        (format!("user={nobody}&cursor=x"), 404, "Not Found"),
        (format!("user={}&cursor=x", user.z32), 400, "Invalid cursor"),
    ] {
        let reply = client.get(&format!("/events-stream?{query}"), &[PASSWORD]).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{query}");
    }
    assert_eq!(client.get("/events-stream", &[]).await.status, 401);
    for method in ["HEAD", "DELETE"] {
        assert_eq!(client.send(method, "/events-stream", &[], b"").await.status, 401, "{method}");
        let reply = client.send(method, "/events-stream", &[PASSWORD], b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (405, ""), "{method}");
        assert_eq!(reply.header("allow").as_deref(), Some("GET"), "{method}");
    }
}

#[tokio::test]
async fn news_of_all_shards_follow_until_the_limit() {
    let events = UserEvents::default();
    let users = users(&events);
    let (fixture, _client) = start(&events).await;
    let mut written = vec![events.tell([&fixture.node], &users[0], "/priv/a").id];
    let address = fixture.gateway.admin_address().expect("admin");
    let mut open = OpenStream::get(address, "/events-stream?live=true&limit=6", &[PASSWORD]).await;
    open.until(&format!("cursor: {}\n", written[0])).await;
    for at in 0..5 {
        let event = events.tell([&fixture.node], &users[at % 2], "/pub/a");
        written.push(event.id);
        open.until(&format!("cursor: {}\n", event.id)).await;
    }
    assert!(open.ends_properly().await);
    assert_eq!(open.cursors(), written);
}
