//! Space comes back, and readers do not notice.

use tokio::task::JoinSet;

use super::writing::{gated, queued, until};
use super::*;
use crate::blobs::CompactReport;

const SEGMENT_BYTES: u64 = segment_of(20);

fn version(version: u8, count: u32) -> Chunks {
    (0..count).map(|index| (key(1, version, index), body(u64::from(index) + 1, 900))).collect()
}

#[tokio::test]
async fn segments_without_live_chunks_are_unlinked() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), SEGMENT_BYTES);
    put_all(&store, &version(1, 100)).await;
    put_all(&store, &version(2, 5)).await;
    let before = store.usage();
    store.delete_version(1, [1; 16]).await.expect("deleted");
    let deleted = store.usage();
    assert_eq!(deleted.live_bytes + deleted.dead_bytes, before.live_bytes);
    let report = compact_fully(&store).await;
    assert!(report.unlinked_segments >= 4, "{report:?}");
    let after = store.usage();
    assert_eq!(after.segments as usize, segments(dir.path()).len());
    assert!(after.dead_bytes < 2 * SEGMENT_BYTES, "{after:?}");
    assert_holds(&store, &version(2, 5)).await;
}

#[tokio::test]
async fn the_newest_segment_is_given_back_too_once_little_of_it_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), segment_of(400));
    let kept = version(2, 3);
    put_all(&store, &version(1, 100)).await;
    put_all(&store, &kept).await;
    assert_eq!(compact_fully(&store).await, CompactReport::default(), "all of it counts");
    store.delete_version(1, [1; 16]).await.expect("deleted");
    assert_eq!(segments(dir.path()).len(), 1);
    let report = compact_fully(&store).await;
    assert_eq!((report.moved_chunks, report.unlinked_segments), (3, 1));
    assert_eq!(store.usage().dead_bytes, 0);
    assert_holds(&store, &kept).await;

    store.delete_version(1, [2; 16]).await.expect("deleted");
    assert_eq!(compact_fully(&store).await, CompactReport::default(), "too few bytes to begin another file");
    drop(store);
    let store = open(dir.path(), segment_of(400));
    put_all(&store, &version(3, 30)).await;
    store.delete_version(1, [3; 16]).await.expect("deleted");
    assert_eq!(compact_fully(&store).await.unlinked_segments, 1);
    assert_eq!((store.usage().live_bytes, store.usage().dead_bytes), (0, 0));
}

#[tokio::test]
async fn sparse_segments_are_written_anew_with_their_times() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(std::sync::atomic::AtomicU64::new(1_000));
    let reading = Arc::clone(&clock);
    let now_ms = Arc::new(move || reading.load(std::sync::atomic::Ordering::Relaxed));
    let options = BlobOptions { now_ms, ..options(SEGMENT_BYTES) };
    let store = BlobStore::open(dir.path(), options).expect("opened");
    for index in 0..60 {
        let kept = if index % 4 == 0 { 2 } else { 1 };
        store.put(key(1, kept, index), body(u64::from(index), 900)).await.expect("written");
    }
    store.delete_version(1, [1; 16]).await.expect("deleted");
    let kept: Chunks =
        (0..60).step_by(4).map(|index| (key(1, 2, index), body(u64::from(index), 900))).collect();
    clock.store(9_000, std::sync::atomic::Ordering::Relaxed);
    let report = compact_fully(&store).await;
    assert!(report.moved_chunks > 0 && report.unlinked_segments > 0, "{report:?}");
    assert_holds(&store, &kept).await;
    assert_eq!(store.versions(1, None, 9).expect("listed")[0].written_at_ms, 1_000);
    assert_eq!(store.usage().live_bytes, 15 * taken(900));
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).expect("removed");
    assert_holds(&open(dir.path(), SEGMENT_BYTES), &kept).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_go_on_while_segments_come_and_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), SEGMENT_BYTES);
    let kept = version(9, 40);
    // Thinly spread, so that each of them is moved, more than once.
    for (at, (key_kept, body_kept)) in kept.iter().enumerate() {
        store.put(*key_kept, body_kept.clone()).await.expect("written");
        for filler in 0..5 {
            store.put(key(2, 1, at as u32 * 5 + filler), body(7, 900)).await.expect("written");
        }
    }
    delete_replica(&store, 2).await;
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (store, kept) = (store.clone(), kept.clone());
        tasks.spawn(async move {
            for _ in 0..10 {
                assert_holds(&store, &kept).await;
            }
        });
    }
    let writing = store.clone();
    tasks.spawn(async move {
        for round in 0..8 {
            put_all(&writing, &version(3, 20)).await;
            assert_holds(&writing, &version(3, 20)).await;
            writing.delete_version(1, [3; 16]).await.unwrap_or_else(|error| panic!("{round}: {error}"));
        }
    });
    let compacting = store.clone();
    tasks.spawn(async move {
        for _ in 0..30 {
            compacting.compact().await.expect("compacted");
        }
    });
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    compact_fully(&store).await;
    assert_holds(&store, &kept).await;
    assert!(store.usage().dead_bytes < 4 * SEGMENT_BYTES, "{:?}", store.usage());
}

#[tokio::test]
async fn a_replica_of_many_chunks_is_deleted_whole_and_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), 1 << 20);
    let mut tasks = JoinSet::new();
    for index in 0..9_000 {
        let store = store.clone();
        tasks.spawn(async move { store.put(key(2, 1, index), Bytes::new()).await });
    }
    while let Some(put) = tasks.join_next().await {
        put.expect("no panic").expect("written");
    }
    let others: Chunks = [(key(1, 255, u32::MAX), body(1, 9)), (key(3, 0, 0), body(2, 9))].into();
    put_all(&store, &others).await;
    delete_replica(&store, 2).await;
    assert_eq!(store.versions(2, None, 9).expect("listed"), []);
    assert_holds(&store, &others).await;
    assert_eq!(store.usage().live_bytes, 2 * taken(9));
}

#[tokio::test]
async fn what_is_replaced_or_deleted_while_it_is_moved_does_not_come_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let (gate, after_disk) = gated();
    let options = BlobOptions { after_disk: Some(after_disk), ..options(SEGMENT_BYTES) };
    let store = BlobStore::open(dir.path(), options).expect("opened");
    let (replaced, deleted, kept) = (key(1, 1, 0), key(1, 2, 0), key(1, 3, 0));
    let fillers = (0..30).map(|index| key(2, 1, index));
    // Enough that the newest segment is not given back.
    let newest: Vec<ChunkKey> = (0..6).map(|index| key(1, 4, index)).collect();
    for key in [replaced, deleted, kept].into_iter().chain(fillers).chain(newest.iter().copied()) {
        gate.send(()).expect("open");
        store.put(key, body(1, 900)).await.expect("written");
    }
    delete_replica(&store, 2).await;
    let mut tasks = JoinSet::new();
    let (putting, deleting, compacting) = (store.clone(), store.clone(), store.clone());
    tasks.spawn(async move { putting.put(replaced, body(2, 900)).await.expect("written") });
    until(|| queued(&store) > 0).await;
    tasks.spawn(async move { deleting.delete_version(1, deleted.version).await.expect("deleted") });
    tokio::task::yield_now().await;
    tasks.spawn(async move {
        compacting.compact().await.expect("compacted");
    });
    let chunk = taken(900);
    until(|| queued(&store) == 4 * chunk).await;
    drop(gate);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    assert!(!store.has(deleted).expect("readable"));
    assert_eq!(store.usage().live_bytes, (2 + newest.len() as u64) * chunk);
    let mut chunks: Chunks = [(replaced, body(2, 900)), (kept, body(1, 900))].into();
    chunks.extend(newest.iter().map(|key| (*key, body(1, 900))));
    assert_holds(&store, &chunks).await;
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).expect("removed");
    assert_holds(&open(dir.path(), SEGMENT_BYTES), &chunks).await;
}
