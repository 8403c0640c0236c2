//! Every change through the operator's API is recorded, and who guesses passwords is stopped.

use pubky_common::crypto::Keypair;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::lock::lock;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::admin_users::Admin;
use crate::testing::{SECRET, User};

/// Who, action, target and result of each record.
fn records(admin: &Admin) -> Vec<[String; 4]> {
    let records = &lock(&admin.accounts).audit;
    records
        .iter()
        .map(|record| [&record.who, &record.action, &record.target, &record.result].map(Clone::clone))
        .collect()
}

fn pair(action: &str, target: &str, result: &str) -> [[String; 4]; 2] {
    ["", result].map(|result| ["admin@127.0.0.1", action, target, result].map(str::to_owned))
}

#[tokio::test]
async fn every_change_has_a_record_of_its_beginning_and_of_its_end() {
    let admin = Admin::start().await;
    let user = User::random();
    lock(&admin.accounts).add_user(*user.key.as_bytes(), 1, 0);
    lock(&admin.accounts).entries.insert((*user.key.as_bytes(), "/pub/a".to_owned()));
    let token = admin.get("/generate_signup_token").await.text();
    let other = admin.send_json("POST", "/generate_signup_token", &json!({})).await.text();
    let path = format!("/users/{}", user.z32);
    admin.send("POST", &format!("{path}/disable")).await;
    admin.send("POST", &format!("{path}/enable")).await;
    admin.send_json("PATCH", &format!("{path}/quota"), &json!({ "storage_quota_mb": 1 })).await;
    admin.send_json("PATCH", &format!("{path}/quota"), &json!({ "rate_read_burst": 1 })).await;
    admin.send("DELETE", &format!("/webdav/{}/pub/a", user.z32)).await;
    admin.send("DELETE", &format!("/webdav/{}/pub/a", user.z32)).await;
    let file = format!("{}/pub/a", user.z32);
    let expected = [
        pair("GET /generate_signup_token", &token, "ok"),
        pair("POST /generate_signup_token", &other, "ok"),
        pair("POST /users/{pubkey}/disable", &user.z32, "ok"),
        pair("POST /users/{pubkey}/enable", &user.z32, "ok"),
        pair("PATCH /users/{pubkey}/quota", &user.z32, "ok"),
        pair(
            "PATCH /users/{pubkey}/quota",
            &user.z32,
            "refused: rate_read_burst requires the rate to be set to a value",
        ),
        pair("DELETE /webdav/{*entry_path}", &file, "ok"),
        pair("DELETE /webdav/{*entry_path}", &file, "refused: Not Found"),
    ];
    assert_eq!(records(&admin), expected.concat());
    for two in lock(&admin.accounts).audit.chunks(2) {
        assert_eq!((two[0].id.len(), two[1].id.len()), (16, 16));
        assert_eq!(two[0].id[..15], two[1].id[..15]);
        assert_eq!(two[0].id[15] ^ 1, two[1].id[15], "the two are found together");
    }
    admin.get("/users").await;
    admin.get("/info").await;
    admin.get("/signup_tokens").await;
    assert_eq!(lock(&admin.accounts).audit.len(), 16, "questions are not recorded");
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_not_made() {
    let admin = Admin::start().await;
    let user = User::random();
    lock(&admin.accounts).add_user(*user.key.as_bytes(), 1, 0);
    lock(&admin.accounts).audit_refused = Some(ErrorCode::SettingRefused);
    let path = format!("/users/{}", user.z32);
    let unavailable = ErrorCode::Unavailable.text();
    admin.refused("GET", "/generate_signup_token", 503, unavailable).await;
    admin.refused("POST", &format!("{path}/disable"), 503, unavailable).await;
    admin.refused("DELETE", &format!("/webdav/{}/pub/a", user.z32), 503, unavailable).await;
    let patched = admin.send_json("PATCH", &format!("{path}/quota"), &json!({ "storage_quota_mb": 1 })).await;
    assert_eq!(patched.status, 503);
    assert!(patched.header("retry-after").is_some());
    assert!(admin.fixture.node.executed().is_empty(), "no shard was asked");
    assert!(lock(&admin.accounts).tokens.is_empty());
    assert_eq!(admin.json(&path).await["disabled"], false, "questions go on");
}

#[tokio::test]
async fn who_guesses_passwords_waits_and_others_do_not() {
    let admin = Admin::start().await;
    let wrong = [("x-admin-password", "guess")];
    let mut refused = Vec::new();
    for _ in 0..12 {
        let reply = admin.client.get("/info", &wrong).await;
        refused.push(reply.status);
        if reply.status == 429 {
            assert_eq!(reply.text(), "Rate limit exceeded");
            let wait: u64 = reply.header("retry-after").expect("a wait").parse().expect("seconds");
            assert!((1..=60).contains(&wait), "{wait}");
        } else {
            assert_eq!(
                (reply.text().as_str(), reply.header("content-type")),
                ("Invalid admin password", None)
            );
        }
    }
    assert_eq!(refused, [vec![401; 10], vec![429; 2]].concat());
    assert_eq!(admin.get("/info").await.status, 429, "an answer would tell which one is right");
    assert_eq!(admin.client.get("/info", &[]).await.status, 401, "without a password nothing is guessed");
    assert_eq!(admin.client.get("/", &[]).await.status, 200);

    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("loopback");
    let address = admin.fixture.gateway.admin_address().expect("admin");
    let mut elsewhere = socket.connect(address).await.expect("listening");
    let request =
        b"GET /info HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-admin-password: correct horse\r\n\r\n";
    elsewhere.write_all(request).await.expect("open");
    let mut answer = String::new();
    elsewhere.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn the_client_port_never_answers_an_operator() {
    let admin = Admin::start().await;
    let homeserver = Keypair::from_secret(&SECRET).public_key().z32();
    for (host, status) in [("localhost", 400), (homeserver.as_str(), 403)] {
        let headers = [("host", host), ("x-admin-password", "correct horse")];
        let reply = admin.fixture.client.get("/admin/generate_signup_token", &headers).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    assert!(lock(&admin.accounts).tokens.is_empty());
}
