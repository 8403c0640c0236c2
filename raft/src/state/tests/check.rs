//! Replicas compare their states: one that differs never gets past the entry that shows it.

use std::sync::Arc;

use openraft::EntryPayload;
use openraft::storage::RaftStateMachine;

use super::kit::{self, Group, committed, log_id, simulate};
use crate::StateCheck;
use crate::codec::Entry;
use crate::sim::Simulation;
use crate::state::{GroupState, SnapshotSink};
use crate::{Envelope, Error};

const NOTED_AT: u64 = 10;
const OTHER: [u8; 32] = [0xAB; 32];

fn check(index: u64, check: StateCheck) -> Entry {
    // Terms rise as those of the committed sequence do.
    Entry { log_id: log_id(2 * index + 2, index), payload: EntryPayload::Normal(Envelope::of_check(check)) }
}

async fn apply(state: &mut GroupState<Simulation>, entries: Vec<Entry>) -> Result<(), std::io::Error> {
    state.apply(futures::stream::iter(entries.into_iter().map(|entry| Ok((entry, None))))).await
}

/// Noted at `NOTED_AT`, and four entries more.
async fn noted() -> (Group, [u8; 32]) {
    let mut group = Group::fresh().await;
    group.apply(0..NOTED_AT).await;
    apply(&mut group.state, vec![check(NOTED_AT, StateCheck::Note)]).await.expect("noted");
    let applied = group.state.handle().applied();
    assert_eq!((applied.checked, applied.noted), (NOTED_AT, Some(applied.state_hash)));
    group.apply(NOTED_AT + 1..NOTED_AT + 5).await;
    (group, applied.state_hash)
}

fn compare(hash: [u8; 32]) -> Entry {
    check(NOTED_AT + 5, StateCheck::Compare { index: NOTED_AT, hash })
}

fn applied_index(state: &GroupState<Simulation>) -> Option<u64> {
    state.handle().applied().log_id.map(|id| id.index)
}

#[test]
fn equal_states_go_on_and_what_was_noted_is_gone() {
    simulate(1, async {
        let (mut group, hash) = noted().await;
        apply(&mut group.state, vec![compare(hash), committed(NOTED_AT + 6)]).await.expect("equal");
        let applied = group.state.handle().applied();
        assert_eq!((applied.checked, applied.noted), (NOTED_AT + 5, None));
        assert_eq!(applied_index(&group.state), Some(NOTED_AT + 6));
        assert!(group.state.handle().halted().is_none());
    });
}

#[test]
fn a_replica_that_differs_halts_there_again_after_a_restart() {
    simulate(1, async {
        let (mut group, _) = noted().await;
        for _ in 0..2 {
            apply(&mut group.state, vec![compare(OTHER)]).await.expect_err("it differs");
            let halted = group.state.handle().halted().expect("told");
            assert!(matches!(*halted, Error::Diverged { index: NOTED_AT, .. }), "{halted}");
            assert!(halted.to_string().contains(&"ab".repeat(32)), "{halted}");
            assert_eq!(applied_index(&group.state), Some(NOTED_AT + 4));
            group.store.flush_all().expect("flush");
            let Group { engine, store, state } = group;
            drop(state);
            let log = kit::empty_log::<Simulation>().await;
            group = Group { engine, state: kit::open(&store, log).await, store };
        }
    });
}

#[test]
fn a_snapshot_carries_what_was_noted() {
    simulate(1, async {
        let (mut leader, _) = noted().await;
        let snapshot =
            leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        let mut sink = SnapshotSink::new(std::path::Path::new(""));
        let mut chunks = snapshot.snapshot.into_chunks();
        while let Some(chunk) = chunks.next().expect("a frame") {
            sink.push(chunk).expect("whole");
        }
        let mut follower = Group::fresh().await;
        let data = sink.finish().expect("whole");
        follower.state.install_snapshot(&snapshot.meta, data).await.expect("installed");
        assert_eq!(follower.state.handle().applied(), leader.state.handle().applied());
        apply(&mut follower.state, vec![compare(OTHER)]).await.expect_err("it differs");
    });
}

#[test]
fn a_check_that_came_too_late_compares_nothing() {
    simulate(1, async {
        let (mut group, _) = noted().await;
        let late = check(NOTED_AT + 5, StateCheck::Compare { index: NOTED_AT - 1, hash: OTHER });
        apply(&mut group.state, vec![late]).await.expect("nothing to compare");
        let applied = group.state.handle().applied();
        assert_eq!((applied.checked, applied.noted), (NOTED_AT + 5, None));
        let twice = check(NOTED_AT + 6, StateCheck::Compare { index: NOTED_AT, hash: OTHER });
        apply(&mut group.state, vec![twice]).await.expect("nothing is noted any more");
    });
}

#[test]
fn no_machine_sees_a_check() {
    simulate(1, async {
        let store = Group::fresh().await.store;
        let log = kit::empty_log::<Simulation>().await;
        let state = GroupState::open(store, kit::GROUP + 1, Arc::new(Blind), log).await;
        let mut state = state.expect("open the group");
        apply(&mut state, vec![check(0, StateCheck::Note)]).await.expect("no command");
        apply(&mut state, vec![committed(1)]).await.expect_err("a command");
    });
}

/// Fails at any command.
struct Blind;

impl crate::Machine for Blind {
    fn apply(
        &self,
        context: crate::EntryContext<'_>,
        _: &bytes::Bytes,
        _: &mut crate::state::Txn<'_>,
    ) -> Result<bytes::Bytes, Error> {
        let crate::EntryContext { group, index, .. } = context;
        Err(Error::Unapplicable { group, index, detail: "it sees commands".to_owned() })
    }
}
