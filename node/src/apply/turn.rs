//! One command's turn at the shard: its transaction, and the shard's record with the two clocks.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::event::{EVENT_TIME_MAX, event_time};
use rowhouse_proto::wire::command::Command;
use rowhouse_proto::wire::state::{AgedTable, Event, Shard, Usage};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::GUARD_LIFETIME_MS;
use super::dedup::REQUEST_WINDOW_US;
use crate::state::aged::{AUTH_TOKENS, BEARERS, NONCES, REQUESTS};
use crate::state::{records, tables};
use rowhouse_proto::domain::user::UserKey;

pub(super) struct Turn<'a, 't> {
    pub(super) txn: &'a mut Txn<'t>,
    pub(super) shard: Shard,
    /// The command's HLC as event time.
    hlc_t: u64,
    /// Of the command's entry.
    log_index: u64,
}

/// An event time that no other event has and that lies above all before it.
#[derive(Clone, Copy)]
pub(super) struct EventSlot(u64);

impl<'a, 't> Turn<'a, 't> {
    /// Moves `shard_now`; writes nothing yet.
    pub(super) fn open(txn: &'a mut Txn<'t>, command: &Command, log_index: u64) -> Result<Self, Error> {
        let mut shard = records::shard(&*txn)?;
        shard.now_ms = shard.now_ms.max(command.now_ms);
        Ok(Self { txn, shard, hlc_t: event_time(command.hlc_us), log_index })
    }

    pub(super) fn log_index(&self) -> u64 {
        self.log_index
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.shard.now_ms
    }

    pub(super) fn now_s(&self) -> u64 {
        self.shard.now_ms / 1000
    }

    /// The time of this command's event (consensus.md §6, I1). Taken before anything is written,
    /// because a shard at the end of its event time must refuse.
    pub(super) fn event_slot(&self) -> Result<EventSlot, ErrorCode> {
        let t = self.hlc_t.max(self.shard.last_t_us + 1);
        if t > EVENT_TIME_MAX { Err(ErrorCode::Internal) } else { Ok(EventSlot(t)) }
    }

    pub(super) fn emit(&mut self, slot: EventSlot, user: &UserKey, event: &Event) {
        let EventSlot(t) = slot;
        self.shard.last_t_us = t;
        self.shard.last_event_t_us = t;
        self.txn.put(tables::event(t), records::encode(event));
        self.txn.put(tables::event_of_user(user, t), bytes::Bytes::new());
    }

    /// Nothing at or below `t` will follow (I2).
    pub(super) fn close(&mut self, t: u64) {
        self.shard.last_t_us = self.shard.last_t_us.max(t.min(EVENT_TIME_MAX));
    }

    /// The event time a remembered request is aged by: every command moves `last_t` to its own HLC, or
    /// requests of a shard without events would all be as old as its last event.
    pub(super) fn close_to_hlc(&mut self) -> u64 {
        self.close(self.hlc_t);
        self.shard.last_t_us
    }

    /// Removes a few dead rows of each aged table, by log time.
    pub(super) fn sweep(&mut self) -> Result<(), Error> {
        let shard = &mut self.shard;
        let seen_before = shard.now_ms.saturating_sub(GUARD_LIFETIME_MS);
        let asked_before = shard.last_t_us.saturating_sub(REQUEST_WINDOW_US);
        let (txn, now_s) = (&mut *self.txn, shard.now_ms / 1000);
        REQUESTS.sweep(txn, table(&mut shard.requests), asked_before)?;
        AUTH_TOKENS.sweep(txn, table(&mut shard.auth_tokens), seen_before)?;
        NONCES.sweep(txn, table(&mut shard.nonces), seen_before)?;
        BEARERS.sweep(txn, table(&mut shard.bearers), now_s)
    }

    /// Keeps the shard's total beside the user's own counter.
    pub(super) fn store_usage(&mut self, user: &UserKey, before: &Usage, after: &Usage) {
        self.txn.put(tables::usage(user), records::encode(after));
        self.shard.used_bytes =
            self.shard.used_bytes.saturating_add(after.bytes).saturating_sub(before.bytes);
    }

    pub(super) fn store_shard(&mut self) {
        let record = records::encode(&self.shard);
        self.txn.put(&[tables::SHARD][..], record);
    }
}

/// An absent table is an empty one.
pub(super) fn table(table: &mut Option<AgedTable>) -> &mut AgedTable {
    table.get_or_insert_default()
}
