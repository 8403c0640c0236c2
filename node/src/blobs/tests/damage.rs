//! Damage is noticed, told, and mended by putting the chunk again. Wrong bytes never come out.

use std::fs;

use super::*;
use crate::Error;

const LARGE: u64 = 1 << 20;
const BODY_BYTES: u64 = 300;

fn three() -> Chunks {
    (0..3).map(|index| (key(1, 1, index), body(u64::from(index), BODY_BYTES as usize))).collect()
}

/// Where the record of chunk 1 begins.
fn middle() -> u64 {
    FIRST_RECORD + taken(BODY_BYTES as usize)
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_record_is_noticed_and_mended() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, chunks) = (open(dir.path(), LARGE), three());
    put_all(&store, &chunks).await;
    let path = newest(dir.path());
    for offset in middle()..middle() + HEADER_BYTES as u64 + BODY_BYTES {
        flip(&path, offset);
        let damaged = store.get(key(1, 1, 1)).await;
        assert!(matches!(damaged, Err(Error::DamagedChunk(damaged)) if damaged == key(1, 1, 1)), "{offset}");
        flip(&path, offset);
    }
    flip(&path, middle() + 100);
    store.put(key(1, 1, 1), chunks[&key(1, 1, 1)].clone()).await.expect("written");
    assert_holds(&store, &chunks).await;
}

#[tokio::test]
async fn a_damaged_record_hides_no_other_from_recovery() {
    for offset in (middle()..middle() + HEADER_BYTES as u64 + BODY_BYTES).step_by(5) {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, mut chunks) = (open(dir.path(), LARGE), three());
        put_all(&store, &chunks).await;
        drop(store);
        flip(&newest(dir.path()), offset);
        fs::remove_dir_all(dir.path().join("index")).expect("removed");
        let store = open(dir.path(), LARGE);
        chunks.remove(&key(1, 1, 1));
        assert_holds(&store, &chunks).await;
        assert_eq!(store.get(key(1, 1, 1)).await.expect("readable"), None, "flipped at {offset}");
    }
}

#[tokio::test]
async fn a_damaged_last_record_that_was_acknowledged_is_not_taken_for_a_torn_tail() {
    for offset in [HEADER_BYTES as u64 + BODY_BYTES - 1, HEADER_BYTES as u64 - 1] {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, chunks) = (open(dir.path(), LARGE), three());
        put_all(&store, &chunks).await;
        let left = tempfile::tempdir().expect("a folder");
        copy(dir.path(), left.path());
        let path = newest(left.path());
        let before = length(&path);
        flip(&path, before - taken(BODY_BYTES as usize) + offset);
        let store = open(left.path(), LARGE);
        assert_eq!(length(&path), before);
        assert!(matches!(store.get(key(1, 1, 2)).await, Err(Error::DamagedChunk(_))));
    }
}

#[tokio::test]
async fn a_damaged_segment_header_costs_nothing() {
    for offset in (0..40).chain([FIRST_RECORD - 1]) {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, mut chunks) = (open(dir.path(), LARGE), three());
        put_all(&store, &chunks).await;
        drop(store);
        flip(&newest(dir.path()), offset);
        fs::remove_dir_all(dir.path().join("index")).expect("removed");
        let store = open(dir.path(), LARGE);
        assert_holds(&store, &chunks).await;
        let (more, bytes) = (key(2, 2, 2), body(9, 10));
        store.put(more, bytes.clone()).await.expect("written");
        chunks.insert(more, bytes);
        assert_holds(&store, &chunks).await;
    }
}

#[tokio::test]
async fn a_body_cannot_pass_for_records() {
    // A stranger uploads a whole segment of another node, and the header in front of it is damaged.
    let (other, dir) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    put_all(&open(other.path(), LARGE), &three()).await;
    let forged = fs::read(newest(other.path())).expect("read");
    // Where records of this segment could begin as well.
    let forged = Bytes::from([vec![0; BLOCK_BYTES - HEADER_BYTES], forged].concat());
    let store = open(dir.path(), LARGE);
    store.put(key(5, 5, 0), forged).await.expect("written");
    store.put(key(5, 5, 1), body(1, 1)).await.expect("written");
    drop(store);
    flip(&newest(dir.path()), FIRST_RECORD + 20);
    fs::remove_dir_all(dir.path().join("index")).expect("removed");
    let store = open(dir.path(), LARGE);
    assert_eq!(store.versions(1, None, 10).expect("listed"), []);
    assert_holds(&store, &[(key(5, 5, 1), body(1, 1))].into()).await;
}

#[tokio::test]
async fn compaction_forgets_what_is_damaged_and_says_so() {
    // In the header, where the walk cannot see the record, and in the body.
    for offset in [20, HEADER_BYTES as u64 + 20] {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(dir.path(), segment_of(10));
        let mut chunks: Chunks = (0..10).map(|index| (key(1, 1, index), body(1, 300))).collect();
        put_all(&store, &chunks).await;
        put_all(&store, &(0..20).map(|index| (key(1, 2, index), body(2, 300))).collect()).await;
        let sealed = segments(dir.path())[0].clone();
        for index in 0..6 {
            // Replaced elsewhere, so that the first segment is sparse.
            store.put(key(1, 1, index), body(3, 300)).await.expect("written");
            chunks.insert(key(1, 1, index), body(3, 300));
        }
        flip(&sealed, FIRST_RECORD + 8 * taken(300) + offset);
        let report = compact_fully(&store).await;
        assert_eq!(report.lost.len(), 1);
        assert!(!sealed.exists(), "the segment is gone with the damaged record");
        assert!(!store.has(key(1, 1, 8)).expect("readable"), "its owner sees that it is missing");
        chunks.remove(&key(1, 1, 8));
        assert_holds(&store, &chunks).await;
    }
}
