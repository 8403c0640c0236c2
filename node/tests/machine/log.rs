//! Clocks, event ids, deduplication, bounds: what holds for every command.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::script::*;
use machine_fixture::*;
use prost::Message;
use rowhouse_node::apply::{Precheck, precheck};
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::Command;
use rowhouse_proto::wire::state::{AgedTable, Shard};
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSION_MIN, COMMAND_VERSIONS};
use rowhouse_raft::planted::is_planted;

#[test]
fn event_ids_rise_whatever_the_clocks_do() {
    let mut script = Script::new();
    let mut expected = Vec::new();
    let mut last = event_t(0);
    for (nth, ms) in [1000, 1000, 10, 2000, 0].into_iter().enumerate() {
        script.ms = ms;
        assert_eq!(script.run(put(cookie(1), ALICE, &format!("/pub/{nth}"), b"x")), None);
        last = event_t(ms).max(last + 1);
        expected.push(ids().id(last, SHARD));
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
    assert_eq!(newest.id, ids().id(event_t(50_000) + 1, SHARD));
    assert_eq!(script.run(close(1)), None);
    let clock = read::clock(&script.replica.view()).expect("readable");
    assert_eq!(clock.closed_t, event_t(50_000) + 1, "never back");
}

#[test]
fn a_snapshot_brings_what_is_closed() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    assert_eq!(script.run(close(event_t(50_000))), None);
    let mut restored = script.replica.restored();
    let behind = script.command(put(cookie(1), ALICE, "/pub/b", b"x"));
    for replica in [&mut script.replica, &mut restored] {
        assert_eq!(replica.refusal(&behind), None);
        let newest = replica.events().pop().expect("two events");
        assert_eq!(newest.id, ids().id(event_t(50_000) + 1, SHARD), "above what the first replica closed");
    }
    assert_eq!(script.replica.rows.0, restored.rows.0);
}

#[test]
fn a_clock_is_told_once_the_shard_is_closed_that_far() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    let clock = read::clock(&script.replica.view()).expect("readable");
    assert_eq!(clock.told(0), Some(clock), "an idle shard that nobody waits for needs no entry");
    assert_eq!(clock.told(clock.closed_t), Some(clock));
    assert_eq!(clock.told(clock.closed_t + 1), None);
    assert!(clock.is_closed_to(clock.closed_t) && !clock.is_closed_to(clock.closed_t + 1));
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
    script.pass(149_000);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/c", b"x")), None);
    let known = script.again(&old);
    assert_eq!(script.replica.refusal(&known), None, "still known");
    script.pass(2_000);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/c", b"x")), None);
    for late in [old, fresh_but_old] {
        let late = script.again(&late);
        assert_eq!(script.replica.refusal(&late), Some(RequestExpired));
        let verdict = precheck(&script.replica.view(), &late, None, late.now_ms).expect("readable");
        assert_eq!(verdict, Precheck::Refused(RequestExpired.into()), "before it comes to the log");
    }
    assert_eq!(script.get("/pub/b", None), Err(NotFound));
    assert_eq!(script.replica.rows_of(tables::REQUEST), 2);
    assert_eq!(script.replica.rows_of(tables::REQUEST_AGE), 2);
}

#[test]
fn what_it_does_not_understand_stops_the_replica_without_a_trace() {
    let mut script = Script::new();
    let known = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    let newer = Command { version: COMMAND_VERSION + 1, ..known.clone() };
    let older = Command { version: COMMAND_VERSION_MIN - 1, ..known.clone() };
    let empty = Command { body: None, ..known.clone() };
    let mut with_more = known.encode_to_vec();
    // Field 63, as an unknown body or another field of a later version would lie there.
    with_more.extend_from_slice(&[0xfa, 0x03, 0x00]);
    let garbage = b"\xff\xff\xff".to_vec();
    let found = [
        (newer.encode_to_vec(), format!("command version is {}", COMMAND_VERSION + 1)),
        (older.encode_to_vec(), format!("command version is {}", COMMAND_VERSION_MIN - 1)),
        (empty.encode_to_vec(), "does not have".to_owned()),
        (with_more, "does not have".to_owned()),
        (garbage, "no command".to_owned()),
    ];
    for (bytes, why) in found {
        let stopped = script.replica.stopped(&bytes.into()).to_string();
        for told in
            [why.as_str(), "entry", "of group 5", &format!("understands command version {COMMAND_VERSIONS}")]
        {
            assert!(stopped.contains(told), "{told}: {stopped}");
        }
    }
    assert_eq!(script.replica.refusal(&known), None, "it goes on from there");
}

#[test]
fn a_command_without_a_request_id_is_refused_without_a_trace() {
    let mut script = Script::new();
    let rows = script.replica.rows.0.clone();
    let mut nameless = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    nameless.request_id = Bytes::from_static(b"short");
    assert_eq!(script.replica.refusal(&nameless), Some(Internal));
    assert_eq!(script.replica.rows.0, rows);
}

#[test]
fn full_tables_refuse_without_applying_or_remembering() {
    let mut script = Script::new();
    let shard: Shard = script.replica.row(&[tables::SHARD]).expect("after two commands");
    let full = Some(AgedTable { rows: u64::MAX, floor: 0 });
    let set = |script: &mut Script, shard: &Shard| {
        script.replica.put_row(Bytes::from_static(&[tables::SHARD]), shard);
    };
    let write = script.command(put(cookie(1), ALICE, "/pub/a", b"x"));
    set(&mut script, &Shard { requests: full, ..shard });
    assert_eq!(script.replica.refusal(&write), Some(GuardTableFull));
    assert_eq!(script.get("/pub/a", None), Err(NotFound));
    let sign_in = script.command(open_session(ALICE, auth_token(0, 5), 3, &[]));
    set(&mut script, &Shard { auth_tokens: full, ..shard });
    assert_eq!(script.replica.refusal(&sign_in), Some(GuardTableFull));
    let exchange = script.command(mint(ALICE, grant("g", CLIENT, 60), nonce("n"), 10));
    for table in [Shard { nonces: full, ..shard }, Shard { bearers: full, ..shard }] {
        set(&mut script, &table);
        assert_eq!(script.replica.refusal(&exchange), Some(GuardTableFull));
    }
    set(&mut script, &shard);
    for again in [write, sign_in, exchange] {
        assert_eq!(script.replica.refusal(&again), None, "the same request once there is room");
    }
}

#[test]
fn no_bug_is_planted_without_the_feature() {
    let mut script = Script::new();
    let command = script.command(delete(cookie(1), ALICE, "/pub/a"));
    assert_eq!(script.replica.refusal(&command), Some(NotFound));
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"x")), None);
    let expected = if is_planted("skip-dedup") { None } else { Some(NotFound) };
    assert_eq!(script.replica.refusal(&command), expected);
}
