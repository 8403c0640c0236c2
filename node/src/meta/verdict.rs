//! What a meta command came to.

use rowhouse_proto::wire::command::MetaOutcome;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The map changed.
    Changed,
    /// Accepted, and it was so already: repeating a command is harmless.
    Unchanged,
    Refused(String),
}

impl Verdict {
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    pub fn into_outcome(self) -> MetaOutcome {
        match self {
            Self::Changed | Self::Unchanged => MetaOutcome { accepted: true, refused: String::new() },
            Self::Refused(refused) => MetaOutcome { accepted: false, refused },
        }
    }
}
