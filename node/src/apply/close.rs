//! Close: raises the shard's event clock so that a feed may pass it. It writes no event.

use rowhouse_proto::wire::command::{Close, Outcome};

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::outcome;
use super::turn::Turn;

impl ShardCommand for Close {
    fn check(&self, _: &Proposal<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        turn.close(self.t);
        Ok(outcome::done())
    }

    fn is_upkeep(&self) -> bool {
        true
    }
}
