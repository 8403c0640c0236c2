//! From a log entry to an outcome: decode, clocks, deduplication, the command, its row.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{Command, Outcome};
use rowhouse_proto::{ErrorCode, VersionRange};
use rowhouse_raft::state::Txn;
use rowhouse_raft::{EntryContext, Error, Machine};

use super::commands::{self, ShardCommand};
use super::error::ApplyError;
use super::turn::{ACCOUNTS_SINCE, Turn};
use super::{dedup, outcome, sweep, user_index};
use crate::command_version::decode;
use crate::planted;

/// The machine of every shard. It holds no state of its own: everything is in the group's.
#[derive(Clone, Copy, Debug)]
pub struct ShardMachine {
    /// The layout of event ids, fixed when the cluster was made.
    ids: EventIds,
    /// The command versions it understands; it stops at any other.
    versions: VersionRange,
    /// The homeserver's public key, as fixed as the layout.
    homeserver: UserKey,
}

impl ShardMachine {
    /// A machine for shards of the homeserver with this public key and these event ids. It stops at a command of
    /// another version.
    pub fn new(ids: EventIds, versions: VersionRange, homeserver: UserKey) -> Self {
        Self { ids, versions, homeserver }
    }
}

impl Machine for ShardMachine {
    fn apply(&self, context: EntryContext<'_>, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let (command, body) = decode::<Command>(command, self.versions, context)?;
        let body = commands::of(&body);
        let outcome = if planted::diverge() {
            outcome::done()
        } else {
            let mut turn = Turn::open(txn, self.ids, self.homeserver, &command, context)?;
            if body.is_upkeep() {
                apply_upkeep(&mut turn, body)?
            } else {
                apply_once(&mut turn, &command, body)?
            }
        };
        Ok(outcome.encode_to_vec().into())
    }
}

/// Applies a request's command once, however often it is retried.
fn apply_once(turn: &mut Turn<'_, '_>, command: &Command, body: &dyn ShardCommand) -> Result<Outcome, Error> {
    if let Some(answer) = dedup::answered(&*turn.txn, &turn.shard, command)? {
        return Ok(answer);
    }
    sweep::sweep(turn)?;
    if turn.version() >= ACCOUNTS_SINCE {
        user_index::build_once(turn.txn, &mut turn.shard)?;
    }
    let outcome = settled(dedup::room(&turn.shard).and_then(|()| body.apply(turn)))?;
    // Nothing was applied, and the same request may succeed once the table has room.
    if outcome.code != ErrorCode::GuardTableFull.number() {
        turn.close_to_hlc();
        dedup::remember(turn, &command.request_id, command.issued_at_us, &outcome);
    }
    turn.store_shard();
    Ok(outcome)
}

fn apply_upkeep(turn: &mut Turn<'_, '_>, body: &dyn ShardCommand) -> Result<Outcome, Error> {
    let outcome = settled(body.apply(turn))?;
    turn.store_shard();
    Ok(outcome)
}

/// A refusal is an outcome; a failure ends the replica.
fn settled(applied: Result<Outcome, ApplyError>) -> Result<Outcome, Error> {
    match applied {
        Ok(outcome) => Ok(outcome),
        Err(ApplyError::Refused(refusal)) => Ok(refusal.into()),
        Err(ApplyError::Failed(error)) => Err(error),
    }
}
