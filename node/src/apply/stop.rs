//! Why a command goes no further.

use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::Error;

/// A refusal is an answer; a failure means that state cannot be read and ends the replica.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<ErrorCode> for Stop {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code.into())
    }
}
