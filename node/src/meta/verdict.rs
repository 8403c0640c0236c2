//! The result of a meta command.

use rowhouse_proto::wire::command::MetaOutcome;

/// The result of a meta command, the same on every replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted, and the map changed.
    Changed,
    /// Accepted, and what changed is not in the map.
    Stored,
    /// Accepted, and all was so already: repeating a command is harmless.
    Unchanged,
    /// Nothing was changed, for this reason. Operators read it.
    Refused(String),
}

impl Verdict {
    /// A refusal for this reason.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    /// The refusal of every command that comes before `Bootstrap`.
    pub fn not_initialized() -> Self {
        Self::refused("the cluster is not initialized")
    }

    /// The refusal of a command about a node that the map does not name.
    pub fn unknown_node() -> Self {
        Self::refused("no such node")
    }

    /// The reply to the proposer.
    pub fn into_outcome(self) -> MetaOutcome {
        match self {
            Self::Changed | Self::Stored | Self::Unchanged => {
                MetaOutcome { accepted: true, refused: String::new() }
            }
            Self::Refused(refused) => MetaOutcome { accepted: false, refused },
        }
    }
}
