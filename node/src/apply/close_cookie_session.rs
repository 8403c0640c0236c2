//! Sign-out of a cookie session; of an unknown one too (docs/rules/protocol.md#cookie-sessions).

use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{CloseCookieSession, Outcome};

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::turn::Turn;
use super::{cookies, outcome};
use crate::state::{Read, records};

impl ShardCommand for CloseCookieSession {
    fn check(&self, _: &Proposal<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let user = user::parse(&self.user)?;
        cookies::remove(turn, &user, &self.secret_hash)?;
        Ok(outcome::done())
    }

    fn changes_nothing(&self, read: &dyn Read, _: u64) -> Result<bool, ApplyError> {
        let user = user::parse(&self.user)?;
        Ok(records::cookie_session(read, &user, &self.secret_hash)?.is_none())
    }
}
