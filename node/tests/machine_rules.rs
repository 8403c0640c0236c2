//! The rules of single commands: order of checks, guards, sessions, quotas, clocks, deduplication.

mod machine_fixture;

use bytes::Bytes;
use machine_fixture::*;
use prost::Message;
use rowhouse_node::apply::{Precheck, Stop, precheck};
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::domain::event::{event_id, event_time};
use rowhouse_proto::wire::command::{Command, command::Body, outcome::Value};
use rowhouse_proto::wire::shard::{self, GetSession, ReadEntry, query_reply, credential::Kind};
use rowhouse_proto::wire::state::User;

const ALICE: u8 = 1;
const BOB: u8 = 2;
const CLIENT: u8 = 9;

/// Applies bodies one after the other, each as a request of its own.
struct Script {
    replica: Replica,
    number: u64,
    ms: u64,
}

impl Script {
    /// Alice and Bob with root cookies 1 and 2.
    fn new() -> Self {
        let mut script = Self { replica: Replica::default(), number: 0, ms: 0 };
        assert_eq!(script.run(create_user(ALICE, auth_token(0, 0), 1)), None);
        assert_eq!(script.run(create_user(BOB, auth_token(0, 1), 2)), None);
        script
    }

    fn command(&mut self, body: Body) -> Command {
        self.number += 1;
        command(self.number, self.ms, body)
    }

    fn run(&mut self, body: Body) -> Option<ErrorCode> {
        let command = self.command(body);
        self.replica.refusal(&command)
    }

    fn set_user(&mut self, user: u8, record: &User) {
        self.replica.put_row(tables::user(&key_bytes(user)), record);
    }

    fn mint(&mut self, user: u8, id: &str, nth: &str, secret: u8) -> Option<ErrorCode> {
        self.run(mint(user, grant(id, CLIENT, 7200), nonce(nth), secret))
    }

    fn get_session(&self, kind: Kind, tenant: u8) -> Result<query_reply::Result, ErrorCode> {
        let query = GetSession { credential: Some(shard::Credential { kind: Some(kind) }), tenant: key_of(tenant) };
        unrefused(read::get_session(&self.replica.view(), &query, START_MS + self.ms))
    }

    fn get(&self, path: &str, kind: Option<Kind>) -> Result<shard::Entry, ErrorCode> {
        let credential = kind.map(|kind| shard::Credential { kind: Some(kind) });
        let query = ReadEntry { credential, tenant: key_of(ALICE), path: path.to_owned(), head: false };
        unrefused(read::read_entry(&self.replica.view(), &query, START_MS + self.ms))
    }
}

fn unrefused<T>(result: Result<T, Stop>) -> Result<T, ErrorCode> {
    match result {
        Ok(value) => Ok(value),
        Err(Stop::Refused(refusal)) => Err(refusal.code),
        Err(Stop::Failed(error)) => panic!("{error}"),
    }
}

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
    script.ms = 359_000;
    assert_eq!(script.run(open_session(ALICE, auth_token(180_000, 0), 4, &[])), Some(AuthTokenReused));
    script.ms = 362_000;
    assert_eq!(script.run(open_session(ALICE, auth_token(180_000, 0), 4, &[])), Some(InvalidAuthToken));
    assert_eq!(script.run(open_session(ALICE, auth_token(362_000, 0), 4, &[])), None);
    assert_eq!(script.replica.rows_of(tables::AUTH_TOKEN), 1, "the old ones were swept");
    script.ms = 0;
    let mut behind = script.command(open_session(ALICE, auth_token(0, 3), 5, &[]));
    behind.issued_at_us += 362_000_000;
    assert_eq!(script.replica.refusal(&behind), Some(InvalidAuthToken), "shard_now never falls");
}

#[test]
fn cookie_sessions_work_for_their_tenant_until_closed() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    assert_eq!(script.run(put(cookie(1), BOB, "/pub/a", b"x")), Some(NoSession), "another tenant's cookie is not seen");
    assert_eq!(script.run(put(None, ALICE, "/pub/a", b"x")), Some(NoSession));
    let Ok(query_reply::Result::CookieSession(session)) = script.get_session(Kind::CookieHash(hash(1)), ALICE) else {
        panic!("a live session")
    };
    assert_eq!((session.created_at_us, session.capabilities), (START_MS * 1000, vec!["/:rw".to_owned()]));
    assert_eq!(script.get_session(Kind::CookieHash(hash(1)), BOB), Err(NoSession));
    let close = |user| {
        use rowhouse_proto::wire::command::CloseCookieSession;
        Body::CloseCookieSession(CloseCookieSession { user: key_of(user), secret_hash: hash(1) })
    };
    assert_eq!(script.run(close(BOB)), None);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None, "only its user closes it");
    assert_eq!(script.run(close(ALICE)), None);
    assert_eq!(script.run(close(ALICE)), None, "idempotent");
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
    let Ok(query_reply::Result::GrantSession(session)) = script.get_session(Kind::BearerHash(hash(10)), BOB) else {
        panic!("a live session, whoever the tenant")
    };
    assert_eq!((session.user, session.created_at), (key_of(ALICE), start_s));
    script.ms = 3_600_000;
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), Some(NoSession));
    script.ms = 3_602_000;
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
    assert_eq!(script.run(put(bearer(10), ALICE, "/pub/a", b"x")), None, "a refused exchange replaces nothing");
    assert_eq!(script.run(bearer_logout(10)), None);
    assert_eq!(script.mint(ALICE, "g", "n", 11), Some(GrantRevoked), "before the nonce");
    assert_eq!(script.run(mint(ALICE, grant("h", CLIENT, 5), nonce("n5"), 12)), None);
    script.ms = 6000;
    assert_eq!(script.run(mint(ALICE, grant("h", CLIENT, 60), nonce("n6"), 12)), Some(GrantExpired), "stored");
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
    assert_eq!(script.run(put(bearer(11), ALICE, "/pub/a", b"x")), Some(TenantMismatch), "the hole is closed");
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

#[test]
fn a_put_is_checked_in_the_protocol_s_order() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file", b"x")), None);
    let strict = User {
        disabled: true,
        quota_bytes: Some(0),
        allowed_write_paths: vec!["/pub/ok/".to_owned()],
        ..User::default()
    };
    script.set_user(ALICE, &strict);
    assert_eq!(script.run(put(None, ALICE, "/other/dir/", b"x")), Some(NoSession));
    assert_eq!(script.run(put(cookie(1), ALICE, "/other/dir/", b"x")), Some(TargetMustBeFile));
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/../x", b"x")), Some(InvalidStoragePath));
    assert_eq!(script.run(put(cookie(1), ALICE, "/other/x", b"x")), Some(WriteOutsideRoots));
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file/x", b"x")), Some(UserDisabled));
    script.set_user(ALICE, &User { disabled: false, ..strict.clone() });
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file/x", b"x")), Some(QuotaExceeded));
    script.set_user(ALICE, &User { disabled: false, quota_bytes: None, ..strict });
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file/x", b"x")), Some(WritePathNotAllowed));
    script.set_user(ALICE, &User::default());
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file/x", b"x")), Some(PathCollision));
    assert_eq!(script.replica.events().len(), 1, "refusals write no event");
    let huge = vec![0; 64 * 1024 + 1];
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/huge", &huge)), Some(BodyTooLarge));
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/full", &huge[1..])), None);
}

#[test]
fn a_chunked_put_is_judged_by_quota_last() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file", b"x")), None);
    script.set_user(ALICE, &User { quota_bytes: Some(300), ..User::default() });
    let command = script.command(put(cookie(1), ALICE, "/pub/file/x", b"x"));
    let verdict = |content_length| {
        match precheck(&script.replica.view(), &command, content_length, START_MS).expect("readable") {
            Precheck::Refused(refusal) => refusal.code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(verdict(Some(1)), QuotaExceeded);
    assert_eq!(verdict(Some(0)), QuotaExceeded);
    assert_eq!(verdict(None), PathCollision);
}

#[test]
fn collisions_go_both_ways_and_end_with_the_blocker() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a/b/c", b"x")), None);
    for blocked in ["/pub/a", "/pub/a/b", "/pub/a/b/c/d", "/pub/a/b/c/d/e"] {
        assert_eq!(script.run(put(cookie(1), ALICE, blocked, b"x")), Some(PathCollision), "{blocked}");
    }
    for free in ["/pub/a-", "/pub/a/b0", "/pub/a/b/c", "/pub/a.b", "/priv/a"] {
        assert_eq!(script.run(put(cookie(1), ALICE, free, b"x")), None, "{free}");
    }
    assert_eq!(script.run(put(cookie(2), BOB, "/pub/a", b"x")), None, "another user's paths are another's");
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a/b/c")), None);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a/b", b"x")), None, "/pub/a/b0 is beside it, not below");
}

#[test]
fn a_delete_is_checked_in_the_protocol_s_order() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    script.set_user(ALICE, &User {
        disabled: true,
        quota_bytes: Some(0),
        allowed_write_paths: vec!["/pub/ok".to_owned()],
        ..User::default()
    });
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/missing")), Some(NotFound), "before the write path");
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), Some(WritePathNotAllowed));
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a/")), Some(TargetMustBeFile));
    script.set_user(ALICE, &User { disabled: true, quota_bytes: Some(0), ..User::default() });
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), None, "disabled and over quota may delete");
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), Some(NotFound));
    assert_eq!(script.replica.rows_of(tables::BODY), 0);
}

#[test]
fn what_was_put_is_read_back_and_private_files_are_guarded() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"hello")), None);
    script.ms = 5;
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"")), None);
    assert_eq!(script.run(put(cookie(1), ALICE, "/priv/a", b"secret")), None);
    let entry = script.get("/pub/a", None).expect("public");
    assert_eq!((entry.length, entry.modified_ms, entry.body.len()), (0, START_MS + 5, 0));
    assert_eq!(&entry.hash[..], blake3::hash(b"").as_bytes());
    assert_eq!(script.get("/pub/missing", None), Err(NotFound));
    assert_eq!(script.get("/pub/", None), Err(NotFound));
    for path in ["/priv/a", "/priv/missing"] {
        assert_eq!(script.get(path, None), Err(ReadNeedsAuth));
        assert_eq!(script.get(path, Some(Kind::CookieHash(hash(2)))), Err(ReadNeedsAuth));
    }
    assert_eq!(script.mint(BOB, "g", "n", 10), None);
    assert_eq!(script.get("/priv/a", Some(Kind::BearerHash(hash(10)))), Err(TenantMismatch));
    let mine = script.get("/priv/a", Some(Kind::CookieHash(hash(1)))).expect("the owner");
    assert_eq!(mine.body, Bytes::from_static(b"secret"));
}

#[test]
fn event_ids_rise_whatever_the_clocks_do() {
    let mut script = Script::new();
    let mut expected = Vec::new();
    let mut last = event_t(0);
    for (nth, ms) in [1000, 1000, 10, 2000, 0].into_iter().enumerate() {
        script.ms = ms;
        assert_eq!(script.run(put(cookie(1), ALICE, &format!("/pub/{nth}"), b"x")), None);
        last = event_t(ms).max(last + 1);
        expected.push(event_id(last, SHARD));
    }
    let ids: Vec<u64> = script.replica.events().iter().map(|event| event.id).collect();
    assert_eq!(ids, expected);
    assert!(ids.is_sorted_by(|a, b| a < b));
    let modified = script.get("/pub/4", None).expect("public").modified_ms;
    assert_eq!(modified, START_MS + 2000, "shard_now never falls");
}

#[test]
fn close_moves_the_event_clock_and_writes_nothing_else() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    let before = script.replica.rows.0.len();
    let mut closing = script.command(close(event_t(50_000)));
    closing.request_id = Bytes::new();
    assert_eq!(script.replica.refusal(&closing), None);
    assert_eq!(script.replica.refusal(&closing), None, "repeating it is harmless");
    let clock = read::clock(&script.replica.view()).expect("readable");
    assert_eq!((clock.closed_t, script.replica.rows.0.len()), (event_t(50_000), before));
    assert!(clock.last_event_t < clock.closed_t);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/b", b"x")), None);
    let newest = script.replica.events().pop().expect("two events");
    assert_eq!(newest.id, event_id(event_t(50_000) + 1, SHARD));
    assert_eq!(script.run(close(1)), None);
    let clock = read::clock(&script.replica.view()).expect("readable");
    assert_eq!(clock.closed_t, event_t(50_000) + 1, "never back");
}

#[test]
fn a_retry_gets_the_first_answer_and_changes_nothing() {
    let mut script = Script::new();
    let first = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    assert_eq!(script.replica.refusal(&first), None);
    let erase = script.command(delete(cookie(1), ALICE, "/pub/a"));
    assert_eq!(script.replica.refusal(&erase), None);
    let refused = script.command(delete(cookie(1), ALICE, "/pub/a"));
    assert_eq!(script.replica.refusal(&refused), Some(NotFound));
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"y")), None);
    for (command, answer) in [(first, None), (erase, None), (refused, Some(NotFound))] {
        let later = Command { hlc_us: command.hlc_us + 1, now_ms: command.now_ms + 9000, ..command.clone() };
        let verdict = precheck(&script.replica.view(), &later, None, START_MS).expect("readable");
        assert!(matches!(verdict, Precheck::Known(_)), "{verdict:?}");
        let encoded: Bytes = later.encode_to_vec().into();
        let (outcomes, writes) = script.replica.apply_bytes(&[encoded]);
        assert_eq!(code(&outcomes[0]), answer);
        assert!(writes.is_empty(), "{writes:?}");
    }
    assert_eq!(script.replica.events().len(), 3);
    assert!(script.get("/pub/a", None).is_ok());
}

#[test]
fn a_request_beyond_the_window_is_refused_and_its_row_swept() {
    let mut script = Script::new();
    let old = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    let fresh_but_old = script.command(put(cookie(1), ALICE, "/pub/b", b"x"));
    assert_eq!(script.replica.refusal(&old), None);
    script.ms = 119_000;
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/c", b"x")), None);
    assert_eq!(script.replica.refusal(&old), None, "still known");
    script.ms = 125_000;
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/c", b"x")), None);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/c", b"x")), None);
    assert_eq!(script.replica.refusal(&old), Some(RequestExpired));
    assert_eq!(script.replica.refusal(&fresh_but_old), Some(RequestExpired));
    assert_eq!(script.get("/pub/b", None), Err(NotFound));
    assert_eq!(script.replica.rows_of(tables::REQUEST), 3);
    assert_eq!(script.replica.rows_of(tables::REQUEST_AGE), 3);
}

#[test]
fn a_row_outlives_its_request_even_when_the_shard_s_clock_was_behind() {
    let mut script = Script::new();
    let mut early = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    early.issued_at_us += 100_000_000;
    assert_eq!(script.replica.refusal(&early), None);
    script.ms = 130_000;
    for _ in 0..3 {
        script.run(put(cookie(1), ALICE, "/pub/b", b"x"));
    }
    assert_eq!(script.replica.refusal(&early), None, "known as long as it is not expired");
    let clock = read::clock(&script.replica.view()).expect("readable");
    assert!(event_time(early.issued_at_us) + 120_000_000 >= clock.closed_t);
}

#[test]
fn unknown_commands_are_refused_without_a_trace() {
    let mut script = Script::new();
    let mut newer = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    newer.version = 2;
    let mut empty = script.command(close(0));
    empty.body = None;
    let rows = script.replica.rows.0.clone();
    let garbage = Bytes::from_static(b"\xff\xff\xff");
    for command in [newer.encode_to_vec().into(), empty.encode_to_vec().into(), garbage] {
        let (outcomes, writes) = script.replica.apply_bytes(&[command]);
        assert_eq!(code(&outcomes[0]), Some(WrongVersion));
        assert!(writes.is_empty());
    }
    let mut nameless = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    nameless.request_id = Bytes::from_static(b"short");
    assert_eq!(script.replica.refusal(&nameless), Some(Internal));
    assert_eq!(script.replica.rows.0, rows);
}
