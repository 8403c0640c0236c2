//! What can become of a call to the API server besides what was asked for.

/// Why a call did not do what it should. Callers try again after the first two.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Somebody else was faster: read again, decide again.
    #[error("{0} was changed by somebody else meanwhile")]
    Conflict(String),
    /// No answer, or one that says: later.
    #[error("the API server does not answer as it should: {0}")]
    Unreachable(String),
    /// Trying again does not help. The text says what does.
    #[error("{0}")]
    Refused(String),
}
