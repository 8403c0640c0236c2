//! The client API on the wire, case by case, against real processes: every status, text and header
//! the protocol names for the routes served so far. All failures of a table are told at once.
//!
//! `ROWHOUSE_CONFORMANCE=http://host:port,<homeserver z32>` runs the tables against a server that
//! is already there, for example the reference.

#[path = "conformance_http/auth_cases.rs"]
mod auth_cases;
#[path = "conformance_http/bad_days.rs"]
mod bad_days;
#[path = "conformance_http/case.rs"]
mod case;
#[path = "conformance_http/dav.rs"]
mod dav;
#[path = "conformance_http/dav_drive.rs"]
mod dav_drive;
#[path = "conformance_http/grant_flow.rs"]
mod grant_flow;
#[path = "conformance_http/limits.rs"]
mod limits;
#[path = "conformance_http/listing_cases.rs"]
mod listing_cases;
#[path = "conformance_http/session_flow.rs"]
mod session_flow;
#[path = "conformance_http/storage_cases.rs"]
mod storage_cases;
#[path = "conformance_http/storage_flow.rs"]
mod storage_flow;
#[path = "conformance_http/tenant_cases.rs"]
mod tenant_cases;
#[path = "conformance_http/world.rs"]
mod world;

use rowhouse_chaos_tests::cluster::ClusterOptions;
use world::World;

/// One cluster for all tables: starting one takes longer than all cases together.
#[tokio::test]
async fn the_client_api_is_as_the_protocol_says() {
    let mut world = World::start().await;
    let mut failures = Vec::new();
    let tables = [
        ("tenants", tenant_cases::CASES),
        ("authentication", auth_cases::CASES),
        ("storage", storage_cases::CASES),
        ("listing", listing_cases::CASES),
    ];
    for (table, cases) in tables {
        for case in cases {
            failures.extend(world.check(table, case).await);
        }
    }
    failures.extend(session_flow::run(&mut world).await);
    failures.extend(grant_flow::run(&mut world).await);
    failures.extend(storage_flow::run(&mut world).await);
    let count = tables.iter().map(|(_, cases)| cases.len()).sum::<usize>();
    assert!(failures.is_empty(), "{} failures ({count} cases):\n  {}", failures.len(), failures.join("\n  "));
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

#[tokio::test]
async fn webdav_is_what_file_managers_expect() {
    // The operator's password of a server that is already there is unknown.
    let Some(world) = World::with(ClusterOptions::default()).await else { return };
    let failures = dav::run(&world).await;
    assert!(failures.is_empty(), "{} failures:\n  {}", failures.len(), failures.join("\n  "));
}
