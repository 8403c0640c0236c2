//! The log on a real RocksDB: group commit, a disk that fails, damage, and purged entries going away.

use crate::log_kit;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use log_kit::{REPLICA, append, entry, log_id, open, see, vote};
use openraft::storage::RaftLogStorage;
use openraft::{AsyncRuntime, EntryPayload};
use rowhouse_proto::TraceContext;
use rowhouse_raft::Error;
use rowhouse_raft::log_store::{
    LogEngine, LogOp, LogOptions, LogRecord, LogStore, MetaKind, ReplicaPhase, ReplicaRecord, RocksLog,
    SyncTimer, TailBudget,
};
use rowhouse_raft::runtime::Production;

const MEMORY: usize = 4 << 20;
/// Far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn record(index: u64) -> LogRecord {
    LogRecord { index, bytes: Bytes::from(format!("record {index}")) }
}

fn append_op(replica: u64, index: u64) -> LogOp {
    LogOp::Append { replica, records: vec![record(index)], trace: None }
}

/// A disk that waits to be told to go on, write by write, until it is opened.
struct Gate {
    reached: Receiver<()>,
    go_on: SyncSender<()>,
    open: Arc<AtomicBool>,
}

fn gated() -> (LogOptions, Gate) {
    let (reach, reached) = sync_channel(1);
    let (go_on, wait) = sync_channel(1);
    let (open, wait) = (Arc::new(AtomicBool::new(false)), Mutex::new(wait));
    let gate = Gate { reached, go_on, open: open.clone() };
    let mut options = LogOptions::new(MEMORY);
    options.before_write = Some(Arc::new(move || {
        if !open.load(Ordering::SeqCst) {
            reach.send(()).map_err(io::Error::other)?;
            wait.lock().map_err(|_| io::Error::other("poisoned"))?.recv().map_err(io::Error::other)?;
        }
        Ok(())
    }));
    (options, gate)
}

/// Counts the syncs it is told of: those that began, and those that ended with the moment of their beginning. It keeps the
/// traces of those who waited.
#[derive(Default)]
struct Tally(AtomicU64, AtomicU64, Mutex<Vec<Option<u8>>>);

impl SyncTimer for Tally {
    fn began(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn ended(&self, began: u64, trace: Option<&TraceContext>) {
        self.2.lock().expect("traces").push(trace.map(|trace| trace.trace_id[0]));
        assert_eq!(self.1.fetch_add(1, Ordering::Relaxed), began, "one after the other");
    }
}

#[test]
fn one_sync_serves_everything_queued_meanwhile() {
    const REPLICAS: u64 = 200;
    let dir = tempfile::tempdir().expect("a temp dir");
    let (mut options, gate) = gated();
    let tally = Arc::new(Tally::default());
    options.sync_timer = Some(tally.clone());
    let engine = RocksLog::open(dir.path(), &options).expect("opens");
    let (done, answers) = sync_channel(REPLICAS as usize + 1);
    let answer = |replica: u64| {
        let done = done.clone();
        Box::new(move |result: Result<(), Error>| {
            done.send((replica, result.is_ok())).expect("the test takes every answer");
        })
    };
    engine.submit(vec![append_op(0, 0)], true, answer(0));
    gate.reached.recv_timeout(PATIENCE).expect("the writer takes the first submission");
    for replica in 1..=REPLICAS {
        engine.submit(vec![append_op(replica, 0)], true, answer(replica));
    }
    gate.open.store(true, Ordering::SeqCst);
    gate.go_on.send(()).expect("the writer waits");
    let answered: Vec<(u64, bool)> =
        (0..=REPLICAS).map(|_| answers.recv_timeout(PATIENCE).expect("an answer")).collect();
    let in_order: Vec<(u64, bool)> = (0..=REPLICAS).map(|replica| (replica, true)).collect();
    assert_eq!(answered, in_order);
    assert_eq!(engine.metrics().syncs.load(Ordering::Relaxed), 2, "one for the first, one for all others");
    assert_eq!((tally.0.load(Ordering::Relaxed), tally.1.load(Ordering::Relaxed)), (2, 2), "each is timed");
    assert_eq!(engine.metrics().submissions.load(Ordering::Relaxed), REPLICAS + 1);
    for replica in 0..=REPLICAS {
        assert_eq!(engine.read(replica, 0, 9, 1).expect("reads"), [record(0)]);
    }
}

#[test]
fn what_waits_for_the_disk_is_seen_from_outside() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (options, gate) = gated();
    let engine = RocksLog::open(dir.path(), &options).expect("opens");
    assert_eq!(engine.progress().waiting(), [None, None]);
    engine.submit(vec![append_op(REPLICA, 0)], false, Box::new(drop));
    assert_eq!(engine.progress().waiting(), [None, None], "nobody waits for it");
    let (done, answers) = sync_channel(2);
    let answer = || {
        let done = done.clone();
        Box::new(move |result: Result<(), Error>| done.send(result.is_ok()).expect("the test takes it"))
    };
    engine.submit(vec![append_op(REPLICA, 1)], true, answer());
    gate.reached.recv_timeout(PATIENCE).expect("the writer takes it");
    engine.submit(vec![append_op(REPLICA, 2)], true, answer());
    assert_eq!(engine.progress().waiting(), [Some(0), None], "the disk does not answer");
    engine.put_node_record("beside", Bytes::from_static(b"value")).expect("writes");
    assert_eq!(engine.progress().waiting(), [Some(0), None], "what others write says nothing of it");
    gate.open.store(true, Ordering::SeqCst);
    gate.go_on.send(()).expect("the writer waits");
    for _ in 0..2 {
        assert!(answers.recv_timeout(PATIENCE).expect("an answer"));
    }
    engine.put_node_record("key", Bytes::from_static(b"value")).expect("writes");
    assert_eq!(engine.progress().waiting(), [None, None], "all is answered");
}

#[test]
fn a_sync_knows_a_recorded_trace_of_those_who_waited_for_it() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let mut options = LogOptions::new(MEMORY);
    let tally = Arc::new(Tally::default());
    options.sync_timer = Some(tally.clone());
    let engine = Arc::new(RocksLog::open(dir.path(), &options).expect("opens"));
    Production::run(async {
        let mut store = open::<Production>(engine).await;
        tally.2.lock().expect("traces").clear();
        // Two writes in one append: the last one that is recorded stands for them.
        for (first, flags) in [(0, [1, 1]), (2, [1, 0]), (4, [0, 0])] {
            let traced = |(at, flags): (u64, u8)| {
                let trace =
                    TraceContext { trace_id: [first as u8 + at as u8 + 1; 16], span_id: [1; 8], flags };
                let mut entry = entry(1, first + at, 10);
                let EntryPayload::Normal(envelope) = &mut entry.payload else { panic!("a command") };
                envelope.trace = Bytes::copy_from_slice(&trace.to_bytes());
                entry
            };
            let entries = vec![traced((0, flags[0])), traced((1, flags[1]))];
            append(&mut store, entries).await.await.expect("answered").expect("synced");
        }
        append(&mut store, vec![entry(1, 6, 10)]).await.await.expect("answered").expect("synced");
    });
    assert_eq!(*tally.2.lock().expect("traces"), [Some(2), Some(3), None, None]);
}

#[test]
fn a_write_that_fails_ends_the_log() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (failing, fatal) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let mut options = LogOptions::new(MEMORY);
    let (fails, seen) = (failing.clone(), fatal.clone());
    options.before_write = Some(Arc::new(move || {
        if fails.load(Ordering::SeqCst) { Err(io::Error::other("no space left")) } else { Ok(()) }
    }));
    options.on_fatal =
        Arc::new(move |message| seen.lock().expect("no panic holds it").push(message.to_owned()));
    let engine: Arc<dyn LogEngine> = Arc::new(RocksLog::open(dir.path(), &options).expect("opens"));
    Production::run(async {
        let mut store = open::<Production>(engine.clone()).await;
        append(&mut store, vec![entry(1, 0, 10)]).await.await.expect("answered").expect("synced");
        failing.store(true, Ordering::SeqCst);
        let failed = append(&mut store, vec![entry(1, 1, 10)]).await;
        assert!(failed.await.expect("answered").is_err());
        // The disk is well again, the log must not be: what it holds is unknown.
        failing.store(false, Ordering::SeqCst);
        assert!(store.save_vote(&vote(2, false)).await.is_err());
        assert!(store.handle().synced(1).await.is_err());
    });
    let fatal = fatal.lock().expect("no panic holds it");
    assert_eq!(fatal.len(), 1, "told once: {fatal:?}");
    assert!(fatal[0].contains("no space left") && fatal[0].contains("Check the disk"), "{}", fatal[0]);
}

#[test]
fn a_writer_that_panics_ends_the_node() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let mut options = LogOptions::new(MEMORY);
    options.before_write = Some(Arc::new(|| panic!("a bug in the writer")));
    let (told, fatal) = sync_channel(1);
    options.on_fatal = Arc::new(move |message| told.send(message.to_owned()).expect("it is told once"));
    let engine = RocksLog::open(dir.path(), &options).expect("opens");
    engine.submit(vec![append_op(REPLICA, 0)], true, Box::new(drop));
    let message = fatal.recv_timeout(PATIENCE).expect("the node is ended, not left waiting");
    assert!(message.contains("panicked") && message.contains("Start the node again"), "{message}");
}

/// The files as a crash of the machine's power or program would leave them, not as `Drop` does.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for file in fs::read_dir(from).expect("lists") {
        let file = file.expect("lists").path();
        let name = file.file_name().expect("a file has a name");
        if name != "LOCK" {
            fs::copy(&file, to.join(name)).expect("copies");
        }
    }
}

fn write_ahead_log(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).expect("lists").map(|file| file.expect("lists").path());
    let mut logs: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|it| it == "log")).collect();
    logs.sort();
    logs.pop().expect("a write-ahead log")
}

/// A log of `count` entries, each its own write, as a power cut leaves it.
fn cut_off(count: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (live, copied) = (dir.path().join("live"), dir.path().join("copy"));
    Production::run(async {
        let engine = Arc::new(RocksLog::open(&live, &LogOptions::new(MEMORY)).expect("opens"));
        let mut store = open::<Production>(engine).await;
        store.save_vote(&vote(1, true)).await.expect("saves");
        for index in 0..count {
            append(&mut store, vec![entry(1, index, 100)]).await.await.expect("answered").expect("synced");
        }
        copy(&live, &copied);
    });
    (dir, copied)
}

#[test]
fn what_was_acknowledged_survives_the_process() {
    let (_dir, copied) = cut_off(20);
    let engine = Arc::new(RocksLog::open(&copied, &LogOptions::new(MEMORY)).expect("opens"));
    let seen = Production::run(async { see(&mut open::<Production>(engine).await).await });
    assert_eq!(seen.last, Some(log_id(1, 19)));
    assert_eq!(seen.entries, (0..20).map(|index| entry(1, index, 100)).collect::<Vec<_>>());
    assert_eq!(seen.vote, Some(vote(1, true)));
}

#[test]
fn a_torn_last_write_is_dropped_and_nothing_else() {
    let (_dir, copied) = cut_off(20);
    let wal = write_ahead_log(&copied);
    let torn = fs::metadata(&wal).expect("stats").len() - 30;
    fs::OpenOptions::new().write(true).open(&wal).and_then(|file| file.set_len(torn)).expect("cuts");
    let engine = Arc::new(RocksLog::open(&copied, &LogOptions::new(MEMORY)).expect("opens"));
    let seen = Production::run(async { see(&mut open::<Production>(engine).await).await });
    assert_eq!(seen.entries, (0..19).map(|index| entry(1, index, 100)).collect::<Vec<_>>());
}

#[test]
fn damage_before_the_end_is_a_lost_replica_and_never_a_shorter_log() {
    let (_dir, copied) = cut_off(200);
    let wal = write_ahead_log(&copied);
    let mut bytes = fs::read(&wal).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    fs::write(&wal, bytes).expect("writes");
    let error = RocksLog::open(&copied, &LogOptions::new(MEMORY)).err().expect("a damaged log is refused");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("is lost"), "{error}");
}

#[test]
fn a_log_without_its_manifest_is_refused() {
    let (_dir, copied) = cut_off(3);
    fs::write(copied.join("CURRENT"), "MANIFEST-999999\n").expect("writes");
    assert!(RocksLog::open(&copied, &LogOptions::new(MEMORY)).is_err());
}

#[test]
fn another_format_version_is_refused() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let options = LogOptions::new(MEMORY);
    let engine = RocksLog::open(dir.path(), &options).expect("opens");
    assert_eq!(engine.node_record("format_version").expect("reads"), Some(Bytes::from_static(&[0, 0, 0, 2])));
    engine.put_node_record("format_version", Bytes::from_static(&[0, 0, 0, 1])).expect("writes");
    drop(engine);
    let error = RocksLog::open(dir.path(), &options).err().expect("refused");
    assert!(matches!(error, Error::Version { found: 1, known: 2, .. }), "{error}");
}

/// Entries of the replica that the database still holds.
fn stored(engine: &RocksLog) -> Vec<u64> {
    let records = engine.read(REPLICA, 0, u64::MAX, usize::MAX).expect("reads");
    records.into_iter().map(|record| record.index).collect()
}

#[test]
fn purged_entries_leave_the_database_only_once_the_state_is_durable() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let engine = Arc::new(RocksLog::open(dir.path(), &LogOptions::new(MEMORY)).expect("opens"));
    Production::run(async {
        let mut store = open::<Production>(engine.clone()).await;
        let entries = (0..100).map(|index| entry(1, index, 100)).collect();
        append(&mut store, entries).await.await.expect("answered").expect("synced");
        store.purge(log_id(1, 79)).await.expect("purges");
        let seen = see(&mut store).await;
        assert_eq!((seen.purged, seen.entries.len()), (Some(log_id(1, 79)), 20), "gone for openraft");
        store.handle().synced_all().await.expect("syncs");
        // The filter runs in compactions, not in flushes: the second one meets an SST file.
        engine.compact();
        engine.compact();
        assert_eq!(stored(&engine).len(), 100, "nothing is durable in the state machine yet");
        assert_eq!(engine.meta(REPLICA, MetaKind::LastPurged).expect("reads"), None);

        store.handle().set_durable_applied(log_id(1, 49));
        store.handle().synced_all().await.expect("syncs");
        engine.compact();
        assert_eq!(stored(&engine), (50..100).collect::<Vec<_>>());
        drop(store);
        let seen = see(&mut open::<Production>(engine.clone()).await).await;
        assert_eq!((seen.purged, seen.entries.len()), (Some(log_id(1, 49)), 50));
    });
}

#[test]
fn a_tombstone_is_final_and_releases_everything() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let options = LogOptions::new(MEMORY);
    let tombstone = ReplicaRecord { group: 3, phase: ReplicaPhase::Tombstone };
    let live = ReplicaRecord { group: 3, phase: ReplicaPhase::Live };
    Production::run(async {
        let engine = Arc::new(RocksLog::open(dir.path(), &options).expect("opens"));
        live.write(engine.as_ref(), REPLICA).await.expect("writes");
        live.write(engine.as_ref(), REPLICA + 1).await.expect("writes");
        let mut store = open::<Production>(engine.clone()).await;
        append(&mut store, vec![entry(1, 0, 100)]).await.await.expect("answered").expect("synced");
        drop(store);
        tombstone.write(engine.as_ref(), REPLICA).await.expect("writes");
        tombstone.write(engine.as_ref(), REPLICA).await.expect("a repeat is fine");
        assert!(matches!(live.write(engine.as_ref(), REPLICA).await, Err(Error::Tombstone(REPLICA))));
        let refused = LogStore::<Production>::open(engine.clone(), REPLICA, TailBudget::new(1 << 20)).await;
        assert!(matches!(refused.err(), Some(Error::Tombstone(REPLICA))));
    });
    let engine = RocksLog::open(dir.path(), &options).expect("opens again");
    assert_eq!(ReplicaRecord::all(&engine).expect("reads"), [(REPLICA, tombstone), (REPLICA + 1, live)]);
    engine.compact();
    engine.compact();
    assert_eq!(stored(&engine), Vec::<u64>::new(), "the floor of a tombstone survives a restart");
}

#[test]
fn long_and_short_truncations_remove_exactly_the_tail() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let options = LogOptions::new(MEMORY);
    let engine = Arc::new(RocksLog::open(dir.path(), &options).expect("opens"));
    Production::run(async {
        let mut store = open::<Production>(engine.clone()).await;
        append(&mut store, (0..5_000).map(|index| entry(1, index, 10)).collect()).await;
        store.truncate_after(Some(log_id(1, 1_999))).await.expect("truncates");
        append(&mut store, (2_000..2_010).map(|index| entry(2, index, 10)).collect()).await;
        store.truncate_after(Some(log_id(2, 2_004))).await.expect("truncates");
        store.handle().synced_all().await.expect("syncs");
    });
    assert_eq!(stored(&engine), (0..2_005).collect::<Vec<_>>());
    drop(engine);
    let engine = Arc::new(RocksLog::open(dir.path(), &options).expect("opens again"));
    let seen = Production::run(async { see(&mut open::<Production>(engine).await).await });
    assert_eq!(seen.last, Some(log_id(2, 2_004)));
    assert_eq!(seen.entries[2_000], entry(2, 2_000, 10));
}
