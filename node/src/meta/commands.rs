//! The one dispatch over the meta group's commands.
//!
//! Each command has a file of its own, named after it, which implements `MetaGroupCommand` for the command's message
//! (docs/how-to/add-a-command.md).

use rowhouse_proto::wire::command::{MetaCommand, meta_command::Body};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::Verdict;

/// A command's change of the meta group's state.
///
/// There is no check before the log, as shards have it: meta commands are few, and what proposes them is part of the
/// cluster. Rules that are also asked elsewhere stand beside `apply` in the command's file.
pub(super) trait MetaGroupCommand {
    /// Decides and writes: a pure function of state, command and entry. Nothing is written before a refusal.
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error>;
}

/// An entry's fields besides its command.
#[derive(Clone, Copy)]
pub(super) struct EntryHead {
    /// The command version it was proposed under.
    pub(super) version: u32,
    /// The proposer's physical clock in unix milliseconds.
    pub(super) now_ms: u64,
}

impl From<&MetaCommand> for EntryHead {
    fn from(command: &MetaCommand) -> Self {
        Self { version: command.version, now_ms: command.now_ms }
    }
}

/// The command within a log entry. Every command has its line here.
pub(super) fn of(body: &Body) -> &dyn MetaGroupCommand {
    match body {
        Body::Bootstrap(command) => command,
        Body::RegisterNode(command) => command,
        Body::SetPacket(command) => command,
        Body::PlaceShards(command) => command,
        Body::AnnounceGateway(command) => command,
        Body::WithdrawGateway(command) => command,
        Body::RaiseCommandVersion(command) => command,
        Body::MarkNode(command) => command,
        Body::DirectNode(command) => command,
        Body::RemoveNode(command) => command,
        Body::BeginMove(command) => command,
        Body::EndMove(command) => command,
        Body::Rebalance(command) => command,
        Body::RecoverGroup(command) => command,
        Body::CreateSignupToken(command) => command,
        Body::ReserveSignupToken(command) => command,
        Body::SettleSignupToken(command) => command,
        Body::ChangeSettings(command) => command,
        Body::AppendAudit(command) => command,
    }
}
