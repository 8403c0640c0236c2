//! How the failures below a service become refusals, and how long a refused gateway should wait.

use std::time::Duration;

use rowhouse_proto::wire::shard::Failure;
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::{ProposeError, ReadError};

use crate::Error;
use crate::apply::ApplyError;

/// The queue of a busy leader empties within a batch or two.
const BUSY_RETRY: Duration = Duration::from_millis(100);
/// A lost leader is replaced in about a second (docs/rules/consensus.md#timing-and-leases); asking earlier is cheap.
const LEADER_RETRY: Duration = Duration::from_millis(100);
/// The admission of anonymous attempts refills within seconds.
const ATTEMPTS_RETRY: Duration = Duration::from_secs(1);
/// Abandoned uploads and old versions go one by one, each within minutes.
const GRACE_RETRY: Duration = Duration::from_secs(60);
/// An operator has to act, or a compaction to end.
const SPACE_RETRY: Duration = Duration::from_secs(5);

/// The refusal as it travels to the gateway, with the wait that belongs to its code.
pub fn failure(refusal: Refusal) -> Failure {
    let retry_after = retry_after(refusal.code);
    Refusal { retry_after, ..refusal }.into()
}

fn retry_after(code: ErrorCode) -> Option<Duration> {
    match code {
        ErrorCode::TooManyAttempts => Some(ATTEMPTS_RETRY),
        ErrorCode::DiskFull => Some(SPACE_RETRY),
        ErrorCode::TooMuchStored | ErrorCode::TooManyUploads => Some(GRACE_RETRY),
        ErrorCode::Overloaded | ErrorCode::GuardTableFull => Some(BUSY_RETRY),
        code => code.is_transient().then_some(LEADER_RETRY),
    }
}

/// Nothing was proposed, and another node may be able to: the gateway asks on.
pub fn unable(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "request failed on this node");
    ErrorCode::Unavailable.into()
}

/// The refusal of a request for which there is no stamp.
pub fn of_stamp(error: &Error) -> Refusal {
    match error {
        // Another replica is about to lead.
        Error::LogHangs => Refusal::not_leader(None),
        other => unable(other),
    }
}

/// The error is for operators, not for clients.
pub fn internal(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "request failed");
    ErrorCode::Internal.into()
}

/// The refusal that a proposal without an outcome comes to.
pub fn of_proposal(error: ProposeError) -> Refusal {
    match error {
        ProposeError::NotLeader { leader_node } => Refusal::not_leader(leader_node),
        ProposeError::Busy => ErrorCode::Overloaded.into(),
        ProposeError::Unknown(_) => ErrorCode::Unavailable.into(),
    }
}

/// The refusal that a failed read barrier comes to.
pub fn of_barrier(error: ReadError) -> Refusal {
    match error {
        ReadError::NotLeader { leader_node } => Refusal::not_leader(leader_node),
        ReadError::Unavailable(_) => ErrorCode::Unavailable.into(),
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Refused(refusal) => refusal,
            ApplyError::Failed(error) => internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_leader_names_its_successor() {
        let failure = failure(of_proposal(ProposeError::NotLeader { leader_node: Some([7; 16]) }));
        assert_eq!(failure.code, ErrorCode::NotLeader.number());
        assert_eq!(failure.leader_node, vec![7; 16]);
        assert!(failure.retry_after_ms > 0);
    }

    #[test]
    fn only_refusals_that_pass_say_when_to_come_back() {
        let wait = |code: ErrorCode| failure(code.into()).retry_after_ms;
        assert_eq!((wait(ErrorCode::NotFound), wait(ErrorCode::QuotaExceeded)), (0, 0));
        for code in ErrorCode::ALL.iter().filter(|code| code.is_transient()) {
            assert!(wait(*code) > 0, "{code:?}");
        }
        assert_eq!((wait(ErrorCode::DiskFull), wait(ErrorCode::TooMuchStored)), (5_000, 60_000));
    }
}
