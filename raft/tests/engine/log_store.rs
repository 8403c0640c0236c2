//! One replica's log above its engine: readability, the memory budget, `synced`, the purge guard and the
//! reset, in simulation.

use crate::log_kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log_kit::{REPLICA, append, entry, log_id, open, see, vote};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{AsyncRuntime, RaftLogReader};
use rowhouse_raft::Error;
use rowhouse_raft::log_store::{LogEngine, LogStore, MetaKind, ReplicaPhase, ReplicaRecord, TailBudget};
use rowhouse_raft::sim::{LossyLog, LossyOptions, Simulation};

type Store = LogStore<Simulation>;

fn simulate<T>(test: impl Future<Output = T>) -> T {
    Simulation::with_seed(3).block_on(test)
}

fn lossy() -> Arc<LossyLog<Simulation>> {
    LossyLog::new(LossyOptions::default())
}

async fn fill(store: &mut Store, term: u64, indexes: std::ops::Range<u64>) {
    let flushed = append(store, indexes.map(|index| entry(term, index, 1_000)).collect()).await;
    flushed.await.expect("answered").expect("synced");
}

#[test]
fn entries_are_readable_before_they_are_durable() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        let flushed = append(&mut store, vec![entry(1, 0, 10), entry(1, 1, 10)]).await;
        assert_eq!(engine.last_index(REPLICA).expect("reads"), None);
        let mut reader = store.get_log_reader().await;
        assert_eq!(reader.limited_get_log_entries(0, 2).await.expect("reads").len(), 2);
        assert_eq!(store.get_log_state().await.expect("reads").last_log_id, Some(log_id(1, 1)));
        flushed.await.expect("answered").expect("synced");
        assert_eq!(engine.last_index(REPLICA).expect("reads"), Some(1));
    });
}

#[test]
fn a_read_stops_at_a_mebibyte_and_is_never_empty() {
    simulate(async {
        let mut store = open::<Simulation>(lossy()).await;
        let entries = (0..8).map(|index| entry(1, index, 400 << 10)).collect();
        append(&mut store, entries).await.await.expect("answered").expect("synced");
        fill(&mut store, 1, 8..9).await;
        append(&mut store, vec![entry(1, 9, 3 << 20)]).await.await.expect("answered").expect("synced");
        // The tail's budget is 1 MiB: these come from the engine.
        let first = store.limited_get_log_entries(0, 10).await.expect("reads");
        assert_eq!(first.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), [0, 1]);
        let large = store.limited_get_log_entries(9, 10).await.expect("reads");
        assert_eq!(large, [entry(1, 9, 3 << 20)]);
        let all = store.try_get_log_entries(0..100).await.expect("reads");
        assert_eq!(
            all.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
    });
}

#[test]
fn tails_share_one_budget_and_give_up_only_what_is_durable() {
    simulate(async {
        const BUDGET: usize = 200_000;
        let (engine, budget) = (lossy(), TailBudget::new(BUDGET));
        let mut stores = Vec::new();
        for replica in 0..4 {
            stores.push(Store::open(engine.clone(), replica, budget.clone()).await.expect("opens"));
        }
        // One replica fills the budget and falls silent; the others need it too.
        fill(&mut stores[0], 1, 0..300).await;
        for store in &mut stores[1..] {
            for first in (0..120).step_by(10) {
                fill(store, 1, first..first + 10).await;
            }
        }
        fill(&mut stores[0], 1, 300..301).await;
        assert!(budget.used() <= BUDGET, "{} bytes used", budget.used());
        let unsynced = append(&mut stores[1], (120..400).map(|index| entry(1, index, 1_000)).collect()).await;
        assert!(budget.used() > BUDGET, "entries that are not durable must stay");
        for (store, entries) in stores.iter_mut().zip([301, 400, 120, 120]) {
            let seen = see(store).await;
            assert_eq!(seen.entries.len(), entries);
        }
        unsynced.await.expect("answered").expect("synced");
        drop(stores);
        assert_eq!(budget.used(), 0, "a closed log gives everything back");
    });
}

#[test]
fn appends_wait_for_room_in_the_queue() {
    simulate(async {
        let (engine, budget) = (lossy(), TailBudget::new(0));
        let mut store = Store::open(engine.clone(), REPLICA, budget).await.expect("opens");
        // One mebibyte may be queued.
        append(&mut store, vec![entry(1, 0, 900 << 10)]).await;
        assert_eq!(engine.unsynced(), 1);
        append(&mut store, vec![entry(1, 1, 900 << 10)]).await;
        assert_eq!(engine.last_index(REPLICA).expect("reads"), Some(0), "the second waited for the first");
        // An entry above the bound is admitted alone.
        append(&mut store, vec![entry(1, 2, 3 << 20)]).await.await.expect("answered").expect("synced");
    });
}

#[test]
fn synced_waits_for_the_entry_and_no_longer() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        let handle = store.handle();
        handle.synced(0).await.expect("nothing was submitted");
        append(&mut store, vec![entry(1, 0, 10)]).await;
        handle.synced(0).await.expect("syncs");
        assert_eq!(engine.last_index(REPLICA).expect("reads"), Some(0));
        append(&mut store, vec![entry(1, 1, 10)]).await;
        handle.synced_all().await.expect("syncs");
        assert_eq!(engine.last_index(REPLICA).expect("reads"), Some(1));
    });
}

#[test]
fn a_sync_from_before_a_truncation_says_nothing_of_what_came_after() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        fill(&mut store, 1, 0..1).await;
        append(&mut store, (1..9).map(|index| entry(1, index, 10)).collect()).await;
        store.truncate_after(Some(log_id(1, 0))).await.expect("truncates");
        let waiter = {
            let handle = store.handle();
            Simulation::spawn(async move { handle.synced(1).await })
        };
        append(&mut store, vec![entry(2, 1, 10)]).await;
        store.handle().synced(1).await.expect("syncs");
        let record = engine.read(REPLICA, 1, 2, usize::MAX).expect("reads").remove(0);
        let durable = rowhouse_raft::codec::decode_entry(record.bytes).expect("decodes");
        assert_eq!(durable.log_id, log_id(2, 1), "the entry of the first leader was durable, not this one");
        waiter.await.expect("no panic").expect("a waiter beyond the end is not forgotten");
    });
}

#[test]
fn a_waiter_whose_entry_is_truncated_wakes_up() {
    simulate(async {
        let mut store = open::<Simulation>(lossy()).await;
        append(&mut store, (0..9).map(|index| entry(1, index, 10)).collect()).await;
        let handle = store.handle();
        let waiter = Simulation::spawn(async move { handle.synced(8).await });
        Simulation::sleep(Duration::ZERO).await;
        store.truncate_after(Some(log_id(1, 3))).await.expect("truncates");
        let woken = Simulation::timeout(Duration::from_secs(60), waiter).await;
        woken.expect("it wakes").expect("no panic").expect("syncs");
    });
}

#[test]
fn purges_are_recorded_up_to_what_the_state_machine_would_keep() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        fill(&mut store, 1, 0..20).await;
        let handle = store.handle();
        store.purge(log_id(1, 14)).await.expect("purges");
        handle.synced_all().await.expect("syncs");
        assert_eq!(engine.meta(REPLICA, MetaKind::LastPurged).expect("reads"), None);
        assert_eq!(handle.log_id_at(14).await.expect("reads"), Some(log_id(1, 14)));
        assert_eq!(handle.log_id_at(13).await.expect("reads"), None);
        assert_eq!(handle.log_id_at(15).await.expect("reads"), Some(log_id(1, 15)));

        for (durable, recorded) in [(4, 4), (2, 4), (9, 9), (18, 14)] {
            handle.set_durable_applied(log_id(1, durable));
            handle.synced_all().await.expect("syncs");
            let reopened = open::<Simulation>(engine.clone()).await;
            assert_eq!(reopened.handle().last_purged(), Some(log_id(1, recorded)), "durable at {durable}");
        }
    });
}

#[test]
fn a_handle_that_outlives_its_store_takes_no_purge_back() {
    simulate(async {
        let engine = lossy();
        let mut old = open::<Simulation>(engine.clone()).await;
        fill(&mut old, 1, 0..20).await;
        old.purge(log_id(1, 9)).await.expect("purges");
        let left_over = old.handle();
        drop(old);
        let mut store = open::<Simulation>(engine.clone()).await;
        store.handle().set_durable_applied(log_id(1, 19));
        store.purge(log_id(1, 15)).await.expect("purges");
        left_over.set_durable_applied(log_id(1, 19));
        store.handle().synced_all().await.expect("syncs");
        let seen = see(&mut open::<Simulation>(engine).await).await;
        assert_eq!((seen.purged, seen.entries.len()), (Some(log_id(1, 15)), 4));
    });
}

#[test]
fn nothing_follows_a_snapshot_that_is_not_durable() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        fill(&mut store, 1, 0..5).await;
        store.purge(log_id(2, 30)).await.expect("purges");
        assert_eq!(store.handle().last_log_id().map(|last| last.index), Some(30));
        let behind_the_gap = vec![entry(2, 31, 10)];
        assert!(store.append(behind_the_gap, IOFlushed::noop()).await.is_err(), "it would leave a hole");
        store.handle().set_durable_applied(log_id(2, 30));
        fill(&mut store, 2, 31..33).await;
        drop(store);
        let seen = see(&mut open::<Simulation>(engine.crash(0)).await).await;
        assert_eq!((seen.purged, seen.last), (Some(log_id(2, 30)), Some(log_id(2, 32))));
        assert_eq!(seen.entries.len(), 2);
    });
}

#[test]
fn a_purge_of_the_whole_log_does_not_make_it_durable() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        let flushed = append(&mut store, vec![entry(1, 0, 10)]).await;
        store.purge(log_id(1, 0)).await.expect("purges");
        store.handle().synced(0).await.expect("syncs");
        drop(flushed);
        drop(store);
        let seen = see(&mut open::<Simulation>(engine.crash(0)).await).await;
        assert_eq!(seen.last, Some(log_id(1, 0)), "synced(0) returned before the entry was durable");
    });
}

#[test]
fn an_append_that_does_not_follow_is_refused() {
    simulate(async {
        let mut store = open::<Simulation>(lossy()).await;
        fill(&mut store, 1, 0..5).await;
        for index in [3, 4, 6] {
            assert!(store.append(vec![entry(1, index, 10)], IOFlushed::noop()).await.is_err(), "{index}");
        }
        fill(&mut store, 1, 5..6).await;
    });
}

#[test]
fn a_reset_leaves_nothing_but_the_position() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        fill(&mut store, 1, 0..20).await;
        store.save_vote(&vote(3, true)).await.expect("saves");
        store.save_committed(Some(log_id(1, 18))).await.expect("saves");
        store.handle().reset_to(log_id(2, 10)).await.expect("resets");
        let expected = (Some(log_id(2, 10)), Some(log_id(2, 10)), Some(vote(3, true)), None);
        let seen = see(&mut store).await;
        assert_eq!((seen.purged, seen.last, seen.vote, seen.committed), expected);
        drop(store);
        let mut store = open::<Simulation>(engine.crash(0)).await;
        let seen = see(&mut store).await;
        assert_eq!((seen.purged, seen.last, seen.vote, seen.committed), expected);
        assert!(seen.entries.is_empty());
        fill(&mut store, 4, 11..12).await;
        let older = store.handle().reset_to(log_id(1, 5)).await;
        assert!(matches!(older, Err(Error::Corrupt { .. })), "a state older than its purged log is lost");
    });
}

#[test]
fn a_log_shorter_than_it_knew_committed_is_refused() {
    simulate(async {
        let engine = lossy();
        let mut store = open::<Simulation>(engine.clone()).await;
        fill(&mut store, 1, 0..5).await;
        store.save_committed(Some(log_id(1, 4))).await.expect("saves");
        store.save_vote(&vote(2, false)).await.expect("saves");
        drop(store);
        let lose = rowhouse_raft::log_store::LogOp::Truncate { replica: REPLICA, last: Some(2) };
        engine.submit(vec![lose], true, Box::new(drop));
        let refused = Store::open(engine, REPLICA, TailBudget::new(1 << 20)).await.err();
        assert!(refused.expect("refused").to_string().contains("replica is lost"));
    });
}

#[test]
fn a_failed_sync_fails_everything_after_it() {
    simulate(async {
        let told = Arc::new(AtomicBool::new(false));
        let tell = told.clone();
        let on_fatal: rowhouse_raft::OnFatal = Arc::new(move |_: &str| tell.store(true, Ordering::SeqCst));
        let engine = LossyLog::<Simulation>::new(LossyOptions { on_fatal, ..LossyOptions::default() });
        let mut store = open::<Simulation>(engine.clone()).await;
        fill(&mut store, 1, 0..5).await;
        engine.fail_syncs();
        let flushed = append(&mut store, vec![entry(1, 5, 10)]).await;
        assert!(flushed.await.expect("answered").is_err());
        assert!(told.load(Ordering::SeqCst));
        assert!(store.save_vote(&vote(2, false)).await.is_err());
        assert!(store.handle().synced(5).await.is_err());
        let seen = see(&mut open::<Simulation>(engine.crash(0)).await).await;
        assert_eq!(seen.last, Some(log_id(1, 4)));
    });
}

#[test]
fn a_crashed_machine_writes_no_more() {
    simulate(async {
        let engine = lossy();
        let mut old = open::<Simulation>(engine.clone()).await;
        fill(&mut old, 1, 0..2).await;
        let next = engine.crash(0);
        let lost = append(&mut old, vec![entry(1, 2, 10)]).await;
        assert!(lost.await.is_err(), "nobody answers for a machine that is gone");
        assert!(matches!(old.handle().reset_to(log_id(1, 9)).await, Err(Error::Stopped)));
        let seen = see(&mut open::<Simulation>(next).await).await;
        assert_eq!(seen.last, Some(log_id(1, 1)));
    });
}

#[test]
fn replica_records_are_kept_beside_the_log() {
    simulate(async {
        let engine = lossy();
        let record = |phase| ReplicaRecord { group: 9, phase };
        let read = |engine: &dyn LogEngine| ReplicaRecord::read(engine, REPLICA).expect("reads");
        assert_eq!(read(engine.as_ref()), None);
        record(ReplicaPhase::Initializing).write(engine.as_ref(), REPLICA).await.expect("writes");
        record(ReplicaPhase::Live).write(engine.as_ref(), REPLICA).await.expect("writes");
        let engine = engine.crash(0);
        assert_eq!(read(engine.as_ref()), Some(record(ReplicaPhase::Live)));
        record(ReplicaPhase::Tombstone).write(engine.as_ref(), REPLICA).await.expect("writes");
        let back = record(ReplicaPhase::Live).write(engine.as_ref(), REPLICA).await;
        assert!(matches!(back, Err(Error::Tombstone(REPLICA))));
    });
}
