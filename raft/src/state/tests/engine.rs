//! Both state engines against an ordered map: reads, scans both ways, snapshots, pages, ingestion,
//! dropped ranges, and what a crash may take.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::Error;
use crate::log_store::{LogEngine, LogOptions, RocksLog};
use crate::sim::MemoryState;
use crate::state::{RocksState, ScanOrder, StateBatch, StateEngine, StateOptions, StateRead, StateRecords};
use bytes::Bytes;
use proptest::prelude::*;

/// Smallest budget: many small memtables and files.
fn options() -> StateOptions {
    StateOptions::new(1 << 20)
}

type Model = BTreeMap<Bytes, Bytes>;

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(Bytes, Option<Bytes>)>),
    DropRange(Bytes, Bytes),
    Ingest(Model),
    Flush,
}

/// Keys share few prefixes of the extractor's seven bytes, so that scans cross them.
fn key() -> impl Strategy<Value = Bytes> {
    (0u8..3, 0u8..3, prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..4)).prop_map(
        |(group, table, rest)| {
            let mut key = vec![0, group, 0, 0, 0, 0, table];
            key.extend(rest);
            key.into()
        },
    )
}

fn value() -> impl Strategy<Value = Bytes> {
    // Some are long enough for blob files.
    prop_oneof![4 => 0usize..30, 1 => 16_000usize..20_000].prop_map(|length| vec![b'v'; length].into())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((key(), prop::option::weighted(0.7, value())), 1..6).prop_map(Step::Write),
        1 => (key(), key()).prop_map(|(a, b)| Step::DropRange(a.clone().min(b.clone()), a.max(b))),
        1 => prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..3), value(), 0..5).prop_map(|records| {
            // A fresh range: no other key has this first byte.
            let fresh = |(key, value): (Vec<u8>, Bytes)| {
                let mut full = vec![9, 0, 0, 0, 0, 0, 0];
                full.extend(key);
                (full.into(), value)
            };
            Step::Ingest(records.into_iter().map(fresh).collect())
        }),
        1 => Just(Step::Flush),
    ]
}

fn apply(engine: &dyn StateEngine, model: &mut Model, staging: &Path, step: Step) {
    match step {
        Step::Write(writes) => {
            for (key, value) in &writes {
                match value {
                    Some(value) => model.insert(key.clone(), value.clone()),
                    None => model.remove(key),
                };
            }
            engine.write(StateBatch { writes }).expect("write");
        }
        Step::DropRange(from, to) => {
            model.retain(|key, _| *key < from || *key >= to);
            engine.drop_range(&from, &to).expect("drop range");
        }
        Step::Ingest(records) => {
            if model.keys().any(|key| key[0] == 9) {
                return;
            }
            model.extend(records.clone());
            engine.ingest(staging, &mut records.into_iter().map(Ok)).expect("ingest");
        }
        Step::Flush => engine.flush().expect("flush"),
    }
}

fn scan(read: &dyn StateRead, from: &[u8], to: &[u8], order: ScanOrder) -> Vec<(Bytes, Bytes)> {
    let mut found = Vec::new();
    read.scan(from, to, order, &mut |key, value| {
        found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        ControlFlow::Continue(())
    })
    .expect("scan");
    found
}

fn check(read: &dyn StateRead, model: &Model, from: &Bytes, to: &Bytes) {
    let mut expected: Vec<(Bytes, Bytes)> = model
        .iter()
        .filter(|(key, _)| *key >= from && *key < to)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    assert_eq!(scan(read, from, to, ScanOrder::Ascending), expected);
    expected.reverse();
    assert_eq!(scan(read, from, to, ScanOrder::Descending), expected);
    for key in [from, to] {
        assert_eq!(read.get(key).expect("get"), model.get(key).cloned());
    }
}

fn drain(mut records: Box<dyn StateRecords>, bytes: usize) -> Vec<(Bytes, Bytes)> {
    let mut found = Vec::new();
    loop {
        let page = records.page(bytes).expect("page");
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

fn compare(
    engine: Arc<dyn StateEngine>,
    staging: &Path,
    before: Vec<Step>,
    after: Vec<Step>,
    (from, to): (Bytes, Bytes),
    page: usize,
) {
    const END: &[u8] = &[255; 8];
    let mut model = Model::new();
    for step in before {
        apply(engine.as_ref(), &mut model, staging, step);
    }
    check(engine.as_ref(), &model, &from, &to);
    let then = model.clone();
    let snapshot = engine.snapshot();
    let records = engine.clone().records(Bytes::new(), Bytes::from_static(END));
    // Whole files of a dropped range vanish under snapshots too: nobody may read one then.
    for step in after.into_iter().filter(|step| !matches!(step, Step::DropRange(..))) {
        apply(engine.as_ref(), &mut model, staging, step);
    }
    check(snapshot.as_ref(), &then, &from, &to);
    check(engine.as_ref(), &model, &from, &to);
    check(engine.as_ref(), &model, &Bytes::new(), &Bytes::from_static(END));
    assert_eq!(drain(records, page), then.into_iter().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn engines_are_ordered_maps(
        before in prop::collection::vec(step(), 0..12),
        after in prop::collection::vec(step(), 0..6),
        range in (key(), key()),
        page in 1usize..200,
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let staging = dir.path().join("staging");
        let rocks = RocksState::open(&dir.path().join("db"), options()).expect("open");
        compare(Arc::new(rocks), &staging, before.clone(), after.clone(), range.clone(), page);
        compare(Arc::new(MemoryState::new()), &staging, before, after, range, page);
    }
}

fn batch(key: &'static str, value: &'static str) -> StateBatch {
    StateBatch {
        writes: vec![(Bytes::from_static(key.as_bytes()), Some(Bytes::from_static(value.as_bytes())))],
    }
}

#[test]
fn memory_loses_exactly_what_was_not_flushed() {
    let state = MemoryState::new();
    state.write(batch("a", "1")).expect("write");
    state.flush().expect("flush");
    state.write_synced(batch("m", "1")).expect("write");
    state.write(batch("a", "2")).expect("write");
    state.write(batch("b", "2")).expect("write");
    assert_eq!(state.unflushed(), 2);
    state.crash_keeping(1);
    assert_eq!(state.get(b"a").expect("get"), Some(Bytes::from_static(b"2")));
    assert_eq!(state.get(b"b").expect("get"), None);
    assert_eq!(state.meta(b"m").expect("meta"), Some(Bytes::from_static(b"1")));
    state.write(batch("a", "3")).expect("write");
    state.crash();
    assert_eq!(state.get(b"a").expect("get"), Some(Bytes::from_static(b"2")));
}

/// The directory as it lies on disk while the database runs: what a killed process leaves behind.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create directory");
    for file in std::fs::read_dir(from).expect("read directory") {
        let file = file.expect("directory entry").path();
        let name = file.file_name().expect("a file name");
        std::fs::copy(&file, to.join(name)).expect("copy");
    }
}

#[test]
fn rocks_keeps_flushed_data_and_meta_over_a_kill_and_loses_the_rest() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (live, image) = (dir.path().join("live"), dir.path().join("image"));
    let state = RocksState::open(&live, options()).expect("open");
    state.write(batch("aaaaaaaa", "1")).expect("write");
    state.flush().expect("flush");
    state.write(batch("aaaaaaaa", "2")).expect("write");
    state.write_synced(batch("m", "1")).expect("write");
    state.write(batch("bbbbbbbb", "2")).expect("write");
    copy_dir(&live, &image);
    let state = RocksState::open(&image, options()).expect("open the image");
    assert_eq!(state.get(b"aaaaaaaa").expect("get"), Some(Bytes::from_static(b"1")));
    assert_eq!(state.get(b"bbbbbbbb").expect("get"), None);
    assert_eq!(state.meta(b"m").expect("meta"), Some(Bytes::from_static(b"1")));
    assert_eq!(state.metas(b"m").expect("metas").len(), 1);
}

#[test]
fn rocks_refuses_another_format() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = RocksState::open(dir.path(), options()).expect("open");
    let older = Bytes::copy_from_slice(&1u32.to_be_bytes());
    state
        .write_synced(StateBatch { writes: vec![(Bytes::from_static(b"format"), Some(older))] })
        .expect("write");
    drop(state);
    let refused = RocksState::open(dir.path(), options()).err();
    assert!(matches!(refused, Some(Error::Version { found: 1, known: 2, .. })), "{refused:?}");
}

#[test]
fn an_ingestion_that_fails_leaves_no_file_and_no_record() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let staging = dir.path().join("staging");
    let state = RocksState::open(&dir.path().join("db"), options()).expect("open");
    let record = |key: &'static str| Ok((Bytes::from_static(key.as_bytes()), Bytes::new()));
    let torn = [record("aaaaaaaa"), record("bbbbbbbb"), Err(Error::corrupt("a test", "torn"))];
    let unsorted = [record("bbbbbbbb"), record("aaaaaaaa"), record("cccccccc")];
    for records in [torn, unsorted] {
        assert!(state.ingest(&staging, &mut records.into_iter()).is_err());
        assert_eq!(std::fs::read_dir(&staging).expect("read directory").count(), 0, "a file is left");
        assert_eq!(scan(&state, b"", &[255; 9], ScanOrder::Ascending), Vec::new());
    }
    state.ingest(&staging, &mut [record("aaaaaaaa")].into_iter()).expect("the next one is not in its way");
    assert_eq!(std::fs::read_dir(&staging).expect("read directory").count(), 0);
}

#[test]
fn a_database_that_cannot_flush_ends_the_node_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db = dir.path().join("db");
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = told.clone();
    let mut options = options();
    options.on_fatal = Arc::new(move |message| {
        hears.lock().expect("no panic holds it").push(message.to_owned());
    });
    let state = RocksState::open(&db, options).expect("open");
    state.write(batch("aaaaaaaa", "1")).expect("write");
    std::fs::remove_dir_all(&db).expect("remove directory");
    assert!(state.flush().is_err());
    assert!(state.write(batch("bbbbbbbb", "2")).is_err(), "what it holds is unknown");
    let told = told.lock().expect("no panic holds it");
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert!(told[0].contains("flush state") && told[0].contains("Check the disk"), "{}", told[0]);
}

#[test]
fn both_databases_of_a_node_cache_their_blocks_in_one_place() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let of_state = options();
    let cache = of_state.block_cache.clone();
    let mut of_log = LogOptions::new(1 << 20);
    of_log.block_cache = cache.clone();
    let used = || cache.get_usage();
    let before = used();

    let state = RocksState::open(&dir.path().join("state"), of_state).expect("open");
    state.write(batch("aaaaaaaa", "1")).expect("write");
    state.flush().expect("flush");
    state.get(b"aaaaaaaa").expect("get");
    let with_state = used();
    assert!(with_state > before);

    let log = RocksLog::open(&dir.path().join("log"), &of_log).expect("open");
    log.put_node_record("record", Bytes::from_static(b"value")).expect("write");
    log.compact();
    log.node_record("record").expect("read");
    assert!(used() > with_state);
}
