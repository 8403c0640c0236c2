//! What listings and collision checks read of a directory with a million files below one child.

use crate::machine_fixture;

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use machine_fixture::*;
use pubky_common::crypto::Keypair;
use rowhouse_node::apply::{Precheck, precheck};
use rowhouse_node::read::list_entries;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::ListEntries;
use rowhouse_proto::wire::state::Entry;
use rowhouse_raft::Error;
use rowhouse_raft::state::{ScanOrder, StateRead, View};

const USER: u8 = 1;
const MILLION: u32 = 1_000_000;
/// The children of `/pub/`, in byte order; the million lies below one of them.
const CHILDREN: [&str; 5] = ["/pub/a", "/pub/big-", "/pub/big/", "/pub/big0", "/pub/z/"];

/// Rows, and a million files below `/pub/big/` that are made as they are read. It counts what is read of the files.
struct Counting {
    rows: BTreeMap<Bytes, Bytes>,
    scans: AtomicU64,
    visited: AtomicU64,
}

impl Counting {
    /// A user with a cookie session and the children.
    fn new() -> Self {
        let mut replica = Replica::default();
        replica.apply(&command(1, 0, create_user(USER, auth_token(0, 0), USER)));
        for path in ["/pub/a", "/pub/big-", "/pub/big0", "/pub/z/file"] {
            replica.put_row(tables::entry(&key_bytes(USER), path), &Entry::default());
        }
        Self { rows: replica.rows.0, scans: AtomicU64::new(0), visited: AtomicU64::new(0) }
    }

    /// What it gives, the scans of files meanwhile, and the files that they visited.
    fn count<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> (T, u64, u64) {
        self.scans.store(0, Relaxed);
        self.visited.store(0, Relaxed);
        let given = read(&View::new(self, Bytes::new()));
        (given, self.scans.load(Relaxed), self.visited.load(Relaxed))
    }

    /// How many of the million lie before a key.
    fn before(key: &[u8]) -> u32 {
        let (mut low, mut high) = (0, MILLION);
        while low < high {
            let middle = low.midpoint(high);
            if file(middle).as_ref() < key { low = middle + 1 } else { high = middle }
        }
        low
    }
}

fn file(number: u32) -> Bytes {
    tables::entry(&key_bytes(USER), &format!("/pub/big/{number:06}"))
}

impl StateRead for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        order: ScanOrder,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let of_files = from.first() == Some(&tables::ENTRY);
        self.scans.fetch_add(u64::from(of_files), Relaxed);
        let row = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        let rows =
            |from, to| self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).map(row);
        let big = file(0);
        let (files, split) = if of_files {
            (Self::before(from)..Self::before(to), big.as_ref().clamp(from, to))
        } else {
            (0..0, to)
        };
        let all =
            rows(from, split).chain(files.map(|number| (file(number), Bytes::new()))).chain(rows(split, to));
        let mut see = |(key, value): (Bytes, Bytes)| {
            self.visited.fetch_add(u64::from(of_files), Relaxed);
            visit(&key, &value)
        };
        // It ends where the visitor breaks.
        let _flow = match order {
            ScanOrder::Ascending => all.into_iter().try_for_each(&mut see),
            ScanOrder::Descending => all.rev().try_for_each(&mut see),
        };
        Ok(())
    }
}

fn query(path: &str) -> ListEntries {
    ListEntries {
        tenant: key_of(USER),
        path: path.to_owned(),
        limit: 100,
        shallow: true,
        ..ListEntries::default()
    }
}

fn list(view: &View<'_>, query: &ListEntries) -> Vec<String> {
    list_entries(view, query, START_MS).unwrap_or_else(|error| panic!("{error}")).paths
}

#[test]
fn a_shallow_listing_reads_one_row_of_each_sub_directory() {
    let state = Counting::new();
    let mut children = CHILDREN;
    for reverse in [false, true] {
        let (found, scans, visited) =
            state.count(|view| list(view, &ListEntries { reverse, ..query("/pub/") }));
        assert_eq!(found, children);
        // One row tells that the directory exists. A scan ends at each sub-directory, and one at the end.
        assert_eq!(visited, 1 + children.len() as u64, "reverse: {reverse}");
        assert_eq!(scans, 1 + 2 + 1, "reverse: {reverse}");
        children.reverse();
    }
}

#[test]
fn a_shallow_page_behind_a_cursor_reads_nothing_before_it() {
    let state = Counting::new();
    let key = Keypair::from_secret(&[USER; 32]).public_key().z32();
    for (cursor, reverse, expected) in [
        ("/pub/big-", false, &["/pub/big/"][..]),
        ("/pub/big/", false, &["/pub/big0"]),
        ("/pub/big/500000", false, &["/pub/big0"]),
        ("/pub/big0", true, &["/pub/big/"]),
        ("/pub/big/500000", true, &["/pub/big/"]),
        ("/pub/big/", true, &["/pub/big-"]),
    ] {
        let page = ListEntries { limit: 1, reverse, cursor: format!("{key}{cursor}"), ..query("/pub/") };
        let (found, _, visited) = state.count(|view| list(view, &page));
        assert_eq!(
            (found.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), visited),
            (expected, 2),
            "{cursor} reverse: {reverse}"
        );
    }
}

#[test]
fn a_deep_page_reads_as_many_rows_as_it_has() {
    let state = Counting::new();
    let key = Keypair::from_secret(&[USER; 32]).public_key().z32();
    for (cursor, reverse) in [("", false), ("/pub/big/500000", false), ("/pub/big/999900", true)] {
        let cursor = if cursor.is_empty() { String::new() } else { format!("{key}{cursor}") };
        let page = ListEntries { shallow: false, limit: 1000, reverse, cursor, ..query("/pub/big/") };
        let (found, scans, visited) = state.count(|view| list(view, &page));
        assert_eq!((found.len(), scans, visited), (1000, 2, 1001));
    }
}

#[test]
fn a_collision_check_reads_one_row_of_a_million() {
    let state = Counting::new();
    for (path, collides) in [("/pub/big", true), ("/pub/big/new", false), ("/pub/new", false)] {
        let put = command(2, 0, put(cookie(USER), USER, path, b"x"));
        let (verdict, scans, visited) =
            state.count(|view| precheck(view, &put, Some(1), START_MS).expect("readable"));
        match verdict {
            Precheck::Refused(refusal) => {
                assert!(collides && refusal.code == ErrorCode::PathCollision, "{path}")
            }
            Precheck::Propose => assert!(!collides, "{path}"),
            Precheck::Known(outcome) => panic!("{outcome:?}"),
        }
        assert_eq!((scans, visited), (1, u64::from(collides)), "{path}");
    }
}
