//! Applying is a pure function of state and entries, however they are batched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use openraft::EntryPayload;
use openraft::storage::RaftStateMachine;
use proptest::prelude::*;

use super::kit::{self, ENTRIES, GROUP, Group, committed, expected, observe, simulate};
use crate::codec::{Entry, Membership};
use crate::machine::{EntryContext, Machine};
use crate::sim::{KvCommand, KvMachine, KvReply, MemoryState, Simulation};
use crate::state::{GroupState, StateStore, Txn};
use crate::{Envelope, Error, Replica, ReplicaId};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn hash_and_bytes_do_not_depend_on_batches(cuts in prop::collection::vec(1u64..40, 1..12)) {
        let last = expected(ENTRIES - 1).clone();
        let (found, keys) = simulate(1, async move {
            let mut group = Group::fresh().await;
            let mut next = 0;
            for cut in cuts {
                let end = (next + cut).min(ENTRIES);
                group.apply(next..end).await;
                next = end;
            }
            group.apply(next..ENTRIES).await;
            group.store.flush_all().expect("flush");
            (observe(&group.state.handle()), group.store.groups())
        });
        prop_assert_eq!(found, last);
        prop_assert_eq!(keys, vec![GROUP]);
    }
}

#[test]
fn a_batch_waits_for_no_entry_that_is_not_there() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        // A stream that is pending between entries, as a log reader is between reads.
        let handle = group.state.handle();
        let seen = handle.clone();
        let mut polls = 0;
        let mut next = 0;
        let entries = futures::stream::poll_fn(move |context| {
            polls += 1;
            if polls % 3 == 0 {
                context.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            if next == 20 {
                return std::task::Poll::Ready(None);
            }
            next += 1;
            std::task::Poll::Ready(Some(Ok((committed(next - 1), None))))
        });
        let applied_meanwhile = move || seen.applied().log_id.map(|id| id.index);
        let mut progress = Vec::new();
        let entries = entries.inspect(|_| progress.push(applied_meanwhile()));
        group.state.apply(entries).await.expect("apply");
        assert_eq!(observe(&handle), *expected(19));
        assert!(progress.contains(&Some(1)) || progress.contains(&Some(2)), "{progress:?}");
    });
}

#[test]
fn large_batches_and_repeated_requests_give_the_same_replies() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        let value = Bytes::from(vec![7; 200_000]);
        let put = |index: u64, request: u8| Entry {
            log_id: kit::log_id(2, index),
            payload: EntryPayload::Normal(Envelope::of_command(
                KvCommand::put([request; 16], "key", value.clone()).encode(),
                Bytes::new(),
            )),
        };
        let entries = (0..8).map(|index| Ok((put(index, (index / 2) as u8), None)));
        group.state.apply(futures::stream::iter(entries.collect::<Vec<_>>())).await.expect("apply");
        let handle = group.state.handle();
        assert_eq!(handle.applied().log_id, Some(kit::log_id(2, 7)));
        let found = handle.read_latest(|view| KvMachine::get(view, b"key")).expect("get");
        assert_eq!(found, Some(value));
    });
}

#[test]
fn entries_that_do_not_follow_what_is_applied_are_refused() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..10).await;
        for from in [0, 9, 11] {
            let entries = (from..from + 3).map(|index| Ok((committed(index), None)));
            let refused = group.state.apply(futures::stream::iter(entries.collect::<Vec<_>>())).await;
            assert!(refused.is_err(), "from {from}");
            assert_eq!(observe(&group.state.handle()), *expected(9));
        }
        group.apply(10..20).await;
        assert_eq!(observe(&group.state.handle()), *expected(19));
    });
}

#[test]
fn commands_and_replies_round_trip() {
    for command in
        [KvCommand::put([1; 16], "k", "v"), KvCommand::put([1; 16], "", ""), KvCommand::delete([2; 16], "k")]
    {
        assert_eq!(KvCommand::decode(&command.encode()).expect("what we wrote"), command);
    }
    for previous in [None, Some(Bytes::new()), Some(Bytes::from_static(b"old"))] {
        let reply = KvReply { index: 7, previous };
        assert_eq!(KvReply::decode(&reply.encode()).expect("what we wrote"), reply);
    }
}

/// Writes where only the store may, or fails.
struct Rogue {
    key: Option<&'static [u8]>,
}

impl Machine for Rogue {
    fn apply(&self, _: EntryContext<'_>, _: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let key = self.key.ok_or_else(|| Error::corrupt("a test", "the machine cannot read"))?;
        txn.put(key, "value");
        Ok(Bytes::new())
    }
}

#[test]
fn a_machine_that_fails_or_touches_the_stores_table_ends_the_replica_and_writes_nothing() {
    for key in [None, Some(&[0][..]), Some(&[0, 1][..]), Some(&[][..])] {
        simulate(1, async move {
            let store =
                StateStore::open(Arc::new(MemoryState::new()), PathBuf::new()).expect("open the store");
            let log = kit::empty_log::<Simulation>().await;
            let mut state =
                GroupState::open(store, GROUP, Arc::new(Rogue { key }), log).await.expect("open the group");
            let entries = (0..3).map(|index| Ok((committed(index), None)));
            let failed = state.apply(futures::stream::iter(entries.collect::<Vec<_>>())).await;
            assert!(failed.is_err(), "{key:?}");
            assert_eq!(state.handle().applied().log_id, None);
        });
    }
}

/// Writes down how many voters each entry's log had.
struct Roll;

impl Machine for Roll {
    fn apply(&self, context: EntryContext<'_>, _: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let counts: Vec<u8> = context.voters.iter().map(|set| set.len() as u8).collect();
        txn.put(vec![1, context.index as u8], counts);
        Ok(Bytes::new())
    }
}

#[test]
fn an_entry_is_judged_by_the_members_before_it_however_it_was_batched() {
    for cut in [1, 7, 30] {
        simulate(1, async move {
            let store =
                StateStore::open(Arc::new(MemoryState::new()), PathBuf::new()).expect("open the store");
            let log = kit::empty_log::<Simulation>().await;
            let mut state =
                GroupState::open(store, GROUP, Arc::new(Roll), log).await.expect("open the group");
            let two: Vec<BTreeSet<ReplicaId>> = vec![(1..=3).collect(), (2..=4).collect()];
            let nodes: BTreeMap<ReplicaId, Replica> =
                (1..=4).map(|id| (id, Replica { node_uuid: [id as u8; 16] })).collect();
            let joint = Membership::new(two, nodes).expect("voters with nodes");
            let mut entries: Vec<Entry> = (0..30).map(committed).collect();
            entries[15].payload = EntryPayload::Membership(joint);
            for batch in entries.chunks(cut) {
                let batch = batch.iter().map(|entry| Ok((entry.clone(), None))).collect::<Vec<_>>();
                state.apply(futures::stream::iter(batch)).await.expect("apply");
            }
            let counts_at = |index: u8| {
                let row = state.handle().read_latest(|view| view.get(&[1, index])).expect("readable");
                row.map(|row| row.to_vec())
            };
            // Members change at 0, 11, 15 and 22.
            let found = [1, 10, 12, 14, 16, 21, 23].map(counts_at);
            let expected: [&[u8]; 7] = [&[3], &[3], &[5], &[5], &[3, 3], &[3, 3], &[4]];
            assert_eq!(found, expected.map(|counts| Some(counts.to_vec())), "in batches of {cut}");
        });
    }
}
