//! The operator's API about signup tokens.

use rowhouse_proto::lock::lock;
use serde_json::{Value, json};

use super::admin_users::Admin;
use crate::testing::User;

#[tokio::test]
async fn tokens_are_made_and_listed_with_their_quota() {
    let admin = Admin::start().await;
    let reply = admin.get("/generate_signup_token").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    let plain = reply.text();
    assert_eq!((plain.len(), plain.split('-').count()), (14, 3), "{plain}");
    let quota = json!({ "storage_quota_mb": 2, "rate_read": "1mb/s", "rate_read_burst": 10 });
    let reply = admin.send_json("POST", "/generate_signup_token", &quota).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let limited = reply.text();

    let listed = admin.json("/signup_tokens").await;
    let item = |token: &str, quota: &Value| {
        json!({
            "token": token,
            "created_at": "2026-10-22T10:11:12.123000",
            "used_at": null,
            "used_by": null,
            "quota": quota,
        })
    };
    let mut expected = [(plain.clone(), json!({})), (limited.clone(), quota)];
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    let expected: Vec<Value> = expected.iter().map(|(token, quota)| item(token, quota)).collect();
    assert_eq!(listed, json!({ "items": expected, "next_cursor": null }));

    let info = admin.json("/info").await;
    assert_eq!(
        (info["num_signup_codes"].as_u64(), info["num_unused_signup_codes"].as_u64()),
        (Some(2), Some(2))
    );
}

#[tokio::test]
async fn a_token_that_exists_is_drawn_anew() {
    let admin = Admin::start().await;
    lock(&admin.accounts).collisions = 2;
    let reply = admin.get("/generate_signup_token").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(lock(&admin.accounts).tokens.contains_key(&reply.text()));
    lock(&admin.accounts).collisions = usize::MAX;
    admin.refused("GET", "/generate_signup_token", 400, "the token exists already").await;
}

#[tokio::test]
async fn pages_of_tokens_are_in_the_order_of_their_texts() {
    let admin = Admin::start().await;
    let user = User::random();
    let texts: Vec<String> = (0..10).map(|number| format!("AAAA-BBBB-CCC{number}")).collect();
    for (number, text) in texts.iter().enumerate() {
        let mut accounts = lock(&admin.accounts);
        accounts.add_token(text, &[]);
        let row = accounts.tokens.get_mut(text).expect("added");
        if number % 2 == 0 {
            (row.used_by, row.used_at_ms) = (user.key.as_bytes().to_vec().into(), 1_792_663_872_123);
        }
    }
    for (state, step, limit) in [("all", 1, 3), ("all", 1, 5), ("used", 2, 2), ("unused", 2, 5)] {
        let skip = usize::from(state == "unused");
        let expected: Vec<&String> = texts.iter().skip(skip).step_by(step).collect();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.json(&format!("/signup_tokens?state={state}&limit={limit}{cursor}")).await;
            let items = page["items"].as_array().expect("items").clone();
            seen.extend(items.iter().map(|item| item["token"].as_str().expect("a token").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
            assert_eq!(items.len(), limit);
        }
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{state} {limit}");
    }
    let used = &admin.json("/signup_tokens?state=used&limit=1").await["items"][0];
    assert_eq!(
        (used["used_by"].as_str(), used["used_at"].as_str()),
        (Some(&*user.z32), Some("2026-10-22T10:11:12.123000"))
    );
}

#[tokio::test]
async fn malformed_questions_about_tokens_are_refused() {
    let admin = Admin::start().await;
    for cursor in ["", "ABCD", "AAAA-BBBB-CCCU"] {
        let path = format!("/signup_tokens?cursor={cursor}");
        admin.refused("GET", &path, 400, "cursor must be a signup token").await;
    }
    admin.refused("GET", "/signup_tokens?state=free", 400, "state must be one of all, used, unused").await;
    admin.refused("GET", "/signup_tokens?limit=0", 400, "limit must be from 1 to 65535").await;
    admin.refused("GET", "/signup_tokens?limit=1&limit=2", 400, "limit stands twice").await;
}

/// The user of one broken signup exists, that of another does not.
#[tokio::test]
async fn what_became_of_broken_signups_is_found_out_before_tokens_are_shown() {
    let admin = Admin::start().await;
    let (here, nobody) = (User::random(), User::random());
    {
        let mut accounts = lock(&admin.accounts);
        accounts.add_user(*here.key.as_bytes(), 1, 0);
        accounts.add_token("AAAA-AAAA-AAAA", here.key.as_bytes());
        accounts.add_token("BBBB-BBBB-BBBB", nobody.key.as_bytes());
    }
    let states = async |path: &str| {
        let page = admin.json(path).await;
        let items = page["items"].as_array().expect("items").clone();
        items.iter().map(|item| (item["token"].clone(), item["used_by"].clone())).collect::<Vec<_>>()
    };
    let used = (json!("AAAA-AAAA-AAAA"), json!(here.z32));
    let unused = (json!("BBBB-BBBB-BBBB"), Value::Null);
    assert_eq!(states("/signup_tokens?state=unused").await, std::slice::from_ref(&unused));
    assert_eq!(states("/signup_tokens").await, [used, unused]);
    // A signup under way keeps its token: no shard was told to give it up.
    assert!(admin.fixture.node.executed().is_empty());
}

#[tokio::test]
async fn totals_are_exact_whatever_signups_broke_off() {
    let admin = Admin::start().await;
    let (here, nobody) = (User::random(), User::random());
    {
        let mut accounts = lock(&admin.accounts);
        accounts.add_user(*here.key.as_bytes(), 1, 3 << 20);
        accounts.add_token("AAAA-AAAA-AAAA", here.key.as_bytes());
        accounts.add_token("BBBB-BBBB-BBBB", nobody.key.as_bytes());
        accounts.add_token("CCCC-CCCC-CCCC", &[]);
        // Given up an hour ago.
        accounts.tokens.get_mut("BBBB-BBBB-BBBB").expect("added").reserved_at_ms = 3_600_000;
    }
    let info = admin.json("/info").await;
    assert_eq!((info["num_users"].as_u64(), info["total_disk_used_mb"].as_u64()), (Some(1), Some(3)));
    assert_eq!(
        (info["num_signup_codes"].as_u64(), info["num_unused_signup_codes"].as_u64()),
        (Some(3), Some(2))
    );
    assert!(lock(&admin.accounts).tokens.values().all(|row| row.reserved_by.is_empty()), "all are settled");
}
