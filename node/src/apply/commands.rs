//! The one dispatch over a shard's commands, for the leader before the log and for every replica after it.
//!
//! Each command has a file of its own, named after it, which implements `ShardCommand` for the command's message
//! (docs/how-to/add-a-command.md).

use rowhouse_proto::wire::command::{Outcome, command::Body};
use rowhouse_proto::wire::state::Shard;

use super::error::ApplyError;
use super::turn::Turn;
use crate::state::Read;

/// A command's two decisions: before the log and after it.
pub(super) trait ShardCommand {
    /// Refuses what `apply` would refuse without changing anything. Whatever passes here is proposed.
    ///
    /// A refusal that spends a token or nonce belongs to `apply` alone, because only the log may spend it.
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError>;

    /// Decides and writes: a pure function of the turn's state and this command.
    ///
    /// Writes before a refusal are kept, so that everything but guards is judged before the first write.
    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError>;

    /// Whether `apply` would succeed and change nothing. Such a command is answered without a log entry, or else
    /// anybody could write to the log. `now_ms` is the leader's physical clock in unix milliseconds.
    fn changes_nothing(&self, _read: &dyn Read, _now_ms: u64) -> Result<bool, ApplyError> {
        Ok(false)
    }

    /// Whether the cluster asks this of itself. Such a command has no request id and is not deduplicated: repeating
    /// it changes nothing.
    fn is_upkeep(&self) -> bool {
        false
    }
}

/// The leader's knowledge when it judges a command that is not in the log yet.
pub(super) struct Proposal<'a> {
    /// One snapshot of the shard's state.
    pub(super) read: &'a dyn Read,
    /// The shard's record, with the times it would have if the command were applied now.
    pub(super) shard: Shard,
    /// The Content-Length header of a PUT, if it had one.
    pub(super) content_length: Option<u64>,
}

impl Proposal<'_> {
    /// The shard's present in unix seconds.
    pub(super) fn now_s(&self) -> u64 {
        self.shard.now_ms / 1000
    }
}

/// The command within a log entry. Every command has its line here.
pub(super) fn of(body: &Body) -> &dyn ShardCommand {
    match body {
        Body::CreateUser(command) => command,
        Body::OpenCookieSession(command) => command,
        Body::CloseCookieSession(command) => command,
        Body::MintBearer(command) => command,
        Body::RevokeGrant(command) => command,
        Body::PutEntry(command) => command,
        Body::DeleteEntry(command) => command,
        Body::Close(command) => command,
        Body::BeginUpload(command) => command,
        Body::CollectObjects(command) => command,
        Body::SettleSignup(command) => command,
        Body::DisableUser(command) => command,
        Body::ChangeQuota(command) => command,
        Body::MakeCollection(command) => command,
        Body::RemoveCollection(command) => command,
        Body::MoveEntries(command) => command,
        Body::LockEntry(command) => command,
        Body::RefreshLock(command) => command,
        Body::UnlockEntry(command) => command,
        Body::AbandonUpload(command) => command,
        Body::NotePacket(command) => command,
        Body::MarkPass(command) => command,
    }
}
