//! Whatever is put, deleted, compacted and reopened in whatever order: the store is a map.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Chunks, body, compact_fully, copy, delete_replica, key, options, segment_of, taken};
use crate::blobs::{BlobOptions, BlobStore, ChunkKey, HeldVersion};

const REPLICAS: std::ops::Range<u64> = 1..3;
const VERSIONS: std::ops::Range<u8> = 1..4;
const CHUNKS: std::ops::Range<u32> = 0..4;
const SEGMENT_BYTES: u64 = segment_of(6);

#[derive(Clone, Debug)]
enum Step {
    Put(ChunkKey, u64, usize),
    DeleteVersion(u64, u8),
    DeleteReplica(u64),
    Compact,
    Reopen,
    /// The process is killed; with the index gone or not.
    Crash {
        lose_index: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let chunk = (REPLICAS, VERSIONS, CHUNKS).prop_map(|(r, v, i)| key(r, v, i));
    prop_oneof![
        12 => (chunk, any::<u64>(), 0..2_000usize).prop_map(|(key, seed, length)| Step::Put(key, seed, length)),
        3 => (REPLICAS, VERSIONS).prop_map(|(replica, version)| Step::DeleteVersion(replica, version)),
        1 => REPLICAS.prop_map(Step::DeleteReplica),
        3 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        1 => any::<bool>().prop_map(|lose_index| Step::Crash { lose_index }),
    ]
}

struct Run {
    dir: TempDir,
    store: Arc<BlobStore>,
    direct_writes: bool,
    chunks: Chunks,
    /// All that was ever put.
    history: BTreeMap<ChunkKey, BTreeSet<Bytes>>,
}

fn open(dir: &Path, direct_writes: bool) -> Arc<BlobStore> {
    let options = BlobOptions { direct_writes, ..options(SEGMENT_BYTES) };
    BlobStore::open(dir, options).expect("a store that opens")
}

impl Run {
    fn new(direct_writes: bool) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(dir.path(), direct_writes);
        Self { dir, store, direct_writes, chunks: Chunks::new(), history: BTreeMap::new() }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Put(key, seed, length) => {
                let body = body(seed, length);
                self.store.put(key, body.clone()).await.expect("written");
                self.history.entry(key).or_default().insert(body.clone());
                self.chunks.insert(key, body);
            }
            Step::DeleteVersion(replica, version) => {
                self.store.delete_version(replica, [version; 16]).await.expect("deleted");
                self.chunks.retain(|key, _| (key.replica, key.version) != (replica, [version; 16]));
            }
            Step::DeleteReplica(replica) => {
                delete_replica(&self.store, replica).await;
                self.chunks.retain(|key, _| key.replica != replica);
            }
            Step::Compact => drop(self.store.compact().await.expect("compacted")),
            Step::Reopen => {
                self.store.close().await;
                let elsewhere = tempfile::tempdir().expect("a folder");
                self.store = open(elsewhere.path(), self.direct_writes);
                self.store = open(self.dir.path(), self.direct_writes);
            }
            Step::Crash { lose_index } => self.crash(lose_index).await,
        }
    }

    async fn crash(&mut self, lose_index: bool) {
        let left = tempfile::tempdir().expect("a folder");
        copy(self.dir.path(), left.path());
        if lose_index {
            std::fs::remove_dir_all(left.path().join("index")).expect("removed");
        }
        self.store = open(left.path(), self.direct_writes);
        self.dir = left;
        // A deleted chunk may be back.
        for (key, bodies) in &self.history {
            let found = self.store.get(*key).await.expect("undamaged");
            if let Some(body) = found.filter(|_| !self.chunks.contains_key(key)) {
                assert!(bodies.contains(&body), "{key} was never this");
                self.chunks.insert(*key, body);
            }
        }
    }

    async fn check(&self) {
        for key in self.history.keys() {
            assert_eq!(
                self.store.get(*key).await.expect("undamaged"),
                self.chunks.get(key).cloned(),
                "{key}"
            );
            assert_eq!(self.store.has(*key).expect("readable"), self.chunks.contains_key(key), "{key}");
        }
        let live: u64 = self.chunks.values().map(|body| taken(body.len())).sum();
        assert_eq!(self.store.usage().live_bytes, live);
        for replica in REPLICAS {
            self.check_versions(replica);
            let own = self.chunks.iter().filter(|(key, _)| key.replica == replica);
            let bytes: u64 = own.map(|(_, body)| body.len() as u64).sum();
            assert_eq!(self.store.bytes_of(replica), bytes);
        }
        let replicas: BTreeSet<u64> = self.chunks.keys().map(|key| key.replica).collect();
        assert_eq!(self.store.replicas(), Vec::from_iter(replicas));
        let (mut last, mut listed) = (None, BTreeSet::new());
        while let Some(next) = self.store.next_version(last).expect("readable") {
            assert!(last < Some(next), "in order");
            listed.insert(next);
            last = Some(next);
        }
        assert_eq!(listed, self.chunks.keys().map(|key| (key.replica, key.version)).collect());
    }

    fn check_versions(&self, replica: u64) {
        let mut after = None;
        let mut listed: Vec<HeldVersion> = Vec::new();
        loop {
            let page = self.store.versions(replica, after, 2).expect("listed");
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { break };
            after = Some(last.version);
            listed.extend(page);
        }
        let mut expected: BTreeMap<_, (u32, u64)> = BTreeMap::new();
        for (key, body) in self.chunks.iter().filter(|(key, _)| key.replica == replica) {
            let (chunks, bytes) = expected.entry(key.version).or_default();
            *chunks += 1;
            *bytes += body.len() as u64;
        }
        let listed = listed.into_iter().map(|held| (held.version, (held.chunks, held.bytes)));
        assert_eq!(listed.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_is_a_map(direct_writes: bool, steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut run = Run::new(direct_writes);
            for step in steps {
                run.step(step).await;
                run.check().await;
            }
            compact_fully(&run.store).await;
            run.check().await;
        });
    }
}
