//! Locks: who holds a path, for how long, and what that means for writes.

use crate::machine_fixture;

use machine_fixture::account::*;
use machine_fixture::condition::*;
use machine_fixture::script::*;
use machine_fixture::upload::*;
use machine_fixture::*;
use rowhouse_node::apply::LOCKS_OF_USER_MAX;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::{command::Body, outcome::Value};
use rowhouse_proto::wire::state::User;

const PATH: &str = "/pub/a";

/// Alice's shard, in which she holds the path's lock 7 for so long.
fn locked(timeout_s: u32) -> Script {
    let mut script = Script::new();
    assert_eq!(script.both(lock(1, ALICE, PATH, 7, timeout_s)), None);
    script
}

fn put_holding(seeds: &[u8], body: &[u8]) -> Body {
    on(holding(seeds), put(cookie(1), ALICE, PATH, body))
}

#[test]
fn a_locked_path_is_written_with_its_token_alone() {
    let mut script = locked(30);
    assert_eq!(script.both(put(cookie(1), ALICE, PATH, b"x")), Some(Locked));
    assert_eq!(script.both(delete(cookie(1), ALICE, PATH)), Some(Locked), "before existence");
    assert_eq!(script.both(put_holding(&[8], b"x")), Some(LockTokenMismatch));
    assert_eq!(script.both(put_holding(&[], b"x")), Some(LockTokenMismatch));
    assert_eq!(script.both(on(holding(&[7]), delete(cookie(1), ALICE, PATH))), Some(NotFound));
    assert_eq!(script.both(put_holding(&[8, 7], b"x")), None);
    assert_eq!(script.both(put(cookie(1), ALICE, "/pub/b", b"x")), None, "another path");
    assert_eq!(
        script.both(on(holding(&[7]), put(cookie(1), ALICE, "/pub/b", b"x"))),
        Some(LockTokenMismatch)
    );
    assert_eq!(script.both(put(cookie(2), BOB, PATH, b"x")), None, "another user's path");
    assert_eq!(script.both(put(operator(), ALICE, PATH, b"x")), None, "operators are not held off");
    assert_eq!(script.both(on(holding(&[7]), delete(cookie(1), ALICE, PATH))), None);
    assert_eq!(script.both(put(cookie(1), ALICE, PATH, b"x")), Some(Locked), "the lock outlives its file");
}

#[test]
fn a_lock_has_one_holder_and_makes_no_file() {
    let mut script = locked(30);
    assert_eq!(script.both(lock(1, ALICE, PATH, 8, 30)), Some(Locked), "its holder too");
    assert_eq!(script.get(PATH, None), Err(NotFound));
    assert_eq!(script.replica.events().len(), 0);
    assert_eq!(script.both(unlock(1, ALICE, PATH, 8)), Some(NoSuchLock));
    assert_eq!(script.both(unlock(1, ALICE, "/pub/b", 7)), Some(NoSuchLock));
    assert_eq!(script.both(unlock(1, ALICE, PATH, 7)), None);
    assert_eq!(script.both(unlock(1, ALICE, PATH, 7)), Some(NoSuchLock));
    assert_eq!(
        script.both(put_holding(&[7], b"x")),
        Some(LockTokenMismatch),
        "an unlocked path needs no token"
    );
    assert_eq!(script.both(lock(1, ALICE, PATH, 8, 30)), None);
    assert_eq!(script.replica.rows_of(tables::LOCK), 1);
    assert_eq!(script.replica.rows_of(tables::LOCK_AGE), 1);
}

#[test]
fn locks_are_authorized_as_writes_are() {
    let mut script = Script::new();
    let at = |path: &str| lock(1, ALICE, path, 7, 30);
    assert_eq!(script.both(lock(3, ALICE, PATH, 7, 30)), Some(NoSession));
    assert_eq!(script.both(at("/pub/dir/")), Some(TargetMustBeFile));
    assert_eq!(script.both(at("/other/x")), Some(WriteOutsideRoots));
    script.set_user(ALICE, &User { disabled: true, ..User::default() });
    assert_eq!(script.both(at(PATH)), Some(UserDisabled));
    script.set_user(ALICE, &User::default());
    assert_eq!(script.both(at(PATH)), None);
    script.set_user(ALICE, &User { disabled: true, ..User::default() });
    assert_eq!(script.both(refresh(1, ALICE, PATH, &[7], 30, false)), Some(UserDisabled));
    assert_eq!(script.both(unlock(1, ALICE, PATH, 7)), None, "disabled users may unlock");
}

#[test]
fn a_lock_ends_in_its_second_and_can_still_be_given_up() {
    let mut script = locked(10);
    script.ms = 9_999;
    assert_eq!(script.both(lock(1, ALICE, PATH, 8, 10)), Some(Locked));
    script.ms = 10_000;
    assert_eq!(script.early(put(cookie(1), ALICE, PATH, b"x")), None);
    assert_eq!(script.both(put_holding(&[7], b"x")), Some(LockTokenMismatch));
    assert_eq!(script.both(refresh(1, ALICE, PATH, &[7], 10, false)), Some(LockTokenMismatch));
    assert_eq!(script.both(unlock(1, ALICE, PATH, 7)), None);
    assert_eq!(script.both(lock(1, ALICE, PATH, 8, 10)), None);
    script.ms = 30_000;
    assert_eq!(script.both(lock(1, ALICE, PATH, 9, 10)), None, "over one that expired");
    assert_eq!(script.both(unlock(1, ALICE, PATH, 8)), Some(NoSuchLock));
}

#[test]
fn a_refresh_gives_another_time_and_a_write_no_less_than_it_needs() {
    let mut script = locked(10);
    let command = script.command(refresh(1, ALICE, PATH, &[8, 7], 5, false));
    let outcome = script.replica.apply(&command);
    assert!(
        matches!(outcome.value, Some(Value::Refreshed(refreshed)) if refreshed.token == 1),
        "{outcome:?}"
    );
    script.ms = 5_000;
    assert_eq!(script.early(lock(1, ALICE, PATH, 8, 9)), None, "a refresh may shorten");

    let mut script = locked(60);
    assert_eq!(script.both(refresh(1, ALICE, PATH, &[7], 30, true)), None);
    script.ms = 59_999;
    assert_eq!(script.early(lock(1, ALICE, PATH, 8, 9)), Some(Locked), "an extension never shortens");

    for write in [
        put_holding(&[7], b"x"),
        on(holding(&[7]), begin(ALICE, PATH, 4, Some(MIB))),
        refresh(1, ALICE, PATH, &[7], 30, true),
    ] {
        let mut script = locked(5);
        script.ms = 4_000;
        assert_eq!(script.both(write.clone()), None);
        script.ms = 33_999;
        assert_eq!(script.early(lock(1, ALICE, PATH, 8, 9)), Some(Locked), "{write:?}");
        script.ms = 34_000;
        assert_eq!(script.early(lock(1, ALICE, PATH, 8, 9)), None, "{write:?}");
    }
}

#[test]
fn an_upload_under_a_lock_is_refused_when_the_lock_is_lost() {
    let mut script = locked(10);
    assert_eq!(script.early(begin(ALICE, PATH, 4, Some(MIB))), Some(Locked));
    assert_eq!(script.both(on(holding(&[7]), begin(ALICE, PATH, 4, Some(MIB)))), None);
    let end = || on(holding(&[7]), commit(ALICE, PATH, 4, MIB));
    script.ms = 29_000;
    assert_eq!(script.both(on(holding(&[7]), renew(ALICE, PATH, 4))), None);
    script.ms = 58_000;
    assert_eq!(script.early(end()), None, "renewed");
    script.ms = 59_000;
    assert_eq!(script.both(on(holding(&[7]), renew(ALICE, PATH, 4))), Some(LockTokenMismatch));
    assert_eq!(script.both(end()), Some(LockTokenMismatch));
    assert_eq!((script.get(PATH, None), script.replica.events().len()), (Err(NotFound), 0), "nothing landed");
}

#[test]
fn an_upload_that_began_unlocked_is_not_stopped_by_a_later_lock() {
    let mut script = Script::new();
    assert_eq!(script.both(begin(ALICE, PATH, 4, Some(MIB))), None);
    assert_eq!(script.both(lock(1, ALICE, PATH, 7, 30)), None);
    assert_eq!(script.both(commit(ALICE, PATH, 4, MIB)), None);
    assert_eq!(
        script.both(put(cookie(1), ALICE, PATH, b"x")),
        Some(Locked),
        "a small body is judged at its end"
    );
}

#[test]
fn a_clock_that_is_set_back_ends_locks() {
    let mut script = Script::new();
    script.ms = 1_000_000;
    assert_eq!(script.both(lock(1, ALICE, PATH, 7, 30)), None);
    script.ms = 995_000;
    assert_eq!(script.both(put_holding(&[7], b"x")), None, "a leader whose clock differs a little");
    script.ms = 100_000;
    assert_eq!(script.run(close(0)), None, "corrected by fifteen minutes");
    assert_eq!(script.both(put_holding(&[7], b"x")), Some(LockTokenMismatch));
    assert_eq!(script.both(lock(1, ALICE, PATH, 8, 30)), None, "nobody is blocked for fifteen minutes");
}

#[test]
fn dead_locks_are_swept_and_their_number_is_bounded() {
    let mut script = Script::new();
    for number in 0..LOCKS_OF_USER_MAX {
        assert_eq!(script.run(lock(1, ALICE, &format!("/pub/{number}"), 7, 10)), None);
    }
    assert_eq!(script.both(lock(1, ALICE, "/pub/more", 7, 10)), Some(TooManyLocks));
    assert_eq!(script.both(lock(2, BOB, "/pub/more", 7, 10)), None, "another user's");
    assert_eq!(script.both(unlock(1, ALICE, "/pub/0", 7)), None);
    assert_eq!(script.both(lock(1, ALICE, "/pub/more", 7, 10)), None);
    script.pass(300_000);
    // A few rows go with each request.
    for _ in 0..LOCKS_OF_USER_MAX / 4 {
        assert_eq!(script.run(put(cookie(2), BOB, "/pub/b", b"x")), None);
    }
    assert_eq!(script.replica.rows_of(tables::LOCK), 0);
    assert_eq!(script.replica.rows_of(tables::LOCK_AGE), 0);
    assert_eq!(script.both(lock(1, ALICE, "/pub/more", 8, 10)), None);
}

#[test]
fn a_flaw_of_another_kind_is_told_to_who_may_lock() {
    let mut script = locked(30);
    let judged = |seed: &[u8], path: &str| {
        let mut body = lock(1, ALICE, path, 0, 30);
        if let Body::LockEntry(lock) = &mut body {
            lock.token = seed.to_vec().into();
        }
        body
    };
    assert_eq!(script.early(judged(&[], PATH)), None, "only the author is judged");
    assert_eq!(script.early(judged(&[], "/other/x")), Some(WriteOutsideRoots));
}
