//! Signup, cookie sessions, grants, bearers, logout: who may still do what, and what is consumed.

use crate::machine_fixture;

use machine_fixture::script::*;
use machine_fixture::*;
use rowhouse_node::apply::changes_nothing;
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::{CloseCookieSession, command::Body, outcome::Value};
use rowhouse_proto::wire::shard::{credential::Kind, query_reply};

#[test]
fn signup_consumes_its_token_before_it_looks_for_the_user() {
    let mut script = Script::new();
    assert_eq!(script.run(create_user(ALICE, auth_token(0, 0), 3)), Some(AuthTokenReused));
    assert_eq!(script.run(create_user(ALICE, auth_token(0, 7), 3)), Some(UserExists));
    assert_eq!(script.run(open_session(ALICE, auth_token(0, 7), 3, &["/:rw"])), Some(AuthTokenReused));
    assert_eq!(script.run(open_session(77, auth_token(0, 8), 3, &["/:rw"])), Some(NotFound));
    assert_eq!(script.run(create_user(77, auth_token(0, 8), 3)), Some(AuthTokenReused));
    assert_eq!(read::stats(&script.replica.view()).expect("readable").users, 2);
}

#[test]
fn an_auth_token_is_forgotten_only_when_it_is_too_old() {
    let mut script = Script::new();
    assert_eq!(script.run(open_session(ALICE, auth_token(180_000, 0), 3, &[])), None);
    script.pass(359_000);
    assert_eq!(script.run(open_session(ALICE, auth_token(180_000, 0), 4, &[])), Some(AuthTokenReused));
    script.pass(64_000);
    assert_eq!(script.run(open_session(ALICE, auth_token(180_000, 0), 4, &[])), Some(InvalidAuthToken));
    assert_eq!(script.run(open_session(ALICE, auth_token(423_000, 0), 4, &[])), None);
    assert_eq!(script.replica.rows_of(tables::AUTH_TOKEN), 1, "the old ones were swept");
    script.ms -= 50_000;
    let expired = open_session(ALICE, auth_token(423_000 - 181_000, 3), 5, &[]);
    assert_eq!(script.run(expired), Some(InvalidAuthToken), "a leader a little behind moves nothing back");
}

/// A proof counts seconds and its guard milliseconds: at the end of its last second it must not be good again.
#[test]
fn a_proof_is_not_good_again_in_its_last_second() {
    let mut script = Script::new();
    let proof = || rowhouse_proto::wire::command::PopNonce {
        nonce: "n".to_owned(),
        issued_at: Some(START_MS / 1000 + 180),
    };
    assert_eq!(script.run(mint(ALICE, grant("g", CLIENT, 7200), proof(), 10)), None, "as early as it can be");
    script.pass(360_000);
    for ms in [360_001, 360_500, 360_999] {
        script.ms = ms;
        assert_eq!(script.run(mint(ALICE, grant("g", CLIENT, 7200), proof(), 11)), Some(PopNonceReused));
    }
    script.ms = 361_000;
    assert_eq!(script.run(mint(ALICE, grant("g", CLIENT, 7200), proof(), 11)), Some(PopTimestamp));
}

#[test]
fn cookie_sessions_work_for_their_tenant_until_closed() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    assert_eq!(
        script.run(put(cookie(1), BOB, "/pub/a", b"x")),
        Some(NoSession),
        "another tenant's cookie is not seen"
    );
    assert_eq!(script.run(put(None, ALICE, "/pub/a", b"x")), Some(NoSession));
    let Ok(query_reply::Result::CookieSession(session)) =
        script.get_session(Kind::CookieHash(hash(1)), ALICE)
    else {
        panic!("a live session")
    };
    assert_eq!((session.created_at_us, session.capabilities), (START_MS * 1000, vec!["/:rw".to_owned()]));
    assert_eq!(script.get_session(Kind::CookieHash(hash(1)), BOB), Err(NoSession));
    assert_eq!(script.run(sign_out(BOB, 1)), None);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None, "only its user closes it");
    assert_eq!(script.run(sign_out(ALICE, 1)), None);
    assert_eq!(script.run(sign_out(ALICE, 1)), None, "idempotent");
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), Some(NoSession));
}

#[test]
fn a_grant_has_one_live_bearer() {
    let mut script = Script::new();
    assert_eq!(script.mint(ALICE, "g", "n1", 10), None);
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), None);
    assert_eq!(script.run(put(bearer(10), BOB, "/pub/a", b"x")), Some(TenantMismatch));
    assert_eq!(script.mint(ALICE, "g", "n2", 11), None);
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), Some(NoSession));
    assert_eq!(script.run(put(bearer(11), ALICE, "/pub/a", b"x")), None);
    assert_eq!(script.replica.rows_of(tables::BEARER), 1);
    assert_eq!(script.replica.rows_of(tables::BEARER_AGE), 1);
    assert_eq!(script.mint(ALICE, "other", "n3", 12), None);
    assert_eq!(script.run(put(bearer(11), ALICE, "/pub/a", b"x")), None, "another grant's bearer is its own");
}

#[test]
fn bearers_end_after_an_hour_or_with_their_grant() {
    let mut script = Script::new();
    let minted = |script: &mut Script, lifetime_s, nth: &str, secret| {
        let command = script.command(mint(ALICE, grant(nth, CLIENT, lifetime_s), nonce(nth), secret));
        match script.replica.apply(&command).value {
            Some(Value::Minted(minted)) => minted,
            other => panic!("{other:?}"),
        }
    };
    let long = minted(&mut script, 7200, "long", 10);
    let short = minted(&mut script, 60, "short", 11);
    let start_s = START_MS / 1000;
    assert_eq!((long.token_expires_at, long.created_at), (start_s + 3600, start_s));
    assert_eq!((short.token_expires_at, short.grant_expires_at), (start_s + 60, start_s + 60));
    script.ms = 59_999;
    assert_eq!(script.run(put(bearer(11), ALICE, "/pub/a", b"x")), None);
    script.ms = 60_000;
    assert_eq!(script.run(put(bearer(11), ALICE, "/pub/a", b"x")), Some(NoSession));
    assert_eq!(script.get_session(Kind::BearerHash(hash(11)), ALICE), Err(NoSession));
    let Ok(query_reply::Result::GrantSession(session)) = script.get_session(Kind::BearerHash(hash(10)), BOB)
    else {
        panic!("a live session, whoever the tenant")
    };
    assert_eq!((session.user, session.created_at), (key_of(ALICE), start_s));
    script.ms = 3_600_000;
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), Some(NoSession));
    script.pass(3_600_000);
    script.run(put(bearer(10), ALICE, "/pub/a", b"x"));
    assert_eq!(script.replica.rows_of(tables::BEARER), 0, "expired bearers are swept");
}

#[test]
fn an_exchange_is_checked_in_the_protocol_s_order() {
    let mut script = Script::new();
    assert_eq!(script.run(mint(ALICE, grant("g", CLIENT, 0), nonce("n"), 10)), Some(GrantExpiredPresented));
    assert_eq!(script.run(mint(77, grant("g", CLIENT, 9), nonce("n"), 10)), Some(NotFound));
    assert_eq!(script.run(mint(77, grant("g", CLIENT, 9), nonce("n"), 10)), Some(PopNonceReused), "spent");
    assert_eq!(script.mint(ALICE, "g", "n", 10), None, "nonces are a user's own, and expiry came first");
    assert_eq!(script.mint(ALICE, "g", "n", 11), Some(PopNonceReused));
    assert_eq!(script.run(mint(ALICE, grant("g", 8, 7200), nonce("n2"), 11)), Some(GrantNotOwned));
    assert_eq!(
        script.run(put(bearer(10), ALICE, "/pub/a", b"x")),
        None,
        "a refused exchange replaces nothing"
    );
    assert_eq!(script.run(bearer_logout(10)), None);
    assert_eq!(script.mint(ALICE, "g", "n", 11), Some(GrantRevoked), "before the nonce");
    assert_eq!(script.run(mint(ALICE, grant("h", CLIENT, 5), nonce("n5"), 12)), None);
    script.ms = 6000;
    assert_eq!(
        script.run(mint(ALICE, grant("h", CLIENT, 60), nonce("n6"), 12)),
        Some(GrantExpired),
        "stored"
    );
    let stale = rowhouse_proto::wire::command::PopNonce {
        nonce: "n7".to_owned(),
        issued_at: Some(START_MS / 1000 - 181),
    };
    assert_eq!(script.run(mint(ALICE, grant("i", CLIENT, 60), stale, 12)), Some(PopTimestamp));
}

#[test]
fn another_user_s_grant_id_is_another_grant() {
    let mut script = Script::new();
    assert_eq!(script.mint(ALICE, "g", "n", 10), None);
    assert_eq!(script.mint(BOB, "g", "n", 11), None);
    assert_eq!(
        script.run(put(bearer(11), ALICE, "/pub/a", b"x")),
        Some(TenantMismatch),
        "the hole is closed"
    );
    assert_eq!(script.run(put(bearer(11), BOB, "/pub/a", b"x")), None);
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), None);
}

#[test]
fn logout_revokes_for_ever() {
    let mut script = Script::new();
    assert_eq!(script.mint(ALICE, "g", "n1", 10), None);
    assert_eq!(script.run(bearer_logout(99)), None, "an unknown bearer is no error");
    let logout = |id: &str, client, nth: &str| proof_logout(ALICE, grant(id, client, 0), nonce(nth));
    assert_eq!(script.run(logout("unknown", CLIENT, "n2")), Some(NotFound));
    assert_eq!(script.run(logout("g", 8, "n3")), Some(GrantNotOwned));
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), None);
    assert_eq!(script.run(logout("g", CLIENT, "n3")), Some(PopNonceReused), "consumed by the refusal");
    assert_eq!(script.run(logout("g", CLIENT, "n4")), None, "an expired grant may still log out");
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), Some(NoSession));
    assert_eq!(script.run(logout("g", CLIENT, "n5")), None, "repeats succeed");
    assert_eq!(script.mint(ALICE, "g", "n6", 11), Some(GrantRevoked));
    assert_eq!(script.replica.rows_of(tables::BEARER), 0);
}

fn sign_out(user: u8, secret: u8) -> Body {
    Body::CloseCookieSession(CloseCookieSession { user: key_of(user), secret_hash: hash(secret) })
}

#[test]
fn only_a_logout_of_what_is_not_logged_in_needs_no_entry() {
    let mut script = Script::new();
    assert_eq!(script.mint(ALICE, "g", "n", 10), None);
    let needless = |script: &Script, body: &Body| {
        changes_nothing(&script.replica.view(), body, START_MS + script.ms).expect("readable")
    };
    for live in [sign_out(ALICE, 1), bearer_logout(10), put(None, ALICE, "/pub/a", b"x"), close(0)] {
        assert!(!needless(&script, &live), "{live:?}");
    }
    let proof = proof_logout(ALICE, grant("unknown", CLIENT, 7200), nonce("n"));
    assert!(!needless(&script, &proof), "its refusal spends a nonce");
    for unknown in [sign_out(BOB, 1), sign_out(ALICE, 2), bearer_logout(11)] {
        assert!(needless(&script, &unknown), "{unknown:?}");
    }
    script.pass(3_600_000);
    assert!(needless(&script, &bearer_logout(10)), "a bearer lives for an hour");
    assert_eq!(script.run(sign_out(ALICE, 1)), None);
    assert!(needless(&script, &sign_out(ALICE, 1)));
}
