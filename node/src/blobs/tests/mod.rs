//! The promises of the chunk store: through crashes, damage, a full disk and compaction.

mod crash;
mod damage;
mod model;
mod parts;
mod space;
mod writing;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::direct::BLOCK_BYTES;
use super::record::{FIRST_RECORD, HEADER_BYTES, record_bytes};
use super::{BlobOptions, BlobStore, ChunkKey};

/// The chunks that were acknowledged and not deleted.
type Chunks = BTreeMap<ChunkKey, Bytes>;

fn key(replica: u64, version: u8, index: u32) -> ChunkKey {
    ChunkKey { replica, version: [version; 16], index }
}

/// The length of a segment that so many small records fill.
const fn segment_of(records: u64) -> u64 {
    FIRST_RECORD + records * BLOCK_BYTES as u64
}

/// The bytes that a chunk of this length takes on disk.
fn taken(length: usize) -> u64 {
    record_bytes(length as u32)
}

/// Bytes that differ from seed to seed.
fn body(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    bytes.take(length).collect()
}

fn options(segment_bytes: u64) -> BlobOptions {
    let on_fatal: rowhouse_raft::OnFatal = Arc::new(|message| panic!("{message}"));
    BlobOptions { segment_bytes, on_fatal, ..BlobOptions::default() }
}

fn open(dir: &Path, segment_bytes: u64) -> Arc<BlobStore> {
    BlobStore::open(dir, options(segment_bytes)).expect("a store that opens")
}

async fn put_all(store: &BlobStore, chunks: &Chunks) {
    for (key, body) in chunks {
        store.put(*key, body.clone()).await.expect("written");
    }
}

async fn delete_replica(store: &BlobStore, replica: u64) {
    while store.delete_of_replica(replica).await.expect("deleted") {}
}

async fn assert_holds(store: &BlobStore, chunks: &Chunks) {
    for (key, body) in chunks {
        let got = store.get(*key).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(got.as_ref(), Some(body), "{key}");
    }
}

async fn compact_fully(store: &BlobStore) -> super::CompactReport {
    let mut sum = super::CompactReport::default();
    loop {
        let step = store.compact().await.expect("compacted");
        if step == super::CompactReport::default() {
            return sum;
        }
        sum.moved_chunks += step.moved_chunks;
        sum.lost.extend(step.lost);
        sum.unlinked_segments += step.unlinked_segments;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// In the order they were written.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("segments")).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn newest(dir: &Path) -> PathBuf {
    segments(dir).pop().expect("a segment")
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

fn truncate(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(length)).expect("cut off");
}

fn flip(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("a byte");
    file.write_all_at(&[byte[0] ^ 0x10], offset).expect("flipped");
}
