//! `Machine`: a group's state machine, a pure function of state and command.

use bytes::Bytes;

use crate::GroupId;
use crate::error::Error;
use crate::state::Txn;

/// Where a command stands in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryContext {
    /// The group whose log holds the entry.
    pub group: GroupId,
    /// Term in which the entry was proposed.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
}

/// Applies commands to one group's state.
///
/// `apply` uses no clock, no randomness, no iteration over unordered maps and nothing of this machine: time and
/// identity come inside the command, so that every replica writes the same bytes
/// (docs/rules/consensus.md#apply-is-deterministic). A command that must be refused is a normal reply. `Err` is for
/// storage that cannot be read, and for a command this program does not understand: others do, so it is never
/// skipped. It ends the replica before the entry.
pub trait Machine: Send + Sync + 'static {
    /// Applies one command through `txn`, and answers with opaque bytes.
    fn apply(&self, context: EntryContext, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error>;
}
