//! How far the pass over the users' packets is, so that another leader goes on from there.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::{MarkPass, Outcome};
use rowhouse_proto::wire::state::PacketPass;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::outcome;
use super::turn::Turn;
use crate::state::{records, tables};

/// Bytes of a user's key.
const USER_BYTES: usize = 32;

fn accept(command: &MarkPass) -> Result<(), ApplyError> {
    let is_place = command.after.is_empty() || command.after.len() == USER_BYTES;
    if is_place { Ok(()) } else { Err(ErrorCode::Internal.into()) }
}

impl ShardCommand for MarkPass {
    fn check(&self, _: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(self)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        accept(self)?;
        let MarkPass { began_ms, after, ended } = self.clone();
        let pass = PacketPass { began_ms, after, marked_ms: turn.now_ms(), ended };
        turn.txn.put(&[tables::PACKET_PASS][..], records::encode(&pass));
        Ok(outcome::done())
    }

    fn is_upkeep(&self) -> bool {
        true
    }
}
