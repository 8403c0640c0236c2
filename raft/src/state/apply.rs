//! One batch of committed entries into one engine write.
//!
//! Pure but for the engine: same state and entries give the same bytes and hash on every replica,
//! however they were batched.

use std::sync::Arc;

use bytes::Bytes;
use openraft::EntryPayload;

use super::applied::{APPLIED_KEY, Applied, chain};
use super::check;
use super::engine::{StateBatch, StateEngine};
use super::store::Slot;
use super::txn::{Txn, View};
use crate::codec::{Entry, StoredMembership};
use crate::error::Error;
use crate::machine::{EntryContext, Machine};
use crate::{Reply, codec};

/// Table 0 of a group is the store's own.
const RESERVED_TABLE: u8 = APPLIED_KEY[0];

/// Entries to apply together.
#[derive(Default)]
pub(super) struct ApplyBatch {
    /// In the order of the log.
    pub entries: Vec<Entry>,
    /// Bytes of their commands.
    pub bytes: usize,
}

impl ApplyBatch {
    /// Adds the next entry.
    pub fn push(&mut self, entry: Entry) {
        if let EntryPayload::Normal(envelope) = &entry.payload {
            self.bytes += envelope.command.len();
        }
        self.entries.push(entry);
    }
}

/// Applies `entries` on top of what the slot says is applied; returns a reply for each.
pub(super) fn apply(
    engine: &dyn StateEngine,
    slot: &Slot,
    machine: &dyn Machine,
    entries: &[Entry],
) -> Result<Vec<Reply>, Error> {
    let current = slot.current();
    let generation = &current.generation;
    let mut applied = Applied::clone(&current.applied);
    let mut txn = Txn::new(View::new(engine, generation.prefix()));
    let mut replies = Vec::with_capacity(entries.len());
    for entry in entries {
        replies.push(apply_entry(slot, machine, entry, &mut applied, &mut txn)?);
    }
    let writes = txn.into_writes();
    let mut batch = StateBatch { writes: Vec::with_capacity(writes.len() + 1) };
    for (key, value) in writes {
        batch.writes.push((generation.key(&key), value));
    }
    batch.writes.push((generation.key(APPLIED_KEY), Some(applied.encode())));
    engine.write(batch)?;
    slot.advance(generation.clone(), applied);
    Ok(replies)
}

fn apply_entry(
    slot: &Slot,
    machine: &dyn Machine,
    entry: &Entry,
    applied: &mut Applied,
    txn: &mut Txn<'_>,
) -> Result<Reply, Error> {
    let log_id: codec::LogId = entry.log_id;
    // A gap or a repeat would be another state than every other replica's.
    if let Some(last) = applied.log_id.filter(|last| log_id.index != last.index + 1) {
        return Err(Error::corrupt("the order of entries to apply", format_args!("{log_id} after {last}")));
    }
    let mut check = None;
    let reply = match &entry.payload {
        EntryPayload::Blank => Bytes::new(),
        EntryPayload::Normal(envelope) if envelope.check.is_some() => {
            check = envelope.check;
            Bytes::new()
        }
        EntryPayload::Normal(envelope) => {
            let context = EntryContext {
                group: slot.group,
                term: log_id.leader_id.term,
                index: log_id.index,
                voters: applied.membership.membership().get_joint_config(),
            };
            machine.apply(context, &envelope.command, txn)?
        }
        EntryPayload::Membership(membership) => {
            applied.membership = Arc::new(StoredMembership::new(Some(log_id), membership.clone()));
            Bytes::new()
        }
    };
    let writes = txn.end_command();
    if let Some(key) = writes.keys().find(|key| key.first().is_none_or(|table| *table == RESERVED_TABLE)) {
        return Err(Error::corrupt("a machine's write", format_args!("key {key:?} is not the machine's")));
    }
    applied.state_hash = chain(&applied.state_hash, log_id.index, &writes);
    applied.log_id = Some(log_id);
    if let Some(check) = check {
        check::carry_out(check, slot.group, log_id.index, applied)?;
    }
    Ok(Reply(reply))
}
