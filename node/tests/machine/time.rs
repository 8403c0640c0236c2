//! Clocks that leap by minutes, hours and decades in the middle of commands, and are corrected: no request or
//! token counts twice, ids rise, tables stay bounded, and nobody is refused for longer than the leap lasts.

use crate::machine_fixture;
use crate::machine_fixture::leaps;

use leaps::*;
use machine_fixture::*;
use proptest::prelude::*;
use rowhouse_node::apply::{ISSUED_AHEAD_MS_MAX, REQUEST_WINDOW_MS};
use rowhouse_node::read;
use rowhouse_node::state::objects::{Place, in_state};
use rowhouse_node::state::tables;
use rowhouse_proto::COMMAND_VERSIONS;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::Command;
use rowhouse_proto::wire::state::{Shard, object::State};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn leaping_clocks_double_nothing_and_refuse_nobody_for_long(
        steps in prop::collection::vec(step(), 1..150),
        leaps in prop::collection::vec(prop::sample::select(&ERRORS_MS[..]), 0..=LEAPS_MAX),
    ) {
        let mut run = Run::new(leaps);
        for step in &steps {
            run.step(step)?;
        }
        run.check_events()?;
        run.check_recovery()?;
        run.check_events()?;
    }
}

/// A shard that is written to without pause while its clock is hours ahead (one node of a cluster is enough for
/// that when the others are down) goes on forgetting.
#[test]
fn tables_are_swept_while_the_clock_stands_far_ahead() {
    for error_ms in [8 * HOUR, 80 * 365 * DAY] {
        let mut run = Run::new(Vec::new());
        run.error_ms = error_ms;
        for _ in 0..2_000 {
            run.true_ms += 500;
            run.put(false, 0).expect("stored");
        }
        let rows = run.replica.rows_of(tables::REQUEST);
        assert!(rows <= 320, "{rows} of 150 s of 2 a second");
        run.error_ms = 0;
        for _ in 0..2_000 {
            run.true_ms += 500;
            run.put(false, 0).expect("stored");
        }
        assert!(run.replica.rows_of(tables::REQUEST) <= 320);
    }
}

#[test]
fn a_request_of_another_era_is_refused_and_leaves_no_trace() {
    let mut run = Run::new(Vec::new());
    run.put(false, 0).expect("stored");
    let ahead_ms = i64::try_from(ISSUED_AHEAD_MS_MAX).expect("a minute");
    let behind_ms = i64::try_from(REQUEST_WINDOW_MS).expect("two minutes");
    for (error_ms, refused) in [
        (ahead_ms, None),
        (ahead_ms + 1, Some(RequestExpired)),
        (-behind_ms, None),
        (-behind_ms - 1, Some(RequestExpired)),
    ] {
        let command = run.command(put(cookie(1), ALICE, "/pub/era", b"x"), error_ms, 0);
        let rows = run.replica.rows.0.clone();
        assert_eq!(run.replica.refusal(&command), refused, "{error_ms}");
        assert_eq!(run.replica.rows.0 == rows, refused.is_some());
    }
}

/// A retry whose row was swept while the clock stood before its request's time is no new request.
#[test]
fn a_forgotten_request_stays_refused_within_its_window() {
    let mut run = Run::new(Vec::new());
    let old = run.now(put(cookie(1), ALICE, "/pub/a", b"x"));
    assert_eq!(run.replica.refusal(&old), None);
    // The same minute passes twice: the clock was set back in between.
    for _ in 0..2 {
        for _ in 0..16 {
            run.true_ms += 5_000;
            let command = run.now(close(0));
            run.replica.apply(&command);
        }
        run.error_ms -= 70_000;
    }
    run.error_ms += 70_000;
    run.put(false, 0).expect("stored");
    let known = read_request(&run, &old);
    let now_ms = run.told_ms(run.error_ms);
    let again = Command { hlc_us: now_ms * 1000, now_ms, ..old };
    assert!(again.issued_at_us / 1000 + REQUEST_WINDOW_MS > now_ms, "within the window");
    let expected = if known { None } else { Some(RequestExpired) };
    assert_eq!(run.replica.refusal(&again), expected);
    assert!(!known, "more time passed than the clock says");
}

fn read_request(run: &Run, command: &Command) -> bool {
    run.replica.rows.0.contains_key(&tables::key(tables::REQUEST, &[&command.request_id]))
}

#[test]
fn a_bearer_minted_in_another_era_does_not_outlive_it() {
    let mut run = Run::new(Vec::new());
    run.error_ms = 80 * 365 * DAY;
    let minted = run.now(mint(ALICE, grant("g", CLIENT, 1 << 40), nonce("n"), 10));
    assert_eq!(run.replica.refusal(&minted), None);
    let used = run.now(put(bearer(10), ALICE, "/pub/a", b"x"));
    assert_eq!(run.replica.refusal(&used), None);
    run.error_ms = 0;
    let used = run.now(put(bearer(10), ALICE, "/pub/a", b"y"));
    assert_eq!(run.replica.refusal(&used), Some(NoSession), "its hour is eighty years away");
}

#[test]
fn a_close_bricks_no_shard_and_reaches_whatever_another_shard_wrote() {
    let mut run = Run::new(Vec::new());
    let closed = |run: &Run| read::clock(&run.replica.view()).expect("readable").closed_t;
    let close_to = |run: &mut Run, t| {
        let command = run.now(close(t));
        assert_eq!(run.replica.refusal(&command), None);
    };
    close_to(&mut run, event_t(1_000_000));
    assert_eq!(closed(&run), event_t(1_000_000));
    close_to(&mut run, u64::MAX);
    assert!(closed(&run) < ids().ceiling() + 100_000);
    // A shard that lived through a time beyond the ceiling, and wrote a million events there.
    let other = ids().ceiling() + 1_000_000;
    for _ in 0..20 {
        close_to(&mut run, other);
    }
    assert_eq!(closed(&run), other);
    run.put(false, 0).expect("stored");
    let newest = run.replica.events().pop().expect("one event");
    assert_eq!(newest.id, ids().id(other + 1, SHARD));
    assert!(newest.id < 1 << 53);
}

#[test]
fn a_state_of_another_number_of_shards_is_not_gone_on_with() {
    use rowhouse_proto::domain::event::EventIds;
    use rowhouse_raft::state::{Txn, View};
    use rowhouse_raft::{EntryContext, Machine};
    let mut run = Run::new(Vec::new());
    let record: Shard = run.replica.row(&[tables::SHARD]).expect("after a command");
    assert_eq!(record.shard_count, 16);
    let command = run.now(close(0));
    let other = rowhouse_node::apply::ShardMachine::new(
        EventIds::new(32).expect("a power of two"),
        COMMAND_VERSIONS,
        [0; 32],
    );
    let mut txn = Txn::new(View::new(&run.replica.rows, Default::default()));
    let context = EntryContext { group: SHARD as u16, term: 1, index: 99, voters: &[] };
    let encoded = prost::Message::encode_to_vec(&command).into();
    assert!(other.apply(context, &encoded, &mut txn).is_err());
}

#[test]
fn an_upload_ends_by_the_shard_s_age_and_not_by_a_leap() {
    let mut run = Run::new(Vec::new());
    run.upload();
    run.error_ms = 80 * 365 * DAY;
    run.collect();
    run.error_ms = 0;
    run.collect();
    let staged = |run: &Run| {
        let view = run.replica.view();
        let from = Place::first_at(0);
        in_state(&view, State::Staged, from, u64::MAX - 1, 9).expect("readable").len()
    };
    assert_eq!(staged(&run), 1, "a leap and its correction took seconds");
    for _ in 0..120 {
        run.true_ms += 5_000;
        run.collect();
    }
    assert_eq!(staged(&run), 0);
}
