//! Reads one group's applied state from anywhere on the node.

use std::sync::{Arc, OnceLock};

use super::applied::Applied;
use super::engine::StateEngine;
use super::store::Slot;
use super::txn::View;
use crate::codec::LogId;
use crate::error::Error;

/// Reads a group's state. Cheap to clone.
#[derive(Clone)]
pub struct StateHandle {
    engine: Arc<dyn StateEngine>,
    slot: Arc<Slot>,
    halted: Arc<OnceLock<Arc<Error>>>,
}

impl StateHandle {
    pub(super) fn new(
        engine: Arc<dyn StateEngine>,
        slot: Arc<Slot>,
        halted: Arc<OnceLock<Arc<Error>>>,
    ) -> Self {
        Self { engine, slot, halted }
    }

    /// The error that ended the state machine, once one has: nothing more is applied, and nothing may be served.
    pub fn halted(&self) -> Option<Arc<Error>> {
        self.halted.get().cloned()
    }

    /// Reads from one consistent point of the applied state.
    pub fn read<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        // Held over the read: its generation is not dropped meanwhile.
        let current = self.slot.current();
        let snapshot = self.engine.snapshot();
        read(&View::new(snapshot.as_ref(), current.generation.prefix()))
    }

    /// Reads without a snapshot: for single keys, each read may see a later state.
    pub fn read_latest<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        let current = self.slot.current();
        let engine: &dyn StateEngine = self.engine.as_ref();
        read(&View::new(engine, current.generation.prefix()))
    }

    /// How far the state machine is.
    pub fn applied(&self) -> Applied {
        Applied::clone(&self.slot.applied())
    }

    /// Index of the last entry applied; 0: none.
    pub fn applied_index(&self) -> u64 {
        self.slot.applied().log_id.map_or(0, |log_id| log_id.index)
    }

    /// How far a crash cannot take it back.
    pub fn durable_applied(&self) -> Option<LogId> {
        self.slot.durable().and_then(|durable| durable.log_id)
    }
}
