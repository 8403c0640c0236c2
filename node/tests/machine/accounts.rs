//! Signup by a token, its settlement, quotas, disabled users and the operator's credential.

use crate::machine_fixture;

use machine_fixture::account::*;
use machine_fixture::script::*;
use machine_fixture::upload::*;
use machine_fixture::*;
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::account::user_quota::Storage;
use rowhouse_proto::wire::account::{QuotaField, QuotaPatch, UserQuota};
use rowhouse_proto::wire::command::{self, command::Body, outcome::Value};
use rowhouse_proto::wire::shard::credential::Kind;
use rowhouse_proto::wire::shard::{self, GetUser, ReadEntry};
use rowhouse_proto::wire::state::VoidSignup;

const CAROL: u8 = 3;

fn account(script: &Script, user: u8) -> Result<shard::Account, ErrorCode> {
    unrefused(read::get_user(&script.replica.view(), &GetUser { tenant: key_of(user) }))
}

/// Carol's signup with a token of her own each time.
fn sign_up(script: &mut Script, nth: u64, verdict: Verdict) -> Option<ErrorCode> {
    let body = admitted(CAROL, auth_token(0, nth), CAROL, verdict);
    assert_eq!(script.early(body.clone()), None, "only the log spends a token");
    script.run(body)
}

fn settled(script: &mut Script, user: u8, token: &str, number: u64) -> bool {
    let command = script.command(settle(user, token, number));
    match script.replica.apply(&command).value {
        Some(Value::Settled(settled)) => settled.spent,
        other => panic!("not settled: {other:?}"),
    }
}

fn void_number(script: &Script, user: u8) -> Option<u64> {
    script.replica.row::<VoidSignup>(&tables::void_signup(&key_bytes(user))).map(|row| row.number)
}

#[test]
fn a_signup_spends_its_guard_then_finds_the_user_then_hears_the_meta_group() {
    let mut script = Script::new();
    let refused = |code: ErrorCode| Verdict::Refused(code.number());
    let exists = admitted(ALICE, auth_token(0, 50), ALICE, refused(SignupTokenRequired));
    assert_eq!(script.run(exists.clone()), Some(UserExists), "whatever the token");
    assert_eq!(script.run(exists), Some(AuthTokenReused));
    for (nth, code) in (60..).zip([SignupTokenRequired, SignupTokenInvalid, SignupTokenUsed]) {
        assert_eq!(sign_up(&mut script, nth, refused(code)), Some(code));
        let again = admitted(CAROL, auth_token(0, nth), CAROL, Verdict::Open(true));
        assert_eq!(script.both(again), Some(AuthTokenReused), "it was spent all the same");
    }
    assert_eq!(
        sign_up(&mut script, 70, Verdict::Refused(9_999)),
        Some(Internal),
        "a code of another program"
    );

    assert!(!settled(&mut script, CAROL, TOKEN, 5));
    assert_eq!(sign_up(&mut script, 71, reserved(TOKEN, 5, None)), Some(SignupTokenUsed));
    let again = admitted(CAROL, auth_token(0, 71), CAROL, reserved(TOKEN, 6, None));
    assert_eq!(script.both(again), Some(AuthTokenReused), "it was spent all the same");
    assert_eq!(sign_up(&mut script, 72, reserved(TOKEN, 4, None)), Some(SignupTokenUsed), "an older one too");
    assert_eq!(account(&script, CAROL), Err(NotFound));

    let own = quota(Some(5), Some(&["/pub/x/"]));
    assert_eq!(sign_up(&mut script, 73, reserved("another token", 6, Some(own.clone()))), None);
    let carol = account(&script, CAROL).expect("she exists");
    assert_eq!((carol.quota, carol.disabled, carol.created_at_ms), (Some(own), false, START_MS));
    assert_eq!(void_number(&script, CAROL), None, "of who does not exist");
    assert_eq!(read::stats(&script.replica.view()).expect("readable").users, 3);
}

#[test]
fn a_signup_without_a_token_of_its_own_has_no_quota() {
    for (nth, verdict) in (80..).zip([Verdict::Open(true), reserved(TOKEN, 1, Some(UserQuota::default()))]) {
        let mut script = Script::new();
        assert_eq!(sign_up(&mut script, nth, verdict), None);
        assert_eq!(account(&script, CAROL).expect("she exists").quota, None);
    }
}

#[test]
fn what_became_of_a_signup_is_settled_for_good() {
    let mut script = Script::new();
    assert!(!settled(&mut script, CAROL, TOKEN, 7));
    assert!(!settled(&mut script, CAROL, TOKEN, 7), "asked again");
    assert!(!settled(&mut script, CAROL, "another token", 3));
    assert_eq!(void_number(&script, CAROL), Some(7), "never falls");
    assert!(!settled(&mut script, BOB, TOKEN, 8), "he came without one");
    assert_eq!(void_number(&script, BOB), None);
    assert_eq!(sign_up(&mut script, 80, reserved(TOKEN, 8, None)), None);
    assert!(settled(&mut script, CAROL, TOKEN, 8));
    assert!(settled(&mut script, CAROL, TOKEN, 8), "asked again");
    assert!(!settled(&mut script, CAROL, "another token", 9), "she used the other one");
    assert_eq!(void_number(&script, CAROL), None);
    let Body::SettleSignup(nobody) = settle(CAROL, TOKEN, 1) else { panic!("a settlement") };
    let nobody = command::SettleSignup { user: hash(1).slice(..31), ..nobody };
    assert_eq!(script.both(Body::SettleSignup(nobody)), Some(InvalidStorageOwner));
}

#[test]
fn who_asks_for_files_of_enabled_users_hears_of_disabled_ones() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    let ask = |script: &Script, user: u8, path: &str, of_enabled: bool| {
        let query = ReadEntry { tenant: key_of(user), path: path.into(), of_enabled, ..ReadEntry::default() };
        unrefused(read::read_entry(&script.replica.view(), &query, START_MS)).map(|entry| entry.of_enabled)
    };
    assert_eq!(ask(&script, ALICE, "/pub/a", true), Ok(true));
    assert_eq!(ask(&script, ALICE, "/pub/a", false), Ok(false), "not asked");
    assert_eq!(ask(&script, ALICE, "/pub/b", true), Err(NotFound));
    assert_eq!(ask(&script, CAROL, "/pub/a", true), Err(NotFound), "there is no such user");
    assert_eq!(script.both(disable(ALICE, true)), None);
    for path in ["/pub/a", "/pub/b"] {
        assert_eq!(ask(&script, ALICE, path, true), Err(UserDisabled), "{path}");
    }
    assert_eq!(ask(&script, ALICE, "/pub/a", false), Ok(false));
}

#[test]
fn a_disabled_user_signs_in_reads_and_deletes_but_does_not_put() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/priv/a", b"x")), None);
    let disabled = |script: &Script| read::stats(&script.replica.view()).expect("readable").disabled_users;
    for _ in 0..2 {
        assert_eq!(script.both(disable(ALICE, true)), None);
        assert_eq!((disabled(&script), account(&script, ALICE).expect("there").disabled), (1, true));
    }
    assert_eq!(script.both(put(cookie(1), ALICE, "/pub/b", b"x")), Some(UserDisabled));
    assert_eq!(script.early(begin(ALICE, "/pub/c", 1, Some(MIB))), Some(UserDisabled));
    assert_eq!(script.both(open_session(ALICE, auth_token(0, 90), 30, &["/:rw"])), None);
    assert_eq!(script.mint(ALICE, "g", "n", 31), None);
    assert!(script.get_session(Kind::CookieHash(hash(30)), ALICE).is_ok());
    for kind in [Kind::CookieHash(hash(30)), Kind::BearerHash(hash(31))] {
        assert!(script.get("/priv/a", Some(kind)).is_ok());
    }
    assert_eq!(script.both(delete(bearer(31), ALICE, "/priv/a")), None);
    assert_eq!(script.both(put(cookie(2), BOB, "/pub/b", b"x")), None, "another user");
    for _ in 0..2 {
        assert_eq!(script.both(disable(ALICE, false)), None);
        assert_eq!((disabled(&script), account(&script, ALICE).expect("there").disabled), (0, false));
    }
    assert_eq!(script.both(put(cookie(1), ALICE, "/pub/b", b"x")), None);
    for on in [true, false] {
        assert_eq!(script.both(disable(CAROL, on)), Some(NotFound));
        let nobody = command::DisableUser { user: hash(1).slice(..31), disabled: on };
        assert_eq!(script.both(Body::DisableUser(nobody)), Some(InvalidStorageOwner));
    }
    assert_eq!(disabled(&script), 0);
}

#[test]
fn an_upload_that_began_before_its_user_was_disabled_is_not_put() {
    let mut script = Script::new();
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), None);
    assert_eq!(script.run(disable(ALICE, true)), None);
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, MIB)), Some(UserDisabled));
}

#[test]
fn a_quota_s_fields_are_changed_one_by_one() {
    let mut script = Script::new();
    let rates = |read: &str, burst| UserQuota {
        rate_read: Some(read.into()),
        rate_read_burst: burst,
        ..UserQuota::default()
    };
    assert_eq!(script.both(change_quota(ALICE, rates("1mb/s", Some(3)), &[])), None);
    assert_eq!(script.both(change_quota(ALICE, quota(Some(0), Some(&[])), &[])), None);
    let all =
        UserQuota { rate_read: Some("1mb/s".into()), rate_read_burst: Some(3), ..quota(Some(0), Some(&[])) };
    assert_eq!(account(&script, ALICE).expect("there").quota, Some(all.clone()), "the others stay");

    let bad = [
        change_quota(ALICE, UserQuota::default(), &[QuotaField::RateRead]),
        change_quota(ALICE, rates("unlimited", None), &[]),
        change_quota(ALICE, rates("much", None), &[]),
        change_quota(ALICE, quota(None, Some(&["/"])), &[]),
        change_quota(ALICE, quota(None, Some(&["/pub/a", "/pub/a"])), &[]),
        change_quota(ALICE, quota(None, Some(&["pub"])), &[]),
        Body::ChangeQuota(command::ChangeQuota {
            user: key_of(ALICE),
            patch: Some(QuotaPatch { set: None, reset: vec![99] }),
        }),
    ];
    for body in bad {
        assert_eq!(script.both(body), Some(InvalidQuota));
        assert_eq!(account(&script, ALICE).expect("there").quota, Some(all.clone()));
    }
    assert_eq!(script.both(change_quota(CAROL, UserQuota::default(), &[])), Some(NotFound));

    let fields = [QuotaField::RateRead, QuotaField::RateReadBurst, QuotaField::AllowedWritePaths];
    assert_eq!(script.both(change_quota(ALICE, UserQuota::default(), &fields)), None);
    assert_eq!(account(&script, ALICE).expect("there").quota, Some(quota(Some(0), None)));
    assert_eq!(script.both(change_quota(ALICE, UserQuota::default(), &[QuotaField::Storage])), None);
    assert_eq!(account(&script, ALICE).expect("there").quota, None, "back to the defaults");
}

#[test]
fn a_user_s_own_quota_stands_above_the_default() {
    let unlimited = UserQuota { storage: Some(Storage::StorageUnlimited(true)), ..UserQuota::default() };
    let full = vec![b'x'; 60_000];
    let cases = [
        (None, None, None),
        (None, Some(60_256), None),
        (None, Some(60_255), Some(QuotaExceeded)),
        (None, Some(0), Some(QuotaExceeded)),
        (Some(unlimited), Some(0), None),
        (Some(quota(Some(1), None)), Some(0), None),
        (Some(quota(Some(0), None)), None, Some(QuotaExceeded)),
        (Some(quota(None, Some(&["/pub/"]))), Some(0), Some(QuotaExceeded)),
    ];
    for (own, default_bytes, expected) in cases {
        let mut script = Script::new();
        if let Some(own) = &own {
            assert_eq!(script.run(change_quota(ALICE, own.clone(), &[])), None);
        }
        let told = format!("{own:?} {default_bytes:?}");
        let upload = under_quota(begin(ALICE, "/pub/b", 1, Some(60_000)), default_bytes);
        assert_eq!(script.early(upload), expected, "{told}");
        let put = under_quota(put(cookie(1), ALICE, "/pub/a", &full), default_bytes);
        assert_eq!(script.both(put), expected, "{told}");
    }
}

#[test]
fn write_paths_bind_puts_and_deletes_but_no_reads() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/old", b"x")), None);
    assert_eq!(script.run(change_quota(ALICE, quota(None, Some(&["/pub/app/", "/priv/one"])), &[])), None);
    for (path, expected) in [
        ("/pub/app/a/b", None),
        ("/priv/one", None),
        ("/pub/app", Some(WritePathNotAllowed)),
        ("/pub/apps", Some(WritePathNotAllowed)),
        ("/priv/one1", Some(WritePathNotAllowed)),
        ("/pub/old", Some(WritePathNotAllowed)),
    ] {
        assert_eq!(script.early(begin(ALICE, path, 1, None)), expected, "{path}");
        assert_eq!(script.both(put(cookie(1), ALICE, path, b"x")), expected, "{path}");
    }
    assert_eq!(script.both(delete(cookie(1), ALICE, "/pub/old")), Some(WritePathNotAllowed));
    assert_eq!(script.run(change_quota(ALICE, quota(None, Some(&[])), &[])), None);
    for path in ["/pub/app/a/b", "/priv/one", "/pub/old"] {
        assert_eq!(script.both(put(cookie(1), ALICE, path, b"x")), Some(WritePathNotAllowed), "{path}");
        assert_eq!(script.both(delete(cookie(1), ALICE, path)), Some(WritePathNotAllowed), "{path}");
        assert!(script.get(path, Some(Kind::CookieHash(hash(1)))).is_ok());
    }
    assert_eq!(script.run(change_quota(ALICE, UserQuota::default(), &[QuotaField::AllowedWritePaths])), None);
    assert_eq!(script.both(put(cookie(1), ALICE, "/pub/old", b"x")), None);
}

#[test]
fn an_operator_writes_past_a_user_s_state_but_not_past_quota_and_roots() {
    let mut script = Script::new();
    assert_eq!(script.run(disable(ALICE, true)), None);
    assert_eq!(script.run(change_quota(ALICE, quota(Some(1), Some(&[])), &[])), None);
    assert_eq!(script.both(put(operator(), ALICE, "/priv/a/b", b"x")), None);
    assert_eq!(script.replica.events().len(), 1, "told as any other");
    assert!(script.get("/priv/a/b", Some(Kind::Operator(true))).is_ok());
    for (path, refused) in [
        ("/other/a", WriteOutsideRoots),
        ("/pub/", TargetMustBeFile),
        ("/pub/../a", InvalidStoragePath),
        ("/priv/a", PathCollision),
        ("/priv/a/b/c", PathCollision),
    ] {
        assert_eq!(script.both(put(operator(), ALICE, path, b"x")), Some(refused), "{path}");
    }
    assert_eq!(script.both(put(operator(), CAROL, "/pub/a", b"x")), Some(NotFound), "nobody");
    let Body::BeginUpload(upload) = begin(ALICE, "/pub/large", 1, Some(MIB - 256)) else {
        panic!("an upload")
    };
    let by_operator = |length| {
        let content_length = Some(length);
        Body::BeginUpload(command::BeginUpload { credential: operator(), content_length, ..upload.clone() })
    };
    assert_eq!(script.early(by_operator(MIB)), Some(QuotaExceeded));
    assert_eq!(script.both(by_operator(MIB - 1024)), None);
    assert_eq!(script.run(change_quota(ALICE, quota(Some(0), None), &[])), None);
    assert_eq!(script.both(put(operator(), ALICE, "/pub/c", b"x")), Some(QuotaExceeded));
    assert_eq!(script.both(delete(operator(), ALICE, "/priv/a/b")), None);
    assert_eq!(script.both(delete(operator(), ALICE, "/priv/a/b")), Some(NotFound));
    assert_eq!(script.both(delete(operator(), ALICE, "/other/a")), Some(WriteOutsideRoots));
    let no_default = under_quota(put(operator(), BOB, "/pub/c", b"x"), Some(0));
    assert_eq!(script.both(no_default), Some(QuotaExceeded));
}
