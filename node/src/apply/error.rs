//! Why a command goes no further.

use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::Error;

/// The reason that ends the work on a command or a read.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The client is answered with the refusal. A refused command is a normal outcome.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// State cannot be read, or holds what it never should. A replica that meets this while it applies stops.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<ErrorCode> for ApplyError {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code.into())
    }
}
