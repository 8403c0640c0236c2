//! An upload that will not become a file: it gives its place among its user's uploads back at once, and its chunks are
//! erased. Without this it would hold both until it expires.

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::{AbandonUpload, Outcome};
use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_raft::Error;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::turn::Turn;
use super::{object, outcome};
use crate::state::Read;
use crate::state::objects::{self, ObjectId, parse_id};

/// The upload's row, while it is one.
fn staged(read: &dyn Read, id: &ObjectId, user: &Bytes) -> Result<Option<Object>, Error> {
    Ok(objects::object(read, id)?.filter(|row| row.state() == State::Staged && row.user == user))
}

impl ShardCommand for AbandonUpload {
    fn check(&self, _: &Proposal<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let id = parse_id(&self.object).ok_or(ErrorCode::Internal)?;
        if let Some(row) = staged(&*turn.txn, &id, &self.user)? {
            object::move_on(turn, id, &row, State::Dead)?;
        }
        Ok(outcome::done())
    }

    /// It has expired, or its file was put after all.
    fn changes_nothing(&self, read: &dyn Read, _: u64) -> Result<bool, ApplyError> {
        let id = parse_id(&self.object).ok_or(ErrorCode::Internal)?;
        Ok(staged(read, &id, &self.user)?.is_none())
    }
}
