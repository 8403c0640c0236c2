//! A user's sessions are bounded: the oldest goes, the others live, and what was revoked stays so.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::script::*;
use machine_fixture::*;
use rowhouse_node::apply::{COOKIE_SESSIONS_MAX, GRANTS_MAX, REVOKED_GRANTS_MAX};
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::wire::command::{self, command::Body};
use rowhouse_proto::wire::shard::credential::Kind;
use rowhouse_proto::wire::state::UserSessions;

const START_S: u64 = START_MS / 1000;

/// Secrets beyond those of the script.
fn secret(n: u64) -> Bytes {
    let mut hash = [0xEE; 32];
    hash[..8].copy_from_slice(&n.to_be_bytes());
    Bytes::copy_from_slice(&hash)
}

fn sign_in(script: &mut Script, n: u64) {
    sign_in_by(script, n, n);
}

fn sign_in_by(script: &mut Script, token: u64, n: u64) {
    let Body::OpenCookieSession(mut open) = open_session(ALICE, auth_token(0, 10 + token), 0, &["/:rw"])
    else {
        panic!("a session")
    };
    open.session.as_mut().expect("built with one").secret_hash = secret(n);
    assert_eq!(script.run(Body::OpenCookieSession(open)), None);
}

fn cookie_lives(script: &Script, n: u64) -> bool {
    script.get_session(Kind::CookieHash(secret(n)), ALICE).is_ok()
}

fn granted(n: u64) -> command::Grant {
    // Three of each second.
    command::Grant { issued_at: START_S + n / 3, ..grant(&format!("g{n}"), CLIENT, 1 << 30) }
}

fn exchange(script: &mut Script, grant: command::Grant, n: u64) -> Option<ErrorCode> {
    let Body::MintBearer(mint) = mint(ALICE, grant, nonce(&format!("n{n}")), 0) else { panic!("a bearer") };
    script.run(Body::MintBearer(command::MintBearer { bearer_hash: secret(n), ..mint }))
}

fn bearer_lives(script: &Script, n: u64) -> bool {
    script.get_session(Kind::BearerHash(secret(n)), ALICE).is_ok()
}

fn sessions(script: &Script) -> UserSessions {
    script.replica.row(&tables::user_sessions(&key_bytes(ALICE))).expect("a record")
}

fn assert_rows_are_counted(script: &Script) {
    let (sessions, replica) = (sessions(script), &script.replica);
    let rows = |table| {
        let own = |key: &&Bytes| key[0] == table && key[1..33] == key_bytes(ALICE);
        replica.rows.0.keys().filter(own).count() as u64
    };
    let cookies = sessions.cookies.unwrap_or_default().rows;
    assert_eq!([rows(tables::COOKIE_SESSION), rows(tables::COOKIE_SESSION_ORDER)], [cookies; 2]);
    let grants = sessions.grants.unwrap_or_default().rows;
    assert_eq!([rows(tables::GRANT_ORDER), rows(tables::GRANT_EXPIRY)], [grants; 2]);
    assert_eq!(rows(tables::REVOKED_GRANT), sessions.revoked_grants);
    assert_eq!(rows(tables::GRANT), grants + sessions.revoked_grants);
}

#[test]
fn the_oldest_cookie_session_ends_when_there_are_too_many() {
    let mut script = Script::new();
    // Beside the one of the signup, and all of them in one moment.
    for n in 1..COOKIE_SESSIONS_MAX {
        sign_in(&mut script, n);
    }
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None, "exactly full");
    assert_rows_are_counted(&script);
    sign_in(&mut script, COOKIE_SESSIONS_MAX);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), Some(NoSession), "the signup's own");
    assert!((1..=COOKIE_SESSIONS_MAX).all(|n| cookie_lives(&script, n)));
    assert_eq!(script.run(put(cookie(2), BOB, "/pub/a", b"x")), None, "another user's");

    let close = command::CloseCookieSession { user: key_of(ALICE), secret_hash: secret(7) };
    assert_eq!(script.run(Body::CloseCookieSession(close)), None);
    sign_in(&mut script, COOKIE_SESSIONS_MAX + 1);
    assert!(cookie_lives(&script, 1), "a closed one made room");
    sign_in(&mut script, COOKIE_SESSIONS_MAX + 2);
    assert!(!cookie_lives(&script, 1) && cookie_lives(&script, 2));
    sign_in_by(&mut script, 90_000, 500);
    assert!(cookie_lives(&script, 2), "opening it again needs no room");
    for n in 3..=600 {
        sign_in(&mut script, COOKIE_SESSIONS_MAX + n);
    }
    assert!((2..=600).all(|n| cookie_lives(&script, n) == (n == 500)), "and makes it one of the newest");
    assert_rows_are_counted(&script);
}

#[test]
fn expired_grants_go_before_the_oldest_one() {
    let mut script = Script::new();
    let short = |n: u64| command::Grant { expires_at: START_S + 60, ..granted(n) };
    for n in 0..GRANTS_MAX {
        let grant = if n == 5 || n == 9 { short(n) } else { granted(n) };
        assert_eq!(exchange(&mut script, grant, n), None);
    }
    script.ms = 60_000;
    for n in 0..2 {
        assert_eq!(exchange(&mut script, granted(GRANTS_MAX + n), GRANTS_MAX + n), None);
    }
    assert!(bearer_lives(&script, 0), "two had expired");
    assert_eq!(sessions(&script).revoked_grants, 0);
    assert_rows_are_counted(&script);

    assert_eq!(exchange(&mut script, granted(GRANTS_MAX + 2), GRANTS_MAX + 2), None);
    assert!(!bearer_lives(&script, 0));
    assert!((1..GRANTS_MAX + 3).filter(|n| ![5, 9].contains(n)).all(|n| bearer_lives(&script, n)));
    assert_eq!(exchange(&mut script, granted(0), 9_000), Some(GrantRevoked), "it was revoked, not forgotten");
    assert_eq!(exchange(&mut script, granted(3), 9_001), None, "the others are refreshed as ever");
    assert_rows_are_counted(&script);
}

#[test]
fn a_revoked_grant_stays_revoked_however_many_follow() {
    let mut script = Script::new();
    // Each one beyond the bound revokes the oldest; five revoked ones are forgotten.
    let all = GRANTS_MAX + REVOKED_GRANTS_MAX + 5;
    for n in 0..all {
        assert_eq!(exchange(&mut script, granted(n), n), None);
    }
    let known = sessions(&script);
    assert_eq!(known.revoked_grants, REVOKED_GRANTS_MAX);
    assert_eq!(known.revoked_until, Some(START_S + 4 / 3));
    assert_rows_are_counted(&script);
    for n in 0..all - GRANTS_MAX {
        assert!(!bearer_lives(&script, n));
        assert_eq!(exchange(&mut script, granted(n), all + n), Some(GrantRevoked), "{n}");
    }
    assert!((all - GRANTS_MAX..all).all(|n| bearer_lives(&script, n)));

    let unseen = |issued_at| command::Grant { issued_at, ..grant("unseen", CLIENT, 1 << 30) };
    let mut nth = 20_000..;
    let mut present = |issued_at| exchange(&mut script, unseen(issued_at), nth.next().expect("endless"));
    assert_eq!(present(START_S + 1), Some(GrantRevoked), "as old as those that were forgotten");
    assert_eq!(present(START_S + 2), None);
    assert_rows_are_counted(&script);
}

#[test]
fn a_grant_older_than_those_that_were_forgotten_takes_no_place_when_it_is_revoked() {
    let mut script = Script::new();
    let early = || command::Grant { issued_at: START_S - 10, ..grant("early", CLIENT, 1 << 30) };
    for n in 0..GRANTS_MAX + REVOKED_GRANTS_MAX + 5 {
        if n == GRANTS_MAX + REVOKED_GRANTS_MAX - 2 {
            assert_eq!(exchange(&mut script, early(), 80_000), None, "nothing is forgotten yet");
        }
        assert_eq!(exchange(&mut script, granted(n), n), None);
    }
    let before = sessions(&script);
    assert!(before.revoked_until >= Some(START_S), "newer ones are forgotten");
    assert_eq!(script.run(proof_logout(ALICE, early(), nonce("p"))), None);
    let after = sessions(&script);
    assert_eq!((after.revoked_grants, after.revoked_until), (REVOKED_GRANTS_MAX, before.revoked_until));
    assert_rows_are_counted(&script);
    assert!(!bearer_lives(&script, 80_000));
    assert_eq!(exchange(&mut script, early(), 80_001), Some(GrantRevoked));
}

#[test]
fn a_logout_makes_room_and_counts_once() {
    let mut script = Script::new();
    for n in 0..3 {
        assert_eq!(exchange(&mut script, granted(n), n), None);
    }
    for nth in ["p1", "p2"] {
        assert_eq!(script.run(proof_logout(ALICE, granted(1), nonce(nth))), None);
        assert_eq!(sessions(&script).revoked_grants, 1);
        assert_rows_are_counted(&script);
    }
    assert!(bearer_lives(&script, 0) && !bearer_lives(&script, 1) && bearer_lives(&script, 2));
}
