//! Arbitrary requests: every one is answered or its connection closed, and the gateway serves on.

use std::sync::OnceLock;

use proptest::prelude::*;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Entry, Listing, query_reply, query_request};
use tokio::runtime::Runtime;

use crate::testing::{Fixture, Script, User, failure, raw};

/// One gateway for all cases, with a runtime of its own.
fn fixture() -> &'static (Runtime, Fixture, User) {
    static FIXTURE: OnceLock<(Runtime, Fixture, User)> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let runtime = Runtime::new().expect("runtime");
        let fixture = runtime.block_on(Fixture::with(
            Script::default().and_query(|request| {
                Ok(match request.op {
                    Some(query_request::Op::ReadEntry(_)) => query_reply::Result::Entry(Entry::default()),
                    Some(query_request::Op::ListEntries(_)) => {
                        query_reply::Result::Listing(Listing::default())
                    }
                    _ => query_reply::Result::Failure(failure(ErrorCode::NoSession)),
                })
            }),
            |config| {
                let soon = std::time::Duration::from_millis(100);
                config.limits.head_timeout_s = soon;
                config.limits.idle_timeout_s = soon;
                config.limits.body_timeout_s = soon;
            },
        ));
        (runtime, fixture, User::random())
    })
}

/// Sends bytes and looks for a response that is one; then sees that a good request still works.
fn exchange(message: &[u8]) {
    let (runtime, fixture, _) = fixture();
    let answer = runtime.block_on(raw(fixture.gateway.http_address(), message));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answer));
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "{:?}", String::from_utf8_lossy(message));
    let reply = runtime.block_on(fixture.client.get("/", &[]));
    assert_eq!(reply.status, 200);
}

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS", "LOCK"])
            .prop_map(str::to_owned),
        "[!-~]{1,12}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("storage".to_owned()),
        Just("pub".to_owned()),
        Just("priv".to_owned()),
        Just("signup_tokens".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        Just("%2e%2e".to_owned()),
        Just("%ff%00%2f".to_owned()),
        Just("%".to_owned()),
        Just(fixture().2.z32.clone()),
        "[!-~]{0,20}",
        "\\PC{0,8}",
    ];
    (prop::collection::vec(segment, 0..6), prop::option::of("[!-~]{0,40}")).prop_map(|(segments, query)| {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("/{}{query}", segments.join("/"))
    })
}

fn header() -> impl Strategy<Value = String> {
    let user = &fixture().2;
    prop_oneof![
        "[ -~]{0,60}".prop_map(|value| format!("cookie: {value}")),
        "[ -~]{0,60}".prop_map(|value| format!("authorization: {value}")),
        "[A-Za-z0-9_-]{43}".prop_map(|token| format!("authorization: Bearer {token}")),
        "[A-Z0-9]{26}".prop_map(move |secret| format!("cookie: {}={secret}", user.z32)),
        "[ -~]{0,80}".prop_map(|value| format!("pubky-host: {value}")),
        "[ -~]{0,40}".prop_map(|value| format!("if-none-match: {value}")),
        "[ -~]{0,40}".prop_map(|value| format!("if-modified-since: {value}")),
        "[0-9]{1,22}".prop_map(|value| format!("content-length: {value}")),
        "[!-~]{1,10}: \\PC{0,20}",
        Just("content-type: application/json".to_owned()),
        Just("transfer-encoding: chunked".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_any_make_are_answered_or_closed(
        method in method(),
        path in path(),
        headers in prop::collection::vec(header(), 0..5),
        host in prop::option::of("[ -~]{0,70}"),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut message = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if let Some(host) = host {
            message.push_str(&format!("host: {host}\r\n"));
        }
        for header in headers {
            message.push_str(&header);
            message.push_str("\r\n");
        }
        message.push_str("\r\n");
        let mut message = message.into_bytes();
        message.extend_from_slice(&body);
        exchange(&message);
    }

    #[test]
    fn bytes_of_any_kind_are_answered_or_closed(message in prop::collection::vec(any::<u8>(), 0..300)) {
        exchange(&message);
    }

    #[test]
    fn account_bodies_of_any_kind_are_refused(
        path in prop::sample::select(vec!["/signup", "/session", "/auth/grant/session", "/auth/grant/signup"]),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (runtime, fixture, _) = fixture();
        let json = [("content-type", "application/json")];
        let reply = runtime.block_on(fixture.client.send("POST", path, &json, &body));
        prop_assert!((400..500).contains(&reply.status), "{reply:?}");
    }
}
