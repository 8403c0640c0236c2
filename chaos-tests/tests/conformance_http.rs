//! The client API on the wire, case by case, against real processes: every status, text and header
//! the protocol names for the routes served so far. All failures of a table are told at once.
//!
//! `ROWHOUSE_CONFORMANCE=http://host:port,<homeserver z32>` runs the tables against a server that
//! is already there, for example the reference.

#[path = "conformance_http/admin.rs"]
mod admin;
#[path = "conformance_http/auth_cases.rs"]
mod auth_cases;
#[path = "conformance_http/authors.rs"]
mod authors;
#[path = "conformance_http/bad_days.rs"]
mod bad_days;
#[path = "conformance_http/capability_cases.rs"]
mod capability_cases;
#[path = "conformance_http/case.rs"]
mod case;
#[path = "conformance_http/conditional_writes.rs"]
mod conditional_writes;
#[path = "conformance_http/cookie_rights.rs"]
mod cookie_rights;
#[path = "conformance_http/dav.rs"]
mod dav;
#[path = "conformance_http/dav_drive.rs"]
mod dav_drive;
#[path = "conformance_http/event_admin.rs"]
mod event_admin;
#[path = "conformance_http/event_cases.rs"]
mod event_cases;
#[path = "conformance_http/event_days.rs"]
mod event_days;
#[path = "conformance_http/event_live.rs"]
mod event_live;
#[path = "conformance_http/event_stream.rs"]
mod event_stream;
#[path = "conformance_http/events.rs"]
mod events;
#[path = "conformance_http/far_keys.rs"]
mod far_keys;
#[path = "conformance_http/framing.rs"]
mod framing;
#[path = "conformance_http/grant_flow.rs"]
mod grant_flow;
#[path = "conformance_http/grant_order.rs"]
mod grant_order;
#[path = "conformance_http/grant_rights.rs"]
mod grant_rights;
#[path = "conformance_http/header_cases.rs"]
mod header_cases;
#[path = "conformance_http/indexers.rs"]
mod indexers;
#[path = "conformance_http/kills.rs"]
mod kills;
#[path = "conformance_http/limits.rs"]
mod limits;
#[path = "conformance_http/listing_cases.rs"]
mod listing_cases;
#[path = "conformance_http/lock_days.rs"]
mod lock_days;
#[path = "conformance_http/locks.rs"]
mod locks;
#[path = "conformance_http/quotas.rs"]
mod quotas;
#[path = "conformance_http/range_cases.rs"]
mod range_cases;
#[path = "conformance_http/range_flow.rs"]
mod range_flow;
#[path = "conformance_http/rates.rs"]
mod rates;
#[path = "conformance_http/raw.rs"]
mod raw;
#[path = "conformance_http/refusals.rs"]
mod refusals;
#[path = "conformance_http/replay.rs"]
mod replay;
#[path = "conformance_http/session_flow.rs"]
mod session_flow;
#[path = "conformance_http/storage_cases.rs"]
mod storage_cases;
#[path = "conformance_http/storage_flow.rs"]
mod storage_flow;
#[path = "conformance_http/tenant_cases.rs"]
mod tenant_cases;
#[path = "conformance_http/tls.rs"]
mod tls;
#[path = "conformance_http/website_cases.rs"]
mod website_cases;
#[path = "conformance_http/website_flow.rs"]
mod website_flow;
#[path = "conformance_http/world.rs"]
mod world;

use std::cell::Cell;
use std::time::Duration;

use case::Case;
use indexers::Season;
use rowhouse_chaos_tests::cluster::ClusterOptions;
use world::World;

/// Cases that are judged one by one.
struct Table {
    name: &'static str,
    cases: &'static [Case],
}

fn tables() -> [Table; 9] {
    [
        Table { name: "tenants", cases: tenant_cases::CASES },
        Table { name: "authentication", cases: auth_cases::CASES },
        Table { name: "capabilities", cases: capability_cases::CASES },
        Table { name: "storage", cases: storage_cases::CASES },
        Table { name: "listing", cases: listing_cases::CASES },
        Table { name: "headers", cases: header_cases::CASES },
        Table { name: "events", cases: event_cases::CASES },
        Table { name: "ranges", cases: range_cases::CASES },
        Table { name: "websites", cases: website_cases::CASES },
    ]
}

/// Everything that takes several requests.
async fn flows(world: &World) -> Vec<String> {
    let mut failures = session_flow::run(world).await;
    failures.extend(cookie_rights::run(world).await);
    failures.extend(grant_flow::run(world).await);
    failures.extend(grant_order::run(world).await);
    failures.extend(grant_rights::run(world).await);
    failures.extend(storage_flow::run(world).await);
    failures.extend(range_flow::run(world).await);
    failures.extend(website_flow::run(world).await);
    failures
}

/// One cluster for all tables: starting one takes longer than all cases together. Its two gateways take turns, so that
/// what one of them changed must hold in the next request through the other.
#[tokio::test]
async fn the_client_api_is_as_the_protocol_says() {
    let world = World::start().await.taking_turns();
    let mut failures = Vec::new();
    for Table { name, cases } in tables() {
        for case in cases {
            failures.extend(world.check(name, case).await);
        }
    }
    failures.extend(flows(&world).await);
    failures.extend(admin::run(&world).await);
    let count = tables().iter().map(|table| table.cases.len()).sum::<usize>();
    assert!(failures.is_empty(), "{} failures ({count} cases):\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn the_client_api_holds_while_a_node_dies_every_ten_seconds() {
    // Nobody kills a server that is already there.
    // Each round looks up a signup token from the same address.
    let options =
        ClusterOptions { gateway_flags: vec!["--rate-limits=[]".into()], ..ClusterOptions::default() };
    let Some(world) = World::with(options).await else { return };
    let world = world.taking_turns().trying_again();
    let mut failures = replay::run(&world).await;
    let (more, rounds, killed) = kills::run(&world).await;
    failures.extend(more);
    println!("{rounds} rounds, {killed} kills");
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn sessions_of_a_user_are_bounded_and_the_oldest_ends() {
    // The reference has no bound.
    let Some(world) = World::with(ClusterOptions::default()).await else { return };
    let failures = cookie_rights::bounded(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn bad_clients_get_a_clear_answer_and_harm_nobody() {
    let mut world = World::start().await;
    let failures = bad_days::run(&mut world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn who_meets_a_limit_hears_when_to_come_back() {
    // The limits of a server that is already there are unknown.
    let Some(world) = World::with(limits::options()).await else { return };
    let failures = limits::run(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_are_read_as_they_are_framed_and_refusals_are_always_readable() {
    // The admin listener and the TLS port of a server that is already there are unknown.
    let Some(world) = World::with(ClusterOptions::default()).await else { return };
    let mut failures = refusals::run(&world).await;
    failures.extend(framing::run(&world).await);
    failures.extend(quotas::run(&world).await);
    failures.extend(far_keys::run(&world).await);
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn limits_are_counted_once_for_all_gateways() {
    // The limits of a server that is already there are unknown.
    let Some(world) = World::with(ClusterOptions::default()).await else { return };
    let failures = rates::run(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn of_many_writers_one_wins_and_locks_hold_others_off() {
    // The reference knows no conditional writes.
    let Some(world) = World::with(ClusterOptions::default()).await else { return };
    let world = world.taking_turns();
    let mut failures = conditional_writes::run(&world).await;
    failures.extend(locks::run(&world).await);
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn a_lock_outlives_the_leader_and_the_other_gateway() {
    // Nobody kills a server that is already there.
    let Some(world) = World::with(lock_days::options()).await else { return };
    let failures = lock_days::run(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn webdav_is_what_file_managers_expect() {
    // The operator's password of a server that is already there is unknown.
    let Some(world) = World::with(ClusterOptions::default()).await else { return };
    let failures = dav::run(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

/// Writes beside the indexers take so long where nobody is killed.
const CALM: Duration = Duration::from_secs(8);

#[tokio::test]
async fn the_event_feed_is_as_the_protocol_says() {
    let world = World::start().await.taking_turns();
    let mut failures = events::run(&world).await;
    failures.extend(event_stream::run(&world).await);
    failures.extend(event_live::run(&world).await);
    failures.extend(event_admin::run(&world).await);
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn indexers_see_each_acknowledged_write_once_and_in_order() {
    let world = World::start().await.taking_turns();
    let season = Season { time: CALM, ripe: &|| true };
    let (failures, acknowledged) = indexers::run(&world, season).await;
    println!("{acknowledged} writes were acknowledged");
    assert!(acknowledged > 0, "nothing was written");
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn indexers_see_each_acknowledged_write_once_while_a_node_dies_every_ten_seconds() {
    // Nobody kills a server that is already there.
    let Some(world) = World::with(ClusterOptions::default()).await else { return };
    let world = world.taking_turns();
    let killed = Cell::new(0);
    let season = Season { time: kills::TIME, ripe: &|| killed.get() >= kills::KILLS_MIN };
    let (failures, acknowledged) = tokio::select! {
        done = indexers::run(&world, season) => done,
        never = kills::kill(&world, &killed) => match never {},
    };
    println!("{acknowledged} writes were acknowledged, {} kills", killed.get());
    assert!(acknowledged > 0, "nothing was written");
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn the_feed_is_unavailable_rather_than_old_without_a_quorum() {
    // Nobody kills a server that is already there.
    let Some(world) = World::with(event_days::options()).await else { return };
    let failures = event_days::without_quorum(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}

#[tokio::test]
async fn a_gateway_that_stops_ends_its_streams_and_finishes_uploads() {
    // Nobody stops a server that is already there.
    let Some(world) = World::with(event_days::options()).await else { return };
    let failures = event_days::a_gateway_stops(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}
