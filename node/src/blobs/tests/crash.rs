//! A crash may leave a torn tail and an older index. Acknowledged chunks are there.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::*;
use crate::blobs::record::Header;

const LARGE: u64 = 1 << 20;
const SMALL: u64 = segment_of(8);

fn some_chunks(replica: u64, count: u32) -> Chunks {
    (0..count)
        .map(|index| (key(replica, 1, index), body(u64::from(index), index as usize * 37 % 800)))
        .collect()
}

/// A store in its folder that acknowledged `chunks`, and was killed.
async fn killed(dir: &Path, segment_bytes: u64, chunks: &Chunks) {
    let alive = tempfile::tempdir().expect("a folder");
    let store = open(alive.path(), segment_bytes);
    put_all(&store, chunks).await;
    copy(alive.path(), dir);
}

fn lose_index(dir: &Path) {
    fs::remove_dir_all(dir.join("index")).expect("removed");
}

/// The store in `dir` opens, holds the chunks, goes on, and holds them still when opened without an index.
async fn assert_recovers(dir: &Path, segment_bytes: u64, chunks: &Chunks) {
    let mut chunks = chunks.clone();
    let store = open(dir, segment_bytes);
    assert_holds(&store, &chunks).await;
    let more = some_chunks(99, 3);
    put_all(&store, &more).await;
    chunks.extend(more);
    assert_holds(&store, &chunks).await;
    store.close().await;
    drop(store);
    lose_index(dir);
    assert_holds(&open(dir, segment_bytes), &chunks).await;
}

#[tokio::test]
async fn every_torn_tail_is_cut_off_and_nothing_acknowledged_with_it() {
    let alive = tempfile::tempdir().expect("a folder");
    let before = tempfile::tempdir().expect("a folder");
    let acknowledged = some_chunks(1, 5);
    let store = open(alive.path(), LARGE);
    put_all(&store, &acknowledged).await;
    copy(alive.path(), before.path());
    let whole = length(&newest(alive.path()));
    put_all(&store, &some_chunks(2, 4)).await;
    drop(store);
    let torn = newest(alive.path());
    for cut in (whole..=length(&torn)).step_by(331) {
        let left = tempfile::tempdir().expect("a folder");
        copy(before.path(), left.path());
        fs::copy(&torn, newest(left.path())).expect("copied");
        truncate(&newest(left.path()), cut);
        let store = open(left.path(), LARGE);
        assert_holds(&store, &acknowledged).await;
        for (key, body) in some_chunks(2, 4) {
            let found = store.get(key).await.expect("undamaged");
            assert!(found.is_none_or(|found| found == body), "{key} with other bytes");
        }
    }
}

#[tokio::test]
async fn whatever_a_crash_leaves_behind_the_last_record_is_survived() {
    let acknowledged = some_chunks(1, 6);
    let origin = tempfile::tempdir().expect("a folder");
    killed(origin.path(), LARGE, &acknowledged).await;
    let salt =
        u64::from_be_bytes(fs::read(newest(origin.path())).expect("read")[20..28].try_into().expect("8"));
    let record = |index: u32, crc: u32| {
        let header = Header { key: key(7, 7, index), length: 100, crc, written_at_ms: 1 };
        let mut record = [header.encode(salt).to_vec(), body(1, 100).to_vec()].concat();
        record.resize(BLOCK_BYTES, 0);
        record
    };
    let whole = record(0, crc32c::crc32c(&body(1, 100)));
    let tails = [
        whole[..10].to_vec(),
        whole[..64].to_vec(),
        whole[..163].to_vec(),
        record(1, 0),
        [record(1, 0), whole.clone()].concat(),
        [whole.clone(), record(1, 0)].concat(),
        [vec![0; 200], whole.clone(), vec![0; 50]].concat(),
        [vec![0; 2 * BLOCK_BYTES], whole.clone(), vec![0; 50]].concat(),
        vec![0; 3_000_000],
        body(5, 5_000).to_vec(),
        whole,
    ];
    for tail in tails {
        let left = tempfile::tempdir().expect("a folder");
        copy(origin.path(), left.path());
        let mut file = fs::OpenOptions::new().append(true).open(newest(left.path())).expect("a file");
        file.write_all(&tail).expect("appended");
        assert_recovers(left.path(), LARGE, &acknowledged).await;
    }
}

#[tokio::test]
async fn the_index_is_built_anew_from_the_segments() {
    let dir = tempfile::tempdir().expect("a folder");
    let chunks = some_chunks(1, 40);
    killed(dir.path(), SMALL, &chunks).await;
    assert!(segments(dir.path()).len() > 3, "the case is about several segments");
    lose_index(dir.path());
    assert_recovers(dir.path(), SMALL, &chunks).await;
}

#[tokio::test]
async fn an_older_index_is_brought_up_to_date() {
    let alive = tempfile::tempdir().expect("a folder");
    let store = open(alive.path(), SMALL);
    let mut chunks = some_chunks(1, 30);
    put_all(&store, &chunks).await;
    let older = tempfile::tempdir().expect("a folder");
    copy(&alive.path().join("index"), older.path());
    // Replaced, moved and unlinked since.
    for index in (0..20).filter(|index| index % 4 != 0) {
        let (key, body) = (key(1, 1, index), body(1_000 + u64::from(index), 300));
        store.put(key, body.clone()).await.expect("written");
        chunks.insert(key, body);
    }
    put_all(&store, &some_chunks(3, 20)).await;
    chunks.extend(some_chunks(3, 20));
    assert!(compact_fully(&store).await.moved_chunks > 0);
    let left = tempfile::tempdir().expect("a folder");
    copy(alive.path(), left.path());
    drop(store);
    lose_index(left.path());
    copy(older.path(), &left.path().join("index"));
    assert_recovers(left.path(), SMALL, &chunks).await;
}

#[tokio::test]
async fn entries_that_point_behind_the_end_of_a_segment_are_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let chunks = some_chunks(1, 8);
    killed(dir.path(), LARGE, &chunks).await;
    let path = newest(dir.path());
    truncate(&path, length(&path) - 1);
    let store = open(dir.path(), LARGE);
    assert!(!store.has(key(1, 1, 7)).expect("readable"));
    assert_eq!(store.get(key(1, 1, 7)).await.expect("readable"), None);
    let kept: Chunks = chunks.into_iter().filter(|(key, _)| key.index < 7).collect();
    let live: u64 = kept.values().map(|body| taken(body.len())).sum();
    assert_eq!(store.usage().live_bytes, live, "what is gone was never counted");
    drop(store);
    assert_recovers(dir.path(), LARGE, &kept).await;
}

#[tokio::test]
async fn a_segment_whose_making_was_cut_short_is_survived() {
    for length in [0, 20, 32, 4_096, 4_097, 9_000] {
        let dir = tempfile::tempdir().expect("a folder");
        let chunks = some_chunks(1, 8);
        killed(dir.path(), LARGE, &chunks).await;
        fs::write(dir.path().join("segments/0000000000000002.seg"), vec![0; length]).expect("written");
        assert_recovers(dir.path(), LARGE, &chunks).await;
    }
}

#[tokio::test]
async fn a_store_that_was_closed_is_not_scanned_again_and_keeps_its_deletes() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), LARGE);
    put_all(&store, &some_chunks(1, 8)).await;
    store.delete_version(1, [1; 16]).await.expect("deleted");
    store.close().await;
    assert!(matches!(store.put(key(1, 1, 1), Bytes::new()).await, Err(crate::Error::Stopped)));
    drop(store);
    let store = open(dir.path(), LARGE);
    assert_eq!(store.versions(1, None, 10).expect("listed"), []);
    assert_eq!(store.usage().live_bytes, 0);
}
