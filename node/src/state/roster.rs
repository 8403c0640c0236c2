//! A user's rows of one kind in the order they came, so that the oldest can go when there are too many.
//!
//! By number and not by time: clocks stand still, and several rows may come at one moment of the shard's.

use std::ops::ControlFlow;

use bytes::Bytes;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::Roster;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::read::Read;
use super::tables::{self, key};

/// One kind of rows, named by the table of their order.
pub(crate) struct Ordered(u8);

/// A user's cookie sessions.
pub(crate) const COOKIE_SESSIONS: Ordered = Ordered(tables::COOKIE_SESSION_ORDER);
/// A user's grants.
pub(crate) const GRANTS: Ordered = Ordered(tables::GRANT_ORDER);

impl Ordered {
    fn key(&self, user: &UserKey, number: u64) -> Bytes {
        key(self.0, &[user, &number.to_be_bytes()])
    }

    /// Gives a new row its number; `id` is what leads back to it.
    pub(crate) fn add(&self, txn: &mut Txn<'_>, user: &UserKey, roster: &mut Roster, id: &[u8]) -> u64 {
        let number = roster.next;
        txn.put(self.key(user, number), Bytes::copy_from_slice(id));
        roster.next += 1;
        roster.rows += 1;
        number
    }

    /// Removes a row that is there.
    pub(crate) fn remove(&self, txn: &mut Txn<'_>, user: &UserKey, roster: &mut Roster, number: u64) {
        txn.delete(self.key(user, number));
        roster.rows = roster.rows.saturating_sub(1);
    }

    /// The id of the oldest row. Rows that were removed before it are not looked at again.
    pub(crate) fn oldest(
        &self,
        read: &dyn Read,
        user: &UserKey,
        roster: &mut Roster,
    ) -> Result<Option<Bytes>, Error> {
        let mut oldest = None;
        let (from, to) = (self.key(user, roster.first), self.key(user, roster.next));
        read.scan(&from, &to, &mut |key, id| {
            if let Some(number) = key.last_chunk::<8>() {
                oldest = Some((u64::from_be_bytes(*number), Bytes::copy_from_slice(id)));
            }
            ControlFlow::Break(())
        })?;
        Ok(oldest.map(|(number, id)| {
            roster.first = number;
            id
        }))
    }
}
