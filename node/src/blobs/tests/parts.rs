//! Parts of chunks are what the whole chunk has there, or an error.

use super::*;
use crate::Error;
use crate::blobs::CHUNK_BYTES;
use crate::blobs::sums::BLOCK_BYTES as SUM_BYTES;

const LARGE: u64 = 8 << 20;

/// Parts around the borders of blocks, of a chunk of this length.
fn parts_of(length: usize) -> Vec<std::ops::Range<usize>> {
    let edges =
        [0, 1, SUM_BYTES - 1, SUM_BYTES, SUM_BYTES + 1, 2 * SUM_BYTES, length / 2, length - 1, length];
    let mut parts = Vec::new();
    for from in edges {
        for to in edges.into_iter().filter(|to| from <= *to && *to <= length) {
            parts.push(from..to);
        }
    }
    parts
}

#[tokio::test]
async fn a_part_is_what_the_chunk_has_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), LARGE);
    for (index, length) in [CHUNK_BYTES, 3 * SUM_BYTES + 5, SUM_BYTES, 700].into_iter().enumerate() {
        let (key, body) = (key(1, 1, index as u32), body(index as u64, length));
        store.put(key, body.clone()).await.expect("written");
        for part in parts_of(length) {
            let got = store.get_part(key, part.clone()).await.expect("read").expect("here");
            assert!(got == body[part.clone()], "{part:?} of {length}");
        }
        let beyond = store.get_part(key, length - 1..length + 9).await.expect("read");
        assert_eq!(beyond, Some(body.slice(length - 1..)), "as far as it goes");
    }
    assert_eq!(store.get_part(key(1, 9, 0), 0..1).await.expect("read"), None);
}

#[tokio::test]
async fn damage_within_a_part_is_noticed_by_its_block_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), LARGE);
    let (key, body) = (key(1, 1, 0), body(7, 4 * SUM_BYTES));
    store.put(key, body.clone()).await.expect("written");
    let path = newest(dir.path());
    let at = FIRST_RECORD + (HEADER_BYTES + 2 * SUM_BYTES + 9) as u64;
    flip(&path, at);
    let first = store.get_part(key, 0..1).await;
    assert!(
        matches!(first, Err(Error::DamagedChunk(damaged)) if damaged == key),
        "the whole chunk is checked"
    );
    flip(&path, at);
    assert_eq!(store.get_part(key, 0..1).await.expect("mended"), Some(body.slice(0..1)));
    flip(&path, at);
    for part in [2 * SUM_BYTES..2 * SUM_BYTES + 1, SUM_BYTES..3 * SUM_BYTES, 0..4 * SUM_BYTES] {
        assert!(matches!(store.get_part(key, part).await, Err(Error::DamagedChunk(_))));
    }
    let other = store.get_part(key, 3 * SUM_BYTES..3 * SUM_BYTES + 2).await.expect("another block");
    assert_eq!(other, Some(body.slice(3 * SUM_BYTES..3 * SUM_BYTES + 2)));
}

#[tokio::test]
async fn what_was_learned_of_a_body_is_not_believed_of_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), LARGE);
    let key = key(1, 1, 0);
    for seed in 1..5 {
        let body = body(seed, 2 * SUM_BYTES);
        store.put(key, body.clone()).await.expect("written");
        for part in [0..3, SUM_BYTES - 1..SUM_BYTES + 1] {
            let got = store.get_part(key, part.clone()).await.expect("read");
            assert_eq!(got, Some(body.slice(part)), "body {seed}");
        }
    }
}

#[tokio::test]
async fn parts_are_read_where_compaction_has_moved_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), segment_of(10));
    let chunks: Chunks = (0..10).map(|index| (key(1, 1, index), body(u64::from(index), 300))).collect();
    put_all(&store, &chunks).await;
    for key in chunks.keys() {
        store.get_part(*key, 0..9).await.expect("learned");
    }
    put_all(&store, &(0..20).map(|index| (key(1, 2, index), body(2, 300))).collect()).await;
    for index in 0..6 {
        store.put(key(1, 1, index), chunks[&key(1, 1, index)].clone()).await.expect("written");
    }
    assert!(compact_fully(&store).await.moved_chunks > 0);
    for (key, body) in &chunks {
        let part = store.get_part(*key, 100..200).await.expect("read");
        assert_eq!(part, Some(body.slice(100..200)), "{key}");
    }
}
