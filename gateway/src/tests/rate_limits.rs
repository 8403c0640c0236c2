//! Limits of routes: which buckets are asked for a cell, in which order, and what a client sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::limits::{Exhausted, Taken, take_reply};
use rowhouse_proto::wire::meta::meta_query_reply;
use rowhouse_proto::wire::shard::{Entry, query_reply};
use tonic::Status;

use crate::RateLimit;
use crate::testing::{Fixture, SHARDS, Script, User, failure};

const TOKEN: &str = "/signup_tokens/AAAA-BBBB-CCCC";

fn limit(path: &str, quota: &str, key: &str) -> RateLimit {
    RateLimit { path: path.into(), quota: quota.into(), key: key.into(), ..RateLimit::defaults().remove(0) }
}

async fn limited(script: Script, limits: Vec<RateLimit>) -> Fixture {
    Fixture::with(script, |config| config.limits.rate_limits = limits).await
}

fn exhausted(retry_after_ms: u64) -> Script {
    Script {
        take: Box::new(move |_| Ok(take_reply::Result::Exhausted(Exhausted { retry_after_ms }))),
        ..Script::default()
    }
}

#[tokio::test]
async fn one_request_too_many_is_429_before_any_work_and_readable_to_pages() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let script = Script {
        meta_query: Box::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(meta_query_reply::Result::Failure(failure(ErrorCode::SignupTokensNotRequired)))
        }),
        ..exhausted(2_999)
    };
    let fixture = Fixture::start(script).await;
    let reply = fixture.client.get(TOKEN, &[("origin", "https://app.example")]).await;
    assert_eq!((reply.status, reply.text().as_str()), (429, "Rate limit exceeded"));
    assert_eq!(reply.header("retry-after").as_deref(), Some("2"));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("https://app.example"));
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody else was asked");
    let taken = fixture.node.taken();
    assert_eq!(taken.len(), 1);
    let of = (taken[0].cells, taken[0].cells_per_period, taken[0].period_ms, taken[0].burst);
    assert_eq!((of, taken[0].wait_max_ms), ((1, 10, 60_000, 10), 0), "the default limit");

    fixture.node.script(exhausted(1));
    let soon = fixture.client.get(TOKEN, &[]).await;
    assert_eq!(soon.header("retry-after").as_deref(), Some("1"), "never 0");
    for (method, path) in [("POST", TOKEN), ("HEAD", TOKEN), ("GET", "/info"), ("GET", "/signup_tokens/a/b")]
    {
        assert_ne!(fixture.client.send(method, path, &[], b"").await.status, 429, "{method} {path}");
    }
}

#[tokio::test]
async fn every_limit_that_matches_takes_a_cell_and_the_shortest_period_is_first() {
    let limits = vec![
        limit("/pub/**", "1000r/d", "user"),
        limit("/pub/*", "5r/s", "ip"),
        limit("/pub/**", "100r/m", "ip"),
        limit("/priv/**", "1r/s", "ip"),
    ];
    let script = Script::query(|_| Ok(query_reply::Result::Entry(Entry::default())));
    let fixture = limited(script, limits).await;
    let user = User::random();
    for path in ["/pub/a", "/pub/b/c"] {
        assert_eq!(fixture.client.get(&user.storage(path), &[]).await.status, 200, "{path}");
    }
    let taken = fixture.node.taken();
    let periods: Vec<u64> = taken.iter().map(|taken| taken.period_ms).collect();
    assert_eq!(periods, [1_000, 60_000, 86_400_000, 60_000, 86_400_000], "of the path below its owner");
    assert_eq!(taken[2].group, user.shard(), "in the user's own shard");
    assert_eq!(taken[2].key, taken[4].key);
    assert_ne!(taken[0].key, taken[1].key, "each limit has its own buckets");
    let legacy = fixture.client.get("/pub/a", &[("host", &user.z32)]).await;
    assert_eq!(legacy.status, 200);
    assert_eq!(fixture.node.taken()[7].key, taken[2].key, "the same user by another way");
    assert!(taken.iter().all(|taken| taken.group < SHARDS));
}

#[tokio::test]
async fn a_refusal_by_a_short_period_takes_nothing_from_a_longer_one() {
    let limits = vec![limit("/info", "10r/h", "ip"), limit("/info", "1r/s", "ip")];
    let script = Script {
        take: Box::new(|request| {
            Ok(match request.period_ms {
                1_000 => take_reply::Result::Exhausted(Exhausted { retry_after_ms: 1 }),
                _ => take_reply::Result::Taken(Taken::default()),
            })
        }),
        ..Script::default()
    };
    let fixture = limited(script, limits).await;
    assert_eq!(fixture.client.get("/info", &[]).await.status, 429);
    assert_eq!(fixture.node.taken().len(), 1);
}

#[tokio::test]
async fn a_limit_by_user_needs_one_and_who_is_exempt_is_not_counted() {
    let user = User::random();
    let exempt = RateLimit { whitelist: vec![user.z32.clone()], ..limit("/**", "1r/s", "user") };
    let here = RateLimit { whitelist: vec!["127.0.0.1".into()], ..limit("/**", "1r/m", "ip") };
    let fixture = limited(exhausted(1_000), vec![exempt, here]).await;
    let nobody = fixture.client.get("/info", &[]).await;
    assert_eq!((nobody.status, nobody.text().as_str()), (400, "Failed to extract user for rate limiting"));
    assert_eq!(fixture.client.get(&user.storage("/pub/a"), &[]).await.status, 404);
    assert!(fixture.node.taken().is_empty());
    assert_eq!(fixture.client.get(&User::random().storage("/pub/a"), &[]).await.status, 429);
}

#[tokio::test]
async fn nobody_is_refused_while_nobody_counts() {
    for refusal in [Status::unimplemented("older"), Status::unavailable("no leader")] {
        let refusal = Arc::new(refusal);
        let script = Script { take: Box::new(move |_| Err(Status::clone(&refusal))), ..Script::default() };
        let fixture = Fixture::start(script).await;
        assert_eq!(fixture.client.get(TOKEN, &[]).await.status, 400, "open mode, as without a limit");
        assert!(!fixture.node.taken().is_empty(), "it was asked");
    }
}

#[tokio::test]
async fn the_node_that_leads_counts() {
    let user = User::random();
    let limits = vec![limit("/pub/*", "1r/m", "user")];
    let follower = Script {
        take: Box::new(|_| {
            let elsewhere = rowhouse_proto::wire::shard::Failure {
                leader_node: vec![2; 16].into(),
                ..failure(ErrorCode::NotLeader)
            };
            Ok(take_reply::Result::Failure(elsewhere))
        }),
        ..Script::default()
    };
    let fixture = Fixture::three(follower, |config| config.limits.rate_limits = limits).await;
    fixture.others[0].script(exhausted(1_000));
    assert_eq!(fixture.client.get(&user.storage("/pub/a"), &[]).await.status, 429);
    assert_eq!(fixture.others[0].taken().len(), 1);
}
