//! All groups of a node in one state store: which generation is current, what is applied, what is
//! durable.
//!
//! It owns the in-memory truth about every group (a slot each). Nothing here waits for a log: that is
//! `group_state`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::OwnedMutexGuard;

use super::applied::{APPLIED_KEY, Applied};
use super::engine::StateEngine;
use super::generation::{self, Generation};
use super::rocks::STAGED_EXTENSION;
use super::snapshot_spool::SPOOL_EXTENSION;
use crate::GroupId;
use crate::codec::LogId;
use crate::error::Error;
use crate::lock::lock;

type OnDurable = Box<dyn Fn(LogId) + Send + Sync>;

/// The state of every group on this node.
pub struct StateStore {
    engine: Arc<dyn StateEngine>,
    staging: PathBuf,
    slots: Mutex<BTreeMap<GroupId, Arc<Slot>>>,
    /// Generations to drop once nobody reads them.
    retired: Mutex<Vec<Arc<Generation>>>,
    /// Held over a flush, so that what it captured is stored in the order of the flushes.
    flushing: Mutex<()>,
}

/// The state that readers see: generation and position change together.
pub(super) struct Current {
    /// Where the group's keys lie.
    pub generation: Arc<Generation>,
    /// How far the state machine is with them.
    pub applied: Arc<Applied>,
}

/// One group's place in the store. Written by its state machine only, which owns it.
pub(super) struct Slot {
    /// The group that has this slot.
    pub group: GroupId,
    owner: Arc<tokio::sync::Mutex<()>>,
    current: ArcSwap<Current>,
    durable: ArcSwapOption<Applied>,
    on_durable: Mutex<Option<(u64, OnDurable)>>,
    listeners: AtomicU64,
    next_generation: AtomicU32,
}

/// While it lives, the log of a running replica hears what became durable.
pub(super) struct DurableListener {
    slot: Arc<Slot>,
    number: u64,
}

impl Drop for DurableListener {
    fn drop(&mut self) {
        // A later replica may have taken the place already.
        lock(&self.slot.on_durable).take_if(|(number, _)| *number == self.number);
    }
}

impl Slot {
    fn new(generation: Generation, applied: Applied, next_generation: u32) -> Self {
        let durable = applied.log_id.is_some().then(|| Arc::new(applied.clone()));
        let slot = Self {
            group: generation.group,
            owner: Arc::default(),
            current: ArcSwap::from_pointee(Current {
                generation: Arc::new(generation),
                applied: Arc::new(applied),
            }),
            durable: ArcSwapOption::new(durable),
            on_durable: Mutex::new(None),
            listeners: AtomicU64::new(0),
            next_generation: AtomicU32::new(next_generation),
        };
        slot.assert_valid();
        slot
    }

    /// Waits until nobody else owns the slot; it is owned until the guard is dropped.
    pub async fn own(&self) -> OwnedMutexGuard<()> {
        self.owner.clone().lock_owned().await
    }

    /// Generation and position as they are now.
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// How far the state machine is.
    pub fn applied(&self) -> Arc<Applied> {
        self.current.load().applied.clone()
    }

    /// How far a crash would leave the state machine; `None` before the first entry is durable.
    pub fn durable(&self) -> Option<Arc<Applied>> {
        self.durable.load_full()
    }

    /// A generation nobody ever wrote under.
    pub fn fresh_generation(&self) -> Arc<Generation> {
        let number = self.next_generation.fetch_add(1, Ordering::Relaxed);
        self.assert_valid();
        Arc::new(Generation { group: self.group, number })
    }

    /// To be called when the engine holds `applied`, by the owner of the slot.
    pub fn advance(&self, generation: Arc<Generation>, applied: Applied) {
        let before = self.current();
        debug_assert!(
            applied.log_id > before.applied.log_id && generation.number >= before.generation.number,
            "group {} goes back from {:?} in {:?} to {:?} in {generation:?}",
            self.group,
            before.applied.log_id,
            before.generation,
            applied.log_id
        );
        self.current.store(Arc::new(Current { generation, applied: Arc::new(applied) }));
        self.assert_valid();
    }

    /// Tells `notify` at once, and from now on, up to where the state is durable. One at a time.
    pub fn notify_durable(self: &Arc<Self>, notify: OnDurable) -> DurableListener {
        let number = self.listeners.fetch_add(1, Ordering::Relaxed);
        let mut on_durable = lock(&self.on_durable);
        if let Some(log_id) = self.durable().and_then(|durable| durable.log_id) {
            notify(log_id);
        }
        *on_durable = Some((number, notify));
        DurableListener { slot: self.clone(), number }
    }

    /// The engine has flushed what `applied` tells of; the group's log hears it if that is news.
    pub fn set_durable(&self, applied: Arc<Applied>) {
        let on_durable = lock(&self.on_durable);
        if self.durable().is_some_and(|durable| durable.log_id >= applied.log_id) {
            return;
        }
        let log_id = applied.log_id;
        self.durable.store(Some(applied));
        self.assert_valid();
        if let (Some((_, notify)), Some(log_id)) = (on_durable.as_ref(), log_id) {
            notify(log_id);
        }
    }

    /// Asserts the inequalities that hold between any two changes. Loads `durable` first: what is applied only
    /// rises meanwhile.
    fn assert_valid(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let durable = self.durable().and_then(|durable| durable.log_id);
        let current = self.current();
        let next = self.next_generation.load(Ordering::Relaxed);
        debug_assert!(
            durable <= current.applied.log_id,
            "group {} is durable up to {durable:?} and applied up to {:?}",
            self.group,
            current.applied.log_id
        );
        debug_assert!(
            current.generation.group == self.group && current.generation.number < next,
            "group {} lies in {:?}, its next generation is {next}",
            self.group,
            current.generation
        );
    }
}

impl StateStore {
    /// Takes stock of what `engine` holds, and drops generations that no flip made current.
    ///
    /// `staging` is for files of snapshots on their way in; those left by an earlier run are removed.
    pub fn open(engine: Arc<dyn StateEngine>, staging: PathBuf) -> Result<Arc<Self>, Error> {
        clear_staging(&staging)?;
        // What is found below counts as durable.
        engine.flush()?;
        let current = generation::load(engine.as_ref())?;
        let mut next: BTreeMap<GroupId, u32> =
            current.iter().map(|(group, number)| (*group, number.saturating_add(1))).collect();
        let mut slots = BTreeMap::new();
        for found in generation::present(engine.as_ref())? {
            let after = next.entry(found.group).or_insert(1);
            *after = (*after).max(found.number.saturating_add(1));
            if found.number != current.get(&found.group).copied().unwrap_or(0) {
                engine.drop_range(&found.prefix(), &found.end())?;
                continue;
            }
            let record = engine.get(&found.key(APPLIED_KEY))?;
            let record = record.ok_or_else(|| {
                Error::corrupt("state", format_args!("group {} has no Applied record", found.group))
            })?;
            slots.insert(found.group, (found, Applied::decode(record)?));
        }
        // Groups that are empty but had generations: their numbers are not used again.
        for group in next.keys() {
            let number = current.get(group).copied().unwrap_or(0);
            let empty = || (Generation { group: *group, number }, Applied::default());
            slots.entry(*group).or_insert_with(empty);
        }
        let slots = slots.into_iter().map(|(group, (generation, applied))| {
            let next = next.get(&group).copied().unwrap_or(1);
            (group, Arc::new(Slot::new(generation, applied, next)))
        });
        let slots = Mutex::new(slots.collect());
        Ok(Arc::new(Self { engine, staging, slots, retired: Mutex::default(), flushing: Mutex::default() }))
    }

    /// Groups that applied anything here.
    pub fn groups(&self) -> Vec<GroupId> {
        let slots = lock(&self.slots);
        slots.values().filter(|slot| slot.applied().log_id.is_some()).map(|slot| slot.group).collect()
    }

    /// Folder for files of snapshots on their way in.
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// Makes what every group applied durable, and tells their logs. Blocks on the disk.
    pub fn flush_all(&self) -> Result<(), Error> {
        let _flushing = lock(&self.flushing);
        let captured: Vec<(Arc<Slot>, Arc<Applied>)> =
            lock(&self.slots).values().map(|slot| (slot.clone(), slot.applied())).collect();
        self.engine.flush()?;
        for (slot, applied) in captured {
            if applied.log_id.is_some() {
                slot.set_durable(applied);
            }
        }
        self.sweep()
    }

    /// Forgets a group: it is empty after this, and after any crash. Its replica must be stopped.
    pub fn destroy(&self, group: GroupId) -> Result<(), Error> {
        let Some(slot) = lock(&self.slots).get(&group).cloned() else { return Ok(()) };
        let old = slot.current().generation.clone();
        let empty = slot.fresh_generation();
        generation::flip(self.engine.as_ref(), &empty)?;
        let next = slot.next_generation.load(Ordering::Relaxed);
        let mut fresh = Slot::new(Generation { group, number: empty.number }, Applied::default(), next);
        fresh.owner = slot.owner.clone();
        lock(&self.slots).insert(group, Arc::new(fresh));
        drop(slot);
        self.retire(old)
    }

    pub(super) fn engine(&self) -> &Arc<dyn StateEngine> {
        &self.engine
    }

    pub(super) fn slot(&self, group: GroupId) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let fresh = || Arc::new(Slot::new(Generation { group, number: 0 }, Applied::default(), 1));
        slots.entry(group).or_insert_with(fresh).clone()
    }

    /// Drops `old` as soon as its last reader is gone.
    pub(super) fn retire(&self, old: Arc<Generation>) -> Result<(), Error> {
        lock(&self.retired).push(old);
        self.sweep()
    }

    fn sweep(&self) -> Result<(), Error> {
        let mut retired = lock(&self.retired);
        let mut kept = Vec::new();
        for generation in retired.drain(..) {
            if Arc::strong_count(&generation) == 1 {
                self.engine.drop_range(&generation.prefix(), &generation.end())?;
            } else {
                kept.push(generation);
            }
        }
        *retired = kept;
        Ok(())
    }
}

fn clear_staging(staging: &Path) -> Result<(), Error> {
    let failed = |source| Error::io("clear staging directory", source);
    let files = match std::fs::read_dir(staging) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for file in files {
        let path = file.map_err(failed)?.path();
        let ours = path
            .extension()
            .is_some_and(|extension| extension == STAGED_EXTENSION || extension == SPOOL_EXTENSION);
        if ours {
            std::fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}
