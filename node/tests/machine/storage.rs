//! PUT, DELETE and GET: order of checks, quotas, collisions, privacy.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::script::*;
use machine_fixture::*;
use rowhouse_node::apply::{Precheck, precheck};
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::shard::credential::Kind;
use rowhouse_proto::wire::state::User;

#[test]
fn a_put_is_checked_in_the_protocol_s_order() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file", b"x")), None);
    let strict = User { disabled: true, quota: Some(quota(Some(0), Some(&["/pub/ok/"]))), ..User::default() };
    script.set_user(ALICE, &strict);
    assert_eq!(script.run(put(None, ALICE, "/other/dir/", b"x")), Some(NoSession));
    assert_eq!(script.run(put(cookie(1), ALICE, "/other/dir/", b"x")), Some(TargetMustBeFile));
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/../x", b"x")), Some(InvalidStoragePath));
    assert_eq!(script.run(put(cookie(1), ALICE, "/other/x", b"x")), Some(WriteOutsideRoots));
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file/x", b"x")), Some(UserDisabled));
    script.set_user(ALICE, &User { disabled: false, ..strict.clone() });
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/file/x", b"x")), Some(QuotaExceeded));
    script.set_user(ALICE, &User { quota: Some(quota(None, Some(&["/pub/ok/"]))), ..User::default() });
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
    script.limit(ALICE, 300);
    let command = script.command(put(cookie(1), ALICE, "/pub/file/x", b"x"));
    let verdict = |content_length| match precheck(&script.replica.view(), &command, content_length, START_MS)
        .expect("readable")
    {
        Precheck::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
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
    assert_eq!(
        script.run(put(cookie(1), ALICE, "/pub/a/b", b"x")),
        None,
        "/pub/a/b0 is beside it, not below"
    );
}

#[test]
fn a_delete_is_checked_in_the_protocol_s_order() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    script.set_user(
        ALICE,
        &User { disabled: true, quota: Some(quota(Some(0), Some(&["/pub/ok"]))), ..User::default() },
    );
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/missing")), Some(NotFound), "before the write path");
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), Some(WritePathNotAllowed));
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a/")), Some(TargetMustBeFile));
    script.set_user(ALICE, &User { disabled: true, quota: Some(quota(Some(0), None)), ..User::default() });
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
    assert_eq!((entry.length, entry.modified_ms, entry.body.len()), (0, START_MS + 1000, 0));
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
