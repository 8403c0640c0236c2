//! Snapshots: built without work, read lazily, sent in frames, installed whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use openraft::RaftSnapshotBuilder;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;
use proptest::prelude::*;

use super::kit::{self, ENTRIES, GROUP, Group, expected, observe, simulate};
use crate::codec::Entry;
use crate::log_store::{LogStore, TailBudget};
use crate::runtime::Production;
use crate::sim::{KvCommand, LossyLog, LossyOptions, MemoryState, Simulation};
use crate::state::{
    GroupState, RocksState, SnapshotChunks, SnapshotData, SnapshotSink, StateEngine, StateOptions, StateStore,
};
use crate::{Envelope, Error, GroupId, RaftTypes};

const MEMORY_BYTES: usize = 8 << 20;

fn frames(data: SnapshotData) -> Vec<Bytes> {
    let mut chunks = data.into_chunks();
    let mut frames = Vec::new();
    while let Some(frame) = chunks.next().expect("a frame") {
        frames.push(frame);
    }
    frames
}

#[test]
fn nothing_applied_is_no_snapshot_and_nothing_durable_is_no_builder() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        assert!(group.state.get_current_snapshot().await.expect("open").is_none());
        group.apply(0..5).await;
        assert!(group.state.try_create_snapshot_builder(false).await.is_none());
    });
}

#[test]
fn a_builder_tells_what_was_durable_and_a_snapshot_what_is_applied() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..30).await;
        group.store.flush_all().expect("flush");
        let mut builder = group.state.try_create_snapshot_builder(false).await.expect("something is durable");
        group.apply(30..60).await;
        let built = builder.build_snapshot().await.expect("build");
        assert_eq!(built.meta.last_log_id, expected(29).applied.log_id);
        assert_eq!(built.meta.last_membership, *expected(29).applied.membership);
        let mut unsendable = built.snapshot.into_chunks();
        assert!(unsendable.next().is_err(), "it is a position, not data");
        let current = group.state.get_current_snapshot().await.expect("open").expect("something is applied");
        assert_eq!(current.meta.last_log_id, expected(59).applied.log_id);
        let mut forced = group.state.try_create_snapshot_builder(true).await.expect("it was insisted on");
        let forced = forced.build_snapshot().await.expect("build");
        assert_eq!(forced.meta.last_log_id, expected(59).applied.log_id);
        assert_eq!(group.state.handle().durable_applied(), expected(59).applied.log_id);
    });
}

#[test]
fn a_sent_snapshot_gives_the_same_state_and_hash_whatever_happens_meanwhile() {
    simulate(1, async {
        let mut leader = Group::fresh().await;
        leader.apply(0..70).await;
        let snapshot =
            leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        leader.apply(70..ENTRIES).await;
        let data = push_all(&frames(snapshot.snapshot)).expect("send");
        let mut follower = Group::fresh().await;
        follower.apply(0..20).await;
        follower.state.install_snapshot(&snapshot.meta, data).await.expect("install");
        let handle = follower.state.handle();
        assert_eq!(observe(&handle), *expected(69));
        assert_eq!(handle.durable_applied(), expected(69).applied.log_id, "an install is durable");
        follower.engine.crash();
        let mut follower = Group::over(follower.engine).await;
        assert_eq!(observe(&follower.state.handle()), *expected(69));
        follower.apply(70..ENTRIES).await;
        assert_eq!(observe(&follower.state.handle()), *expected(ENTRIES - 1));
    });
}

#[test]
fn an_old_or_wrong_snapshot_changes_nothing() {
    simulate(1, async {
        let mut leader = Group::fresh().await;
        leader.apply(0..30).await;
        let old = leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        leader.apply(30..60).await;
        let mut wrong =
            leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        let mut follower = Group::fresh().await;
        follower.apply(0..40).await;
        follower.state.install_snapshot(&old.meta, old.snapshot).await.expect("it is ignored");
        assert_eq!(observe(&follower.state.handle()), *expected(39));
        wrong.meta.last_log_id = Some(kit::log_id(90, 61));
        assert!(follower.state.install_snapshot(&wrong.meta, wrong.snapshot).await.is_err());
        assert_eq!(observe(&follower.state.handle()), *expected(39));
        follower.engine.crash();
        let store = StateStore::open(follower.engine, PathBuf::new()).expect("open the store");
        assert_eq!(
            store.groups(),
            Vec::<GroupId>::new(),
            "nothing was flushed, and what was ingested is gone"
        );
    });
}

#[test]
fn an_install_never_takes_the_state_back() {
    simulate(1, async {
        let mut leader = Group::fresh().await;
        leader.apply(0..30).await;
        let old = leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        let disk = LossyLog::<Simulation>::new(LossyOptions::default());
        let mut log = LogStore::<Simulation>::open(disk, kit::REPLICA, TailBudget::new(1 << 20))
            .await
            .expect("open the log");
        let store = StateStore::open(Arc::new(MemoryState::new()), PathBuf::new()).expect("open the store");
        let mut follower = kit::open(&store, log.handle()).await;
        // The install waits until this is synced; meanwhile somebody who must not be there goes on.
        let (done, _flushed) = RaftTypes::<Simulation>::oneshot();
        log.append([kit::committed(0)], IOFlushed::signal(done)).await.expect("append");
        let slot = store.slot(GROUP);
        let overtake = async {
            slot.advance(slot.current().generation.clone(), expected(49).applied.clone());
        };
        let install = follower.install_snapshot(&old.meta, old.snapshot);
        let (installed, ()) = futures::join!(install, overtake);
        assert!(installed.is_err());
        assert_eq!(follower.handle().applied(), expected(49).applied);
    });
}

#[test]
fn a_reader_keeps_the_generation_it_began_with() {
    simulate(1, async {
        let mut leader = Group::fresh().await;
        leader.apply(0..90).await;
        let first = leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        let mut follower = Group::fresh().await;
        follower.apply(0..50).await;
        let going_out =
            follower.state.get_current_snapshot().await.expect("open").expect("something is applied");
        follower.state.install_snapshot(&first.meta, first.snapshot).await.expect("install");
        follower.store.flush_all().expect("flush");
        let mut third = Group::fresh().await;
        third.state.install_snapshot(&going_out.meta, going_out.snapshot).await.expect("install");
        assert_eq!(observe(&third.state.handle()), *expected(49));
        assert_eq!(observe(&follower.state.handle()), *expected(89));
    });
}

fn received() -> Vec<Bytes> {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..ENTRIES).await;
        let current = group.state.get_current_snapshot().await.expect("open").expect("something is applied");
        frames(current.snapshot)
    })
}

fn push_all(frames: &[Bytes]) -> Result<SnapshotData, Error> {
    let mut sink = SnapshotSink::new(Path::new(""));
    for frame in frames {
        sink.push(frame.clone())?;
    }
    sink.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_damaged_frame_is_found(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let mut frames = received();
        assert!(push_all(&frames).is_ok());
        let total: usize = frames.iter().map(Bytes::len).sum();
        let mut at = at.index(total);
        for frame in &mut frames {
            if at < frame.len() {
                let mut damaged = frame.to_vec();
                damaged[at] ^= flip;
                *frame = damaged.into();
                break;
            }
            at -= frame.len();
        }
        prop_assert!(push_all(&frames).is_err());
    }
}

/// Reads `chunks` to the end, going back now and then to any chunk that was read.
fn read_restlessly(mut chunks: SnapshotChunks, back: &[usize]) -> Vec<Bytes> {
    let mut frames: Vec<Bytes> = Vec::new();
    for back in back {
        let from = back % (frames.len() + 1);
        for number in from..frames.len() + 2 {
            match chunks.chunk(number as u64).expect("a chunk") {
                Some(frame) if number < frames.len() => {
                    assert!(frame == frames[number], "chunk {number} changed")
                }
                Some(frame) => frames.push(frame),
                None => assert!(number >= frames.len()),
            }
        }
    }
    while let Some(frame) = chunks.chunk(frames.len() as u64).expect("a chunk") {
        frames.push(frame);
    }
    frames
}

#[test]
fn a_chunk_made_again_is_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    run_production(async {
        let (_, mut leader) = rocks_group(dir.path()).await;
        let entries = (0..100).map(|index| Ok((bulky(index), None)));
        leader.apply(futures::stream::iter(entries.collect::<Vec<_>>())).await.expect("apply");
        let once = leader.get_current_snapshot().await.expect("open").expect("something is applied");
        let again = leader.get_current_snapshot().await.expect("open").expect("something is applied");
        let more = (100..110).map(|index| Ok((bulky(index), None)));
        leader.apply(futures::stream::iter(more.collect::<Vec<_>>())).await.expect("apply");
        let frames = frames(once.snapshot);
        assert!(read_restlessly(again.snapshot.into_chunks(), &[0, 0, 2, 1, 3, 0, 5, 6, 7, 4]) == frames);
    });
    simulate(1, async {
        let mut leader = Group::fresh().await;
        leader.apply(0..ENTRIES).await;
        let once = leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        let again = leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        leader.apply(ENTRIES..ENTRIES + 20).await;
        assert!(read_restlessly(again.snapshot.into_chunks(), &[0, 0, 1, 2, 0]) == frames(once.snapshot));
    });
}

#[test]
fn missing_repeated_and_trailing_frames_are_found() {
    let frames = received();
    assert!(frames.len() >= 3, "Applied record, data, end");
    for missing in 0..frames.len() {
        let mut rest = frames.clone();
        rest.remove(missing);
        assert!(push_all(&rest).is_err(), "frame {missing} of {}", frames.len());
        let mut twice = frames.clone();
        twice.insert(missing, frames[missing].clone());
        assert!(push_all(&twice).is_err(), "frame {missing} twice");
    }
    assert!(push_all(&[]).is_err());
    assert!(push_all(&[Bytes::new()]).is_err());
}

/// Large enough for several frames and a spool file.
fn bulky(index: u64) -> Entry {
    // Incompressible, so that the frames stay large.
    let mut value = vec![0; 48 << 10];
    blake3::Hasher::new().update(&index.to_be_bytes()).finalize_xof().fill(&mut value);
    let command = KvCommand::put(u128::from(index).to_be_bytes(), format!("bulk {index:04}"), value);
    let envelope = Envelope::of_command(command.encode(), Bytes::new());
    Entry { log_id: kit::log_id(2, index), payload: openraft::EntryPayload::Normal(envelope) }
}

async fn rocks_group(dir: &Path) -> (Arc<StateStore>, GroupState<Production>) {
    let engine: Arc<dyn StateEngine> =
        Arc::new(RocksState::open(&dir.join("db"), StateOptions::new(MEMORY_BYTES)).expect("open"));
    let store = StateStore::open(engine, dir.join("staging")).expect("open the store");
    let state = kit::open::<Production>(&store, kit::empty_log().await).await;
    (store, state)
}

#[test]
fn a_large_snapshot_goes_through_files_from_rocksdb_to_rocksdb() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
    let spool = dirs[1].path().join("staging");
    run_production(async {
        let (_, mut leader) = rocks_group(dirs[0].path()).await;
        let entries = (0..200).map(|index| Ok((bulky(index), None)));
        leader.apply(futures::stream::iter(entries.collect::<Vec<_>>())).await.expect("apply");
        let snapshot = leader.get_current_snapshot().await.expect("open").expect("something is applied");
        let sent = observe(&leader.handle());
        let more = (200..210).map(|index| Ok((bulky(index), None)));
        leader.apply(futures::stream::iter(more.collect::<Vec<_>>())).await.expect("apply");
        let frames = frames(snapshot.snapshot);
        assert!(frames.len() > 5 && frames.iter().all(|frame| frame.len() < 2 << 20));
        let (store, mut follower) = rocks_group(dirs[1].path()).await;
        let mut sink = SnapshotSink::new(&spool);
        for frame in frames {
            sink.push(frame).expect("push");
        }
        let data = sink.finish().expect("finish");
        assert_eq!(std::fs::read_dir(&spool).expect("read directory").count(), 1, "one spool file");
        follower.install_snapshot(&snapshot.meta, data).await.expect("install");
        assert_eq!(observe(&follower.handle()), sent);
        drop((store, follower));
        let (store, follower) = rocks_group(dirs[1].path()).await;
        assert_eq!(observe(&follower.handle()), sent);
        assert_eq!(store.groups(), vec![GROUP]);
        assert_eq!(std::fs::read_dir(&spool).expect("read directory").count(), 0, "no file is left");
    });
}

#[test]
fn a_crash_between_ingest_and_flip_keeps_the_old_state() {
    simulate(1, async {
        let mut leader = Group::fresh().await;
        leader.apply(0..ENTRIES).await;
        let snapshot =
            leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        let mut follower = Group::fresh().await;
        follower.apply(0..25).await;
        follower.store.flush_all().expect("flush");
        // All of an install but its flip.
        let records = snapshot.snapshot.into_records().map(|record| {
            let (key, value) = record?;
            Ok((Bytes::from([&[0, GROUP as u8, 0, 0, 0, 1], &key[..]].concat()), value))
        });
        let engine = follower.engine.clone();
        engine.ingest(Path::new(""), &mut { records }).expect("ingest");
        engine.crash();
        let mut follower = Group::over(engine).await;
        assert_eq!(observe(&follower.state.handle()), *expected(24));
        follower.apply(25..ENTRIES).await;
        assert_eq!(observe(&follower.state.handle()), *expected(ENTRIES - 1));
    });
}

pub fn run_production<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test)
}
