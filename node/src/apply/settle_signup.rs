//! Makes sure of what becomes of a signup that may have been left half-way: its user exists by that token, or will
//! never exist by that reservation (docs/rules/consensus.md#a-signup-token-is-spent-once).

use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{Outcome, SettleSignup, SettledSignup, outcome::Value};
use rowhouse_proto::wire::state::VoidSignup;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::outcome;
use super::turn::Turn;
use crate::state::{records, tables};

impl ShardCommand for SettleSignup {
    fn check(&self, _: &Proposal<'_>) -> Result<(), ApplyError> {
        user::parse(&self.user)?;
        Ok(())
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let user = user::parse(&self.user)?;
        let spent = match records::user(&*turn.txn, &user)? {
            Some(account) => account.signup_token == self.token,
            None => {
                let known = records::void_signup(&*turn.txn, &user)?;
                let row = VoidSignup { number: self.number.max(known) };
                turn.txn.put(tables::void_signup(&user), records::encode(&row));
                false
            }
        };
        Ok(outcome::with(Value::Settled(SettledSignup { spent })))
    }
}
