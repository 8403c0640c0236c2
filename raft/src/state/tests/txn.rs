//! A transaction sees the store with its own writes laid over it, as a plain map would.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::sim::MemoryState;
use crate::state::{ScanOrder, StateBatch, StateEngine, Txn, View};
use bytes::Bytes;
use proptest::prelude::*;

type Model = BTreeMap<Bytes, Bytes>;

const PREFIX: &[u8] = b"prefix";

fn key() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(1u8..4, 1..4).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from)
}

fn stored(stored: &Model) -> MemoryState {
    let full = |key: &Bytes| Bytes::from([PREFIX, key].concat());
    let mut writes: Vec<_> = stored.iter().map(|(key, value)| (full(key), Some(value.clone()))).collect();
    // Neighbours of another group, which no scan may reach.
    writes.push((Bytes::from_static(b"prefiw\x03\x03"), Some(Bytes::new())));
    writes.push((Bytes::from_static(b"prefiy\x01"), Some(Bytes::new())));
    let engine = MemoryState::new();
    engine.write(StateBatch { writes }).expect("write");
    engine
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn overlay_reads_like_a_map(
        before in prop::collection::btree_map(key(), value(), 0..12),
        commands in prop::collection::vec(prop::collection::vec((key(), prop::option::of(value())), 0..5), 0..4),
        (from, to) in (key(), key()),
        stop_after in 1usize..20,
    ) {
        let engine = stored(&before);
        let mut txn = Txn::new(View::new(&engine, Bytes::from_static(PREFIX)));
        let mut model = before;
        for command in commands {
            let mut own = BTreeMap::new();
            for (key, value) in command {
                own.insert(key.clone(), value.clone());
                match value {
                    Some(value) => {
                        model.insert(key.clone(), value.clone());
                        txn.put(key, value);
                    }
                    None => {
                        model.remove(&key);
                        txn.delete(key);
                    }
                }
            }
            prop_assert_eq!(txn.end_command(), own);
        }
        for key in [&from, &to] {
            prop_assert_eq!(txn.get(key).expect("get"), model.get(key).cloned());
        }
        let expected: Vec<(Bytes, Bytes)> = model
            .iter()
            .filter(|(key, _)| **key >= from && **key < to)
            .take(stop_after)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let mut found = Vec::new();
        txn.scan(&from, &to, &mut |key, value| {
            found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            if found.len() == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("scan");
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn views_scan_both_ways_within_their_prefix(
        before in prop::collection::btree_map(key(), value(), 0..12),
        (from, to) in (key(), key()),
    ) {
        let engine = stored(&before);
        let view = View::new(&engine, Bytes::from_static(PREFIX));
        let mut expected: Vec<Bytes> =
            before.keys().filter(|key| **key >= from && **key < to).cloned().collect();
        for order in [ScanOrder::Ascending, ScanOrder::Descending] {
            let mut found = Vec::new();
            view.scan(&from, &to, order, &mut |key, _| {
                found.push(Bytes::copy_from_slice(key));
                ControlFlow::Continue(())
            })
            .expect("scan");
            prop_assert_eq!(&found, &expected);
            expected.reverse();
        }
    }
}
