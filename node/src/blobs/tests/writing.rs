//! The writer: shared syncs, a bounded queue, a full disk, a dead one.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use super::*;
use crate::Error;
use crate::blobs::{AfterDisk, CHUNK_BYTES, DiskStep};

/// A disk whose appends wait to be let through; once the sender is gone they pass.
pub(super) fn gated() -> (SyncSender<()>, AfterDisk) {
    let (gate, waiting): (SyncSender<()>, Receiver<()>) = sync_channel(100);
    let waiting = Mutex::new(waiting);
    let after_disk: AfterDisk = Arc::new(move |step| {
        if step == DiskStep::Append {
            let _passed = waiting.lock().expect("not poisoned").recv();
        }
        Ok(())
    });
    (gate, after_disk)
}

/// Puts that run by themselves.
fn putting(store: &Arc<BlobStore>, count: u32, bytes: usize) -> JoinSet<Result<(), Error>> {
    let mut puts = JoinSet::new();
    for index in 0..count {
        let store = store.clone();
        puts.spawn(async move { store.put(key(1, 1, index), body(u64::from(index), bytes)).await });
    }
    puts
}

async fn all(mut puts: JoinSet<Result<(), Error>>) -> Vec<Result<(), Error>> {
    let mut results = Vec::new();
    while let Some(put) = puts.join_next().await {
        results.push(put.expect("no panic"));
    }
    results
}

pub(super) async fn until(condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waited).await.expect("in time");
}

pub(super) fn queued(store: &BlobStore) -> u64 {
    store.metrics().queued_bytes.load(Ordering::Relaxed)
}

#[tokio::test]
async fn what_waits_together_is_synced_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let (gate, after_disk) = gated();
    let options = BlobOptions { after_disk: Some(after_disk), ..options(1 << 30) };
    let store = BlobStore::open(dir.path(), options).expect("opened");
    let puts = putting(&store, 200, 1_000);
    until(|| queued(&store) == 200 * taken(1_000)).await;
    drop(gate);
    assert!(all(puts).await.iter().all(Result::is_ok));
    assert!(store.metrics().syncs.load(Ordering::Relaxed) <= 2, "one for the first, one for the rest");
    assert_eq!(store.metrics().records.load(Ordering::Relaxed), 200);
}

#[tokio::test]
async fn puts_wait_while_the_queue_is_full() {
    const CHUNKS_MAX: usize = 3;
    let dir = tempfile::tempdir().expect("a folder");
    let (gate, after_disk) = gated();
    let queue_bytes_max = CHUNKS_MAX * (CHUNK_BYTES + BLOCK_BYTES);
    let options = BlobOptions { after_disk: Some(after_disk), queue_bytes_max, ..options(1 << 30) };
    let store = BlobStore::open(dir.path(), options).expect("opened");
    let puts = putting(&store, 12, CHUNK_BYTES);
    until(|| queued(&store) == queue_bytes_max as u64).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
        assert!(queued(&store) <= queue_bytes_max as u64);
    }
    drop(gate);
    assert!(all(puts).await.iter().all(Result::is_ok));
    assert_eq!(queued(&store), 0);
    let too_long = store.put(key(1, 1, 0), body(0, CHUNK_BYTES + 1)).await;
    assert!(matches!(too_long, Err(Error::Io { .. })));
}

#[tokio::test]
async fn closing_writes_what_was_accepted() {
    let dir = tempfile::tempdir().expect("a folder");
    let (gate, after_disk) = gated();
    let options = BlobOptions { after_disk: Some(after_disk), ..options(1 << 30) };
    let store = BlobStore::open(dir.path(), options).expect("opened");
    let puts = putting(&store, 20, 1_000);
    until(|| queued(&store) == 20 * taken(1_000)).await;
    let opening = std::thread::spawn(move || drop(gate));
    store.close().await;
    opening.join().expect("no panic");
    assert!(all(puts).await.iter().all(Result::is_ok));
    assert!(matches!(store.put(key(1, 1, 0), Bytes::new()).await, Err(Error::Stopped)));
    assert_holds(&store, &(0..20).map(|index| (key(1, 1, index), body(u64::from(index), 1_000))).collect())
        .await;
}

/// A disk on which the steps named fail, while told so; and how often the store said that it is dead.
fn failing(
    steps: &'static [(DiskStep, i32)],
    segment_bytes: u64,
) -> (Arc<AtomicUsize>, Arc<AtomicUsize>, BlobOptions) {
    let (on, fatals) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (asked, counted) = (on.clone(), fatals.clone());
    let after_disk: AfterDisk = Arc::new(move |step| {
        let failing = steps.iter().find(|(failing, _)| *failing == step);
        match failing.filter(|_| asked.load(Ordering::SeqCst) == 1) {
            Some((_, errno)) => Err(io::Error::from_raw_os_error(*errno)),
            None => Ok(()),
        }
    });
    let on_fatal: rowhouse_raft::OnFatal = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let options = BlobOptions { after_disk: Some(after_disk), on_fatal, ..options(segment_bytes) };
    (on, fatals, options)
}

const ENOSPC: i32 = nix::errno::Errno::ENOSPC as i32;
const EIO: i32 = nix::errno::Errno::EIO as i32;

#[tokio::test]
async fn a_full_disk_refuses_chunks_and_harms_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (full, fatals, options) = failing(&[(DiskStep::Append, ENOSPC)], 1 << 30);
    let store = BlobStore::open(dir.path(), options).expect("opened");
    let chunks: Chunks = (0..5).map(|index| (key(1, 1, index), body(1, 500))).collect();
    put_all(&store, &chunks).await;
    let before = length(&newest(dir.path()));
    full.store(1, Ordering::SeqCst);
    for index in 0..3 {
        assert!(matches!(store.put(key(2, 2, index), body(2, 700)).await, Err(Error::NoSpace)));
        assert!(!store.has(key(2, 2, index)).expect("readable"));
    }
    assert_eq!(length(&newest(dir.path())), before, "what was torn is cut off");
    assert_holds(&store, &chunks).await;
    store.delete_version(1, [1; 16]).await.expect("deletes go on");
    full.store(0, Ordering::SeqCst);
    put_all(&store, &chunks).await;
    assert_holds(&store, &chunks).await;
    assert_eq!(fatals.load(Ordering::SeqCst), 0);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).expect("removed");
    assert_holds(&open(dir.path(), 1 << 30), &chunks).await;
}

#[tokio::test]
async fn a_failed_disk_ends_the_node_once_and_is_never_tried_again() {
    let cases: [&[(DiskStep, i32)]; 4] = [
        &[(DiskStep::Append, EIO)],
        &[(DiskStep::Sync, EIO)],
        &[(DiskStep::Sync, ENOSPC)],
        &[(DiskStep::Append, ENOSPC), (DiskStep::Truncate, EIO)],
    ];
    for steps in cases {
        let dir = tempfile::tempdir().expect("a folder");
        let (failed, fatals, options) = failing(steps, 1 << 30);
        let store = BlobStore::open(dir.path(), options).expect("opened");
        let chunks: Chunks = [(key(1, 1, 1), body(1, 500))].into();
        put_all(&store, &chunks).await;
        failed.store(1, Ordering::SeqCst);
        assert!(matches!(store.put(key(1, 1, 2), body(2, 500)).await, Err(Error::Io { .. })));
        failed.store(0, Ordering::SeqCst);
        let syncs = store.metrics().syncs.load(Ordering::Relaxed);
        assert!(matches!(store.put(key(1, 1, 3), body(3, 500)).await, Err(Error::Io { .. })));
        assert!(store.delete_version(1, [1; 16]).await.is_err());
        store.close().await;
        assert_eq!(store.metrics().syncs.load(Ordering::Relaxed), syncs);
        assert_eq!(fatals.load(Ordering::SeqCst), 1);
        assert_holds(&store, &chunks).await;
        assert!(!store.has(key(1, 1, 2)).expect("readable"));
    }
}
