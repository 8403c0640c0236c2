//! The operator's API about users: pages over all shards, disabling, quotas, files.

use std::sync::{Arc, Mutex};

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::shard::{Account, ListUsers, list_users};
use serde_json::{Value, json};

use crate::testing::{Accounts, Client, Fixture, Reply, User, page};

const PASSWORD: (&str, &str) = ("x-admin-password", "correct horse");
const JSON: (&str, &str) = ("content-type", "application/json");

pub struct Admin {
    pub fixture: Fixture,
    pub client: Client,
    pub accounts: Arc<Mutex<Accounts>>,
}

impl Admin {
    pub async fn start() -> Self {
        let accounts = Arc::<Mutex<Accounts>>::default();
        let fixture = Fixture::with(Accounts::script(&accounts), |config| {
            config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
            config.admin.password = Some("correct horse".into());
        })
        .await;
        let client = Client::new(fixture.gateway.admin_address().expect("admin"));
        Self { fixture, client, accounts }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.client.get(path, &[PASSWORD]).await
    }

    pub async fn send(&self, method: &str, path: &str) -> Reply {
        self.client.send(method, path, &[PASSWORD], b"").await
    }

    pub async fn send_json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.client.send(method, path, &[PASSWORD, JSON], body.to_string().as_bytes()).await
    }

    pub async fn json(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
        serde_json::from_slice(&reply.body).expect("json")
    }

    pub async fn refused(&self, method: &str, path: &str, status: u16, text: &str) {
        let reply = self.send(method, path).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{method} {path}");
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"), "{path}");
    }

    fn add_user(&self, used_bytes: u64) -> User {
        let user = User::random();
        lock(&self.accounts).add_user(*user.key.as_bytes(), 1_792_663_872_123, used_bytes);
        user
    }
}

fn keys(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["pubky"].as_str().expect("a key").to_owned()).collect()
}

#[tokio::test]
async fn a_user_has_the_same_shape_alone_and_in_a_list() {
    let admin = Admin::start().await;
    lock(&admin.accounts).settings.signup_mode = "open".into();
    let user = admin.add_user(42);
    let path = format!("/users/{}", user.z32);
    let patch = json!({ "storage_quota_mb": 500, "rate_read": "1mb/s" });
    let patched = admin.send_json("PATCH", &format!("{path}/quota"), &patch).await;
    assert_eq!((patched.status, patched.text().as_str()), (200, ""));
    let expected = json!({
        "pubky": user.z32,
        "created_at": "2026-10-22T10:11:12.123000",
        "disabled": false,
        "used_bytes": 42,
        "quota": {
            "effective": { "storage_quota_mb": 500, "rate_read": "1mb/s", "rate_write": "unlimited" },
            "overrides": { "storage_quota_mb": 500, "rate_read": "1mb/s" },
        },
    });
    assert_eq!(admin.json(&path).await, expected);
    assert_eq!(admin.json(&format!("{path}/quota")).await, expected["quota"]);
    assert_eq!(admin.json("/users").await, json!({ "items": [expected], "next_cursor": null }));
}

#[tokio::test]
async fn pages_of_all_shards_are_one_list_in_every_order() {
    let admin = Admin::start().await;
    let mut users: Vec<Account> = Vec::new();
    for number in 0..150u64 {
        let key: [u8; 32] = rand::random();
        // Values that many share, so that pages end between ties.
        let (created, used) = (rand::random_range(0..20), rand::random_range(0..5));
        let mut accounts = lock(&admin.accounts);
        accounts.add_user(key, created, used);
        let account = accounts.users.get_mut(&key).expect("added");
        account.disabled = number % 3 == 0;
        users.push(account.clone());
    }
    // Random bytes are not always a key: a cursor must be one.
    let is_key = |account: &Account| !key_of(account).is_empty();
    lock(&admin.accounts).users.retain(|_, account| is_key(account));
    users.retain(is_key);
    for (state, kind) in [
        ("all", list_users::State::All),
        ("enabled", list_users::State::Enabled),
        ("disabled", list_users::State::Disabled),
    ] {
        for (sort_by, sort) in
            [("created_at", list_users::Sort::CreatedAt), ("used_bytes", list_users::Sort::UsedBytes)]
        {
            for (reverse, limit) in [(false, 7), (true, 33), (false, 1000)] {
                let order = ListUsers {
                    state: kind.into(),
                    sort: sort.into(),
                    reverse,
                    limit: u32::MAX,
                    after: None,
                };
                let expected: Vec<String> = page(users.clone(), &order).iter().map(key_of).collect();
                let path = format!("/users?state={state}&sort_by={sort_by}&reverse={reverse}&limit={limit}");
                assert_eq!(walk(&admin, &path, limit).await, expected, "{path}");
            }
        }
    }
}

fn key_of(account: &Account) -> String {
    let key: &[u8; 32] = account.user[..].try_into().expect("a key");
    pkarr::PublicKey::try_from(key).map(|key| key.to_z32()).unwrap_or_default()
}

/// All pages; each but the last is full.
async fn walk(admin: &Admin, path: &str, limit: usize) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.json(&format!("{path}{cursor}")).await;
        let found = keys(&page);
        let next = page["next_cursor"].as_str().map(str::to_owned);
        assert!(found.len() <= limit && (next.is_none() || found.len() == limit), "{path}: {}", found.len());
        assert_eq!(next.as_ref(), found.last().filter(|_| next.is_some()));
        seen.extend(found);
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn a_page_goes_on_where_its_cursor_stands_now() {
    let admin = Admin::start().await;
    let users: Vec<User> = [300, 100, 200].into_iter().map(|used| admin.add_user(used)).collect();
    let path = "/users?sort_by=used_bytes&limit=1";
    assert_eq!(keys(&admin.json(path).await), [users[1].z32.clone()]);
    // It used more meanwhile: what it passed is not shown again.
    lock(&admin.accounts).users.get_mut(users[1].key.as_bytes()).expect("known").used_bytes = 250;
    let page = admin.json(&format!("{path}&cursor={}", users[1].z32)).await;
    assert_eq!(keys(&page), [users[0].z32.clone()]);
    assert_eq!(page["next_cursor"], Value::Null);
}

#[tokio::test]
async fn malformed_questions_are_refused() {
    let admin = Admin::start().await;
    let stranger = User::random().z32;
    admin.refused("GET", &format!("/users?cursor={stranger}"), 400, "Unknown cursor").await;
    admin.refused("GET", "/users?cursor=junk", 400, "Invalid public key").await;
    admin.refused("GET", "/users?limit=0", 400, "limit must be from 1 to 65535").await;
    admin.refused("GET", "/users?limit=65536", 400, "limit must be from 1 to 65535").await;
    let states = "state must be one of all, enabled, disabled";
    admin.refused("GET", "/users?state=bogus", 400, states).await;
    admin.refused("GET", "/users?sort_by=bogus", 400, "sort_by must be one of created_at, used_bytes").await;
    admin.refused("GET", "/users?reverse=1", 400, "reverse must be one of false, true").await;
    admin.refused("GET", "/users/disabled?limit=0", 400, "limit must be from 1 to 65535").await;
    for path in ["", "/quota"] {
        admin.refused("GET", &format!("/users/junk{path}"), 400, "Invalid public key").await;
        admin.refused("GET", &format!("/users/pubky{stranger}{path}"), 400, "Invalid public key").await;
        admin.refused("GET", &format!("/users/{stranger}{path}"), 404, "Not Found").await;
    }
    for change in ["disable", "enable"] {
        admin.refused("POST", &format!("/users/junk/{change}"), 400, "Invalid public key").await;
        admin.refused("POST", &format!("/users/{stranger}/{change}"), 404, "Not Found").await;
    }
    let missing = admin.send_json("PATCH", &format!("/users/{stranger}/quota"), &json!({})).await;
    assert_eq!((missing.status, missing.text().as_str()), (404, "Not Found"));
    let junk = admin.send_json("PATCH", "/users/junk/quota", &json!({})).await;
    assert_eq!((junk.status, junk.text().as_str()), (400, "Invalid public key"));
    assert!(admin.fixture.node.executed().iter().all(|asked| asked.group < 16), "shards alone are asked");
}

#[tokio::test]
async fn users_are_disabled_and_enabled_again() {
    let admin = Admin::start().await;
    let (user, other) = (admin.add_user(0), admin.add_user(0));
    let (disable, enable) = (format!("/users/{}/disable", user.z32), format!("/users/{}/enable", user.z32));
    // The second time changes nothing.
    for _ in 0..2 {
        let reply = admin.send("POST", &disable).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "Ok"));
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        let disabled = admin.json("/users/disabled").await;
        assert_eq!(disabled, json!({ "items": [{ "pubkey": user.z32 }], "next_cursor": null }));
        assert_eq!(keys(&admin.json("/users?state=enabled").await), [&*other.z32]);
    }
    for _ in 0..2 {
        let reply = admin.send("POST", &enable).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "Ok"));
        assert_eq!(admin.json("/users/disabled").await["items"], json!([]));
    }
    let groups: Vec<u32> = admin.fixture.node.executed().iter().map(|asked| asked.group).collect();
    assert_eq!(groups, [user.shard(); 4]);
}

#[tokio::test]
async fn quotas_are_patched_field_by_field() {
    let admin = Admin::start().await;
    let user = admin.add_user(0);
    let path = format!("/users/{}/quota", user.z32);
    lock(&admin.accounts).set_defaults(
        serde_json::from_value::<rowhouse_proto::domain::quota::QuotaJson>(
            json!({ "storage_quota_mb": 100 }),
        )
        .expect("a quota")
        .into(),
    );
    let overrides = async |patch: Value| {
        let reply = admin.send_json("PATCH", &path, &patch).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{patch}");
        admin.json(&path).await["overrides"].clone()
    };
    let full = json!({ "rate_write": "5MB/s", "rate_write_burst": 3, "allowed_write_paths": [] });
    let expected = json!({ "rate_write": "5mb/s", "rate_write_burst": 3, "allowed_write_paths": [] });
    assert_eq!(overrides(full).await, expected);
    assert_eq!(overrides(json!({})).await, expected);
    let less = json!({ "rate_write": "5mb/s", "storage_quota_mb": "unlimited" });
    let patch =
        json!({ "storage_quota_mb": "unlimited", "rate_write_burst": null, "allowed_write_paths": null });
    assert_eq!(overrides(patch).await, less);
    let effective =
        json!({ "storage_quota_mb": "unlimited", "rate_read": "unlimited", "rate_write": "5mb/s" });
    assert_eq!(admin.json(&path).await["effective"], effective);
    overrides(json!({ "storage_quota_mb": null })).await;
    assert_eq!(admin.json(&path).await["effective"]["storage_quota_mb"], 100);

    // The merged whole is judged, not only the patch.
    let refused = admin.send_json("PATCH", &path, &json!({ "rate_read_burst": 2 })).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.text(), "rate_read_burst requires the rate to be set to a value");
}

#[tokio::test]
async fn bodies_that_are_no_quota_are_refused_as_axum_does() {
    let admin = Admin::start().await;
    let user = admin.add_user(0);
    for (method, path) in
        [("PATCH", format!("/users/{}/quota", user.z32)), ("POST", "/generate_signup_token".to_owned())]
    {
        for (headers, body, status, text) in [
            (vec![PASSWORD], "{}", 415, "Expected request with `Content-Type: application/json`"),
            (vec![PASSWORD, JSON], "{", 400, "Failed to parse the request body as JSON"),
            (vec![PASSWORD, JSON], "5", 422, "Failed to deserialize the JSON body into the target type"),
            (vec![PASSWORD, JSON], r#"{"rate_read":"10"}"#, 422, "Failed to deserialize the JSON body"),
            (vec![PASSWORD, JSON], r#"{"storage_quota_mb":-1}"#, 422, "Failed to deserialize the JSON body"),
            (vec![PASSWORD, JSON], r#"{"rate_read_burst":1}"#, 422, "rate_read_burst requires the rate"),
            (vec![PASSWORD, JSON], r#"{"allowed_write_paths":["/"]}"#, 422, "allowed_write_paths[0]"),
        ] {
            let reply = admin.client.send(method, &path, &headers, body.as_bytes()).await;
            assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.text());
            assert!(reply.text().starts_with(text), "{method} {path} {body}: {}", reply.text());
        }
    }
    let user = admin.json(&format!("/users/{}", user.z32)).await;
    assert_eq!(user["quota"]["overrides"], json!({}), "nothing was changed");
    assert!(lock(&admin.accounts).tokens.is_empty());
}

#[tokio::test]
async fn public_files_are_deleted() {
    let admin = Admin::start().await;
    let user = admin.add_user(0);
    for path in ["/pub/a b", "/priv/a"] {
        lock(&admin.accounts).entries.insert((*user.key.as_bytes(), path.to_owned()));
    }
    let path = format!("/webdav/{}/pub/a%20b", user.z32);
    let reply = admin.send("DELETE", &path).await;
    assert_eq!((reply.status, reply.text().as_str()), (204, ""));
    admin.refused("DELETE", &path, 404, "Not Found").await;
    for (path, text) in [
        (format!("{}/priv/a", user.z32), "the path must start with /pub/"),
        (format!("{}/other", user.z32), "the path must start with /pub/"),
        (user.z32.clone(), "the path must be a user's key and a path"),
        ("junk/pub/a".to_owned(), "Invalid public key"),
    ] {
        admin.refused("DELETE", &format!("/webdav/{path}"), 400, text).await;
    }
    let dotted = admin.send("DELETE", &format!("/webdav/{}/pub/../priv/a", user.z32)).await;
    assert_eq!(dotted.status, 400, "{}", dotted.text());
    assert_eq!(lock(&admin.accounts).entries.len(), 1, "private files stay");
}

#[tokio::test]
async fn other_methods_are_refused_with_those_there_are() {
    let admin = Admin::start().await;
    let user = User::random().z32;
    for (method, path, allow) in [
        ("POST", "/info".to_owned(), "GET,HEAD"),
        ("POST", "/signup_tokens".to_owned(), "GET,HEAD"),
        ("DELETE", "/users".to_owned(), "GET,HEAD"),
        ("DELETE", format!("/users/{user}"), "GET,HEAD"),
        ("GET", format!("/users/{user}/disable"), "POST"),
        ("GET", format!("/users/{user}/enable"), "POST"),
        ("PUT", format!("/users/{user}/quota"), "GET,HEAD,PATCH"),
        ("GET", format!("/webdav/{user}/pub/a"), "DELETE"),
        ("HEAD", "/generate_signup_token".to_owned(), "GET, POST"),
        ("PUT", "/generate_signup_token".to_owned(), "GET, POST"),
        ("DELETE", "/generate_signup_token".to_owned(), "GET, POST"),
    ] {
        let reply = admin.send(method, &path).await;
        assert_eq!((reply.status, reply.header("allow").as_deref()), (405, Some(allow)), "{method} {path}");
    }
    assert_eq!(admin.get("/nowhere").await.status, 404);
    assert!(lock(&admin.accounts).tokens.is_empty(), "a HEAD makes no token");
}
