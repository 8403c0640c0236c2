//! What the node-wide store knows after starts, flushes, crashes and destroyed groups.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;

use super::kit::{self, ENTRIES, GROUP, Group, expected, observe, simulate};
use crate::sim::{KvMachine, MemoryState, Simulation};
use crate::state::{GroupState, StateBatch, StateEngine, StateRead, StateStore};
use crate::{Error, GroupId};

fn reopen(engine: &Arc<MemoryState>) -> Arc<StateStore> {
    StateStore::open(engine.clone(), PathBuf::new()).expect("open the store")
}

#[test]
fn durable_applied_advances_only_with_a_flush() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        let handle = group.state.handle();
        group.apply(0..10).await;
        assert_eq!(handle.durable_applied(), None);
        group.store.flush_all().expect("flush");
        assert_eq!(handle.durable_applied(), expected(9).applied.log_id);
        group.apply(10..20).await;
        assert_eq!(handle.durable_applied(), expected(9).applied.log_id);
        group.engine.crash();
        let group = Group::over(group.engine).await;
        assert_eq!(observe(&group.state.handle()), *expected(9));
        assert_eq!(group.state.handle().durable_applied(), expected(9).applied.log_id);
    });
}

#[test]
fn a_group_reopened_without_a_crash_does_not_take_unflushed_state_for_durable() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..10).await;
        drop(group.state);
        let again = kit::open::<Simulation>(&group.store, kit::full_log(10).await).await;
        assert_eq!(again.handle().durable_applied(), None);
        assert_eq!(observe(&again.handle()), *expected(9));
    });
}

#[test]
fn a_group_opens_only_when_the_earlier_state_machine_has_ended() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..10).await;
        let (store, mut earlier) = (group.store, group.state);
        let log = kit::full_log(30).await;
        let mut opening = Box::pin(kit::open::<Simulation>(&store, log));
        assert!(opening.as_mut().now_or_never().is_none(), "two would write one slot");
        kit::apply(&mut earlier, 10..20).await;
        drop(earlier);
        let mut again = opening.await;
        assert_eq!(observe(&again.handle()), *expected(19), "what it still applied is there");
        kit::apply(&mut again, 20..30).await;
        assert_eq!(observe(&again.handle()), *expected(29));
    });
}

#[test]
fn a_state_machine_that_never_ends_is_not_waited_for_for_ever() {
    simulate(1, async {
        let group = Group::fresh().await;
        let log = kit::empty_log::<Simulation>().await;
        let again = GroupState::open(group.store.clone(), GROUP, Arc::new(KvMachine), log).await;
        assert!(matches!(again.err(), Some(Error::Raft { group: GROUP, .. })));
    });
}

#[test]
fn what_a_store_calls_durable_at_its_opening_is() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..10).await;
        let store = reopen(&group.engine);
        assert_eq!(
            store.slot(GROUP).durable().and_then(|durable| durable.log_id),
            expected(9).applied.log_id
        );
        group.engine.crash();
        assert_eq!(observe(&Group::over(group.engine).await.state.handle()), *expected(9));
    });
}

#[test]
fn only_the_latest_listener_hears_of_durability_and_only_while_it_lives() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        let slot = group.store.slot(GROUP);
        let listen = || {
            let heard = Arc::new(AtomicU64::new(0));
            let hears = heard.clone();
            let listener = slot.notify_durable(Box::new(move |id| hears.store(id.index, Ordering::SeqCst)));
            (heard, listener)
        };
        let (first, first_listener) = listen();
        group.apply(0..5).await;
        group.store.flush_all().expect("flush");
        assert_eq!(first.load(Ordering::SeqCst), 4);
        let (second, second_listener) = listen();
        assert_eq!(second.load(Ordering::SeqCst), 4, "told at once");
        drop(first_listener);
        group.apply(5..10).await;
        group.store.flush_all().expect("flush");
        drop(second_listener);
        group.apply(10..15).await;
        group.store.flush_all().expect("flush");
        assert_eq!([first, second].map(|heard| heard.load(Ordering::SeqCst)), [4, 9]);
    });
}

#[test]
fn a_destroyed_group_is_empty_and_stays_so_over_a_crash() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..ENTRIES).await;
        group.store.flush_all().expect("flush");
        let Group { engine, store, state } = group;
        drop(state);
        store.destroy(GROUP).expect("destroy");
        assert_eq!(store.groups(), Vec::<GroupId>::new());
        assert_eq!(engine.unflushed(), 1, "its range is dropped");
        let again = kit::open::<Simulation>(&store, kit::empty_log().await).await;
        assert_eq!(again.handle().applied().log_id, None);
        engine.crash();
        let mut group = Group::over(engine).await;
        assert_eq!(group.store.groups(), Vec::<GroupId>::new());
        group.apply(0..5).await;
        assert_eq!(observe(&group.state.handle()), *expected(4));
    });
}

#[test]
fn a_destroyed_range_waits_for_its_readers() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..ENTRIES).await;
        group.store.flush_all().expect("flush");
        let Group { engine, store, state } = group;
        let handle = state.handle();
        handle.read(|_| store.destroy(GROUP)).expect("destroy");
        assert_eq!(observe(&handle), *expected(ENTRIES - 1), "an old handle still reads");
        drop((handle, state));
        store.flush_all().expect("flush");
        let mut left = 0;
        engine
            .scan(&[], &[255; 9], crate::state::ScanOrder::Ascending, &mut |_, _| {
                left += 1;
                std::ops::ControlFlow::Continue(())
            })
            .expect("scan");
        assert_eq!(left, 0);
    });
}

#[test]
fn generations_that_no_flip_made_current_go_at_the_next_start_and_are_not_reused() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..10).await;
        group.store.flush_all().expect("flush");
        // What an install leaves that did not get to its flip.
        let orphan = Bytes::from_static(&[0, GROUP as u8, 0, 0, 0, 5, 1, 1]);
        let engine = group.engine.clone();
        engine
            .ingest(&PathBuf::new(), &mut [Ok((orphan.clone(), Bytes::new()))].into_iter())
            .expect("ingest");
        engine.crash();
        let store = reopen(&engine);
        assert_eq!(engine.get(&orphan).expect("get"), None);
        assert_eq!(store.slot(GROUP).fresh_generation().number, 6);
        assert_eq!(observe(&Group::over(engine).await.state.handle()), *expected(9));
        let empty = Arc::new(MemoryState::new());
        empty.ingest(&PathBuf::new(), &mut [Ok((orphan, Bytes::new()))].into_iter()).expect("ingest");
        assert_eq!(reopen(&empty).slot(GROUP).fresh_generation().number, 6, "also of an empty group");
    });
}

#[test]
fn damage_is_refused_at_the_start() {
    let write = |key: &'static [u8], value: &'static [u8]| {
        let engine = Arc::new(MemoryState::new());
        let writes = vec![(Bytes::from_static(key), Some(Bytes::from_static(value)))];
        engine.write(StateBatch { writes }).expect("write");
        StateStore::open(engine, PathBuf::new()).err()
    };
    assert!(write(&[0, 1, 0], b"").is_some(), "a key that is too short");
    assert!(write(&[0, 1, 0, 0, 0, 0, 1], b"").is_some(), "data without an Applied record");
    assert!(write(&[0, 1, 0, 0, 0, 0, 0], b"garbage").is_some(), "a damaged Applied record");
}

#[test]
fn staged_files_of_an_earlier_run_are_removed_and_others_are_not() {
    let staging = tempfile::tempdir().expect("a temporary directory");
    for name in ["1.sst", "2.spool", "keep.txt"] {
        std::fs::write(staging.path().join(name), b"x").expect("write");
    }
    StateStore::open(Arc::new(MemoryState::new()), staging.path().to_owned()).expect("open the store");
    let left: Vec<_> = std::fs::read_dir(staging.path())
        .expect("read directory")
        .map(|file| file.expect("directory entry").file_name())
        .collect();
    assert_eq!(left, ["keep.txt"]);
}
