//! One command's turn at the shard: its transaction, and the shard's record with its times.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::Command;
use rowhouse_proto::wire::state::{AgedTable, Event, Shard, Usage};
use rowhouse_raft::state::Txn;
use rowhouse_raft::{EntryContext, Error, ReplicaId};

use super::user_index;
use crate::planted;
use crate::state::{log_time, records, tables};

/// How far one `Close` goes above the ceiling of clocks or the shard's own event time. Several reach every event
/// another shard may have there; none brings a shard to the end of its event time.
const CLOSE_ABOVE_MAX: u64 = 1 << 16;

/// From this command version on a large body's command names its holders.
pub const HOLDERS_SINCE: u32 = 3;

/// From this command version on operators settle accounts, and shards keep the orders in which they list them.
pub const ACCOUNTS_SINCE: u32 = 4;

/// From this command version on writes have conditions, and paths have locks.
pub const LOCKS_SINCE: u32 = 5;

/// From this command version on shards keep their users' packets.
pub const PACKETS_SINCE: u32 = 6;

/// One command while it is applied.
pub(super) struct Turn<'a, 't> {
    /// Reads see what this turn wrote.
    pub(super) txn: &'a mut Txn<'t>,
    /// The shard's record, its times moved on by this command. Stored by `store_shard`.
    pub(super) shard: Shard,
    ids: EventIds,
    /// The command's HLC as event time, in ticks.
    hlc_t: u64,
    /// Where the command's entry stands.
    entry: EntryContext<'a>,
    /// The version it was proposed under.
    version: u32,
    /// The key that users' packets name while they are here.
    homeserver: UserKey,
}

/// An event time that no other event has and that lies above all before it.
#[derive(Clone, Copy)]
pub(super) struct EventSlot(u64);

impl<'a, 't> Turn<'a, 't> {
    /// Moves the shard's times; writes nothing yet.
    pub(super) fn open(
        txn: &'a mut Txn<'t>,
        ids: EventIds,
        homeserver: UserKey,
        command: &Command,
        entry: EntryContext<'a>,
    ) -> Result<Self, Error> {
        let mut shard = records::shard(&*txn)?;
        if shard.shard_count != 0 && shard.shard_count != ids.shard_count() {
            return Err(Error::corrupt("shard record", "its event ids are of another number of shards"));
        }
        shard.shard_count = ids.shard_count();
        log_time::advance(&mut shard, command.now_ms);
        let (hlc_t, version) = (ids.tick(command.hlc_us), command.version);
        Ok(Self { txn, shard, ids, hlc_t, entry, version, homeserver })
    }

    /// The version the command was proposed under.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// The homeserver's public key.
    pub(super) fn homeserver(&self) -> UserKey {
        self.homeserver
    }

    /// Index of the command's log entry.
    pub(super) fn log_index(&self) -> u64 {
        self.entry.index
    }

    /// Refuses a body that does not lie on the disks of a majority of each set of voters in effect here. The leader has
    /// judged it before, by the members of that moment (docs/rules/storage.md#copies-are-judged-where-the-entry-stands).
    pub(super) fn check_copies(&self, holders: &[ReplicaId]) -> Result<(), ErrorCode> {
        let is_judged = self.version >= HOLDERS_SINCE && !planted::commit_with_one_copy();
        if is_judged && !self.entry.is_quorum(holders) { Err(ErrorCode::TooFewCopies) } else { Ok(()) }
    }

    /// The shard's present in unix milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.shard.now_ms
    }

    /// The time that tables and objects age by, in milliseconds.
    pub(super) fn age_ms(&self) -> u64 {
        self.shard.age_ms
    }

    /// The shard's present in unix seconds.
    pub(super) fn now_s(&self) -> u64 {
        self.shard.now_ms / 1000
    }

    /// Takes the time of this command's event (docs/rules/time.md#event-ids-rise). To be taken before anything is
    /// written, because a shard at the end of its event time must refuse.
    pub(super) fn event_slot(&self) -> Result<EventSlot, ErrorCode> {
        let above = if planted::ids_at_propose() { 0 } else { self.shard.last_t.saturating_add(1) };
        let t = self.hlc_t.max(above);
        if t > self.ids.last_tick() { Err(ErrorCode::Internal) } else { Ok(EventSlot(t)) }
    }

    /// Refuses a command of so many events at the end of the shard's event time. Afterwards as many slots are there.
    pub(super) fn check_event_room(&self, events: usize) -> Result<(), ErrorCode> {
        let first = self.hlc_t.max(self.shard.last_t.saturating_add(1));
        let last = first.saturating_add(events as u64);
        if last > self.ids.last_tick() { Err(ErrorCode::Internal) } else { Ok(()) }
    }

    /// Writes the command's event into the shard's log and into its user's.
    pub(super) fn emit(&mut self, slot: EventSlot, user: &UserKey, event: &Event) {
        let EventSlot(t) = slot;
        self.shard.last_t = t;
        self.shard.last_event_t = t;
        self.txn.put(tables::event(t), records::encode(event));
        self.txn.put(tables::event_of_user(user, t), bytes::Bytes::new());
    }

    /// Closes event time up to `t` ticks: no event at or below it will follow
    /// (docs/rules/time.md#what-is-closed-stays-closed). One command goes a bounded way.
    pub(super) fn close(&mut self, t: u64) {
        let highest = self.shard.last_t.max(self.ids.ceiling()).saturating_add(CLOSE_ABOVE_MAX);
        self.shard.last_t = self.shard.last_t.max(t.min(highest).min(self.ids.last_tick()));
    }

    /// Closes event time up to the command's own. A shard in use thus needs no `Close` for the feed to pass it.
    pub(super) fn close_to_hlc(&mut self) {
        self.close(self.hlc_t);
    }

    /// Stores a user's usage and moves the shard's total by the difference.
    pub(super) fn store_usage(&mut self, user: &UserKey, before: &Usage, after: &Usage) {
        self.txn.put(tables::usage(user), records::encode(after));
        self.shard.used_bytes =
            self.shard.used_bytes.saturating_add(after.bytes).saturating_sub(before.bytes);
        user_index::move_usage(self.txn, &self.shard, user, before.bytes, after.bytes);
    }

    /// Stores the shard's record; the last write of a turn.
    pub(super) fn store_shard(&mut self) {
        let record = records::encode(&self.shard);
        self.txn.put(&[tables::SHARD][..], record);
    }
}

/// The table for writing; an absent one is empty.
pub(super) fn table(table: &mut Option<AgedTable>) -> &mut AgedTable {
    table.get_or_insert_default()
}
