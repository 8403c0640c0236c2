//! Bodies outside the log: what the log says of them, from upload to oblivion.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::script::*;
use machine_fixture::upload::*;
use machine_fixture::*;
use rowhouse_node::apply::{Precheck, precheck};
use rowhouse_node::state::objects::{self, Place};
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::Command;
use rowhouse_proto::wire::state::{Object, Usage, object::State};

fn state(script: &Script, n: u8) -> Option<State> {
    let row: Option<Object> = script.replica.row(&tables::object(&id(n)));
    let state = row.as_ref().map(Object::state);
    if let (Some(row), Some(state)) = (&row, state) {
        let view = script.replica.view();
        let places =
            objects::in_state(&view, state, Place::first_at(0), u64::MAX - 1, 100).expect("readable");
        assert!(places.contains(&Place { at: row.at, id: id(n) }), "the row and its place agree");
    }
    let places = script.replica.rows_of(tables::OBJECT_STATE);
    assert_eq!(places, script.replica.rows_of(tables::OBJECT), "each row has one place");
    state
}

#[test]
fn a_body_goes_from_upload_to_oblivion() {
    let mut script = Script::new();
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), None);
    assert_eq!((state(&script, 1), uploads(&script.replica)), (Some(State::Staged), 1));
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, 3 * MIB)), None);
    assert_eq!((state(&script, 1), uploads(&script.replica)), (Some(State::Live), 0));
    let entry = script.get("/pub/a", None).expect("stored");
    assert_eq!((entry.length, entry.hash, entry.object), (3 * MIB, hash(1), Bytes::from(vec![1; 16])));
    assert!(entry.body.is_empty());

    assert_eq!(script.run(begin(ALICE, "/pub/a", 2, Some(2 * MIB))), None);
    assert_eq!(script.run(commit(ALICE, "/pub/a", 2, 2 * MIB)), None);
    assert_eq!((state(&script, 1), state(&script, 2)), (Some(State::Garbage), Some(State::Live)));
    script.ms += GRACE_MS - 1;
    script.run(collect());
    assert_eq!(state(&script, 1), Some(State::Garbage), "readers have their time");
    script.ms += 1;
    script.run(collect());
    assert_eq!(state(&script, 1), Some(State::Dead));
    script.ms += GRACE_MS;
    script.run(collect());
    assert_eq!((state(&script, 1), state(&script, 2)), (None, Some(State::Live)));

    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), None);
    assert_eq!(state(&script, 2), Some(State::Garbage));
    for _ in 0..2 {
        script.ms += GRACE_MS;
        script.run(collect());
    }
    assert_eq!(state(&script, 2), None);
    let usage: Usage = script.replica.row(&tables::usage(&key_bytes(ALICE))).expect("a record");
    assert_eq!((usage.bytes, usage.files), (0, 0));
    assert_eq!(script.replica.rows_of(tables::PHYSICAL_USAGE), 0);
}

#[test]
fn small_and_large_bodies_replace_each_other() {
    let mut script = Script::new();
    let bodies = |script: &Script| script.replica.rows_of(tables::BODY);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"small")), None);
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), None);
    assert_eq!(script.get("/pub/a", None).expect("untouched").body, "small");
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, MIB)), None);
    assert_eq!(bodies(&script), 0);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"small again")), None);
    assert_eq!((bodies(&script), state(&script, 1)), (1, Some(State::Garbage)));
    let entry = script.get("/pub/a", None).expect("stored");
    assert_eq!((&entry.body[..], entry.object.is_empty()), (&b"small again"[..], true));
    let expected = Usage { bytes: 11 + 256, files: 1, removed_ms: 0 };
    assert_eq!(script.replica.row(&tables::usage(&key_bytes(ALICE))), Some(expected));
}

#[test]
fn an_upload_expires_unless_it_is_begun_again() {
    let mut script = Script::new();
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), None);
    script.ms += LIFETIME_MS - 1;
    assert_eq!(script.run(renew(ALICE, "/pub/a", 1)), None, "more time");
    assert_eq!(script.run(renew(BOB, "/pub/a", 1)), Some(UploadExpired), "another's");
    assert_eq!(uploads(&script.replica), 1);
    script.ms += LIFETIME_MS - 1;
    script.run(collect());
    assert_eq!(state(&script, 1), Some(State::Staged));
    script.ms += 1;
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, MIB)), Some(UploadExpired), "its time is over");
    script.run(collect());
    assert_eq!((state(&script, 1), uploads(&script.replica)), (Some(State::Dead), 0));
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), Some(UploadExpired), "the dead stay dead");
    script.ms += GRACE_MS;
    script.run(collect());
    assert_eq!(state(&script, 1), None);
    assert_eq!(script.run(renew(ALICE, "/pub/a", 1)), Some(UploadExpired), "nor when they are forgotten");
    assert_eq!(script.get("/pub/a", None), Err(NotFound));
    assert_eq!(script.replica.events().len(), 0);
}

#[test]
fn a_body_with_too_few_copies_among_the_voters_is_refused_by_every_replica() {
    let mut script = Script::new();
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), None);
    for holders in [&[][..], &[1], &[2, 2], &[1, 4], &[4, 5, 6]] {
        let put = held_by(commit(ALICE, "/pub/a", 1, MIB), holders);
        assert_eq!(script.run(put), Some(TooFewCopies), "{holders:?}");
        assert_eq!(state(&script, 1), Some(State::Staged));
    }
    assert_eq!(script.get("/pub/a", None), Err(NotFound));
    assert_eq!(script.run(held_by(commit(ALICE, "/pub/a", 1, MIB), &[2, 4, 3])), None);
    // Entries of the older version name nobody: their leader has judged.
    assert_eq!(script.run(begin(ALICE, "/pub/b", 2, None)), None);
    let older = Command { version: 2, ..script.command(held_by(commit(ALICE, "/pub/b", 2, MIB), &[])) };
    assert_eq!(script.replica.refusal(&older), None);
}

#[test]
fn an_object_is_its_uploaders_and_committed_once() {
    let mut script = Script::new();
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, MIB)), Some(UploadExpired), "never begun");
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), None);
    assert_eq!(script.run(commit(BOB, "/pub/a", 1, MIB)), Some(UploadExpired));
    assert_eq!(script.run(begin(BOB, "/pub/a", 1, None)), Some(UploadExpired));
    assert_eq!(script.run(commit(ALICE, "/pub/b", 1, MIB)), None);
    assert_eq!(script.run(commit(ALICE, "/pub/c", 1, MIB)), Some(UploadExpired));
    assert_eq!(script.run(begin(ALICE, "/pub/c", 1, None)), Some(UploadExpired));
    let command = script.command(begin(ALICE, "/pub/d", 4, None));
    assert_eq!(script.replica.refusal(&command), None);
    let retried = script.command(commit(ALICE, "/pub/d", 4, MIB));
    assert_eq!(script.replica.refusal(&retried), None);
    assert_eq!(script.replica.refusal(&retried), None, "a retry has the first answer");
}

#[test]
fn a_refused_commit_leaves_the_old_file_and_the_upload() {
    let mut script = Script::new();
    script.limit(ALICE, MIB);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"old")), None);
    let refusals = [
        (begin(ALICE, "/pub/a", 1, Some(MIB - 255)), QuotaExceeded),
        (begin(ALICE, "/pub/a/b", 1, None), PathCollision),
    ];
    for (begin, code) in refusals {
        let command = script.command(begin);
        let verdict = precheck(&script.replica.view(), &command, None, START_MS).expect("readable");
        assert_eq!(verdict, Precheck::Refused(code.into()), "before it comes to the log");
    }
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, None)), None);
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, MIB - 255)), Some(QuotaExceeded), "by its bytes");
    assert_eq!(script.get("/pub/a", None).expect("untouched").body, "old");
    assert_eq!(state(&script, 1), Some(State::Staged));
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, MIB - 256)), None, "exactly full");
}

#[test]
fn an_abandoned_upload_gives_its_place_back_and_nothing_else_is_abandoned() {
    let mut script = Script::new();
    assert_eq!(script.run(begin(ALICE, "/pub/a", 4, Some(MIB))), None);
    assert_eq!(script.run(begin(ALICE, "/pub/b", 5, Some(MIB))), None);
    assert_eq!(script.run(commit(ALICE, "/pub/b", 5, MIB)), None);
    assert_eq!(script.run(abandon(BOB, 4)), None, "another user's");
    assert_eq!(uploads(&script.replica), 1);
    for _ in 0..2 {
        assert_eq!(script.run(abandon(ALICE, 4)), None);
        assert_eq!((uploads(&script.replica), physical(&script.replica, ALICE).uploads), (0, 0));
        assert_eq!(state(&script, 4), Some(State::Dead));
    }
    assert_eq!(script.run(commit(ALICE, "/pub/a", 4, MIB)), Some(UploadExpired));
    assert_eq!(script.run(abandon(ALICE, 5)), None);
    assert_eq!(state(&script, 5), Some(State::Live), "its file was put after all");
}

#[test]
fn collecting_is_bounded_and_changes_nothing_that_is_not_due() {
    let mut script = Script::new();
    let objects = u16::from(u8::MAX) + 200;
    for n in 0..objects {
        let user = if n % 2 == 0 { ALICE } else { BOB };
        assert_eq!(script.run(begin_id(user, "/pub/a", &wide_id(n), None)), None);
    }
    let before = script.replica.rows.0.clone();
    script.run(collect());
    let changed = script.replica.rows.0.iter().filter(|(key, value)| before.get(*key) != Some(*value));
    assert!(changed.count() <= 1, "only the shard's own record");
    script.ms += LIFETIME_MS;
    script.run(collect());
    assert_eq!(uploads(&script.replica), u64::from(objects) - 256);
    script.run(collect());
    assert_eq!(uploads(&script.replica), 0);
}
