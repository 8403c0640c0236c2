//! Why a request got no answer of its own, as it travels to the gateway.

use rowhouse_proto::wire::command::Outcome;
use rowhouse_proto::wire::shard::Failure;
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::{ProposeError, ReadError};

use crate::apply::ApplyError;
use crate::identity::NodeUuid;

/// A leader that is full is so for a batch or two.
const BUSY_RETRY_MS: u32 = 100;
/// A lost leader is replaced in about a second (docs/rules/consensus.md#timing-and-leases); asking earlier is cheap.
const LEADER_RETRY_MS: u32 = 100;
/// The admission of anonymous attempts refills within seconds.
const ATTEMPTS_RETRY_MS: u32 = 1_000;
/// Uploads that were given up and old versions go one by one, each within minutes.
const GRACE_RETRY_MS: u32 = 60_000;
/// An operator has to act, or a compaction to end.
const SPACE_RETRY_MS: u32 = 5_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub refusal: Refusal,
    pub leader_node: Option<NodeUuid>,
}

impl Refused {
    pub fn into_failure(self) -> Failure {
        let code = self.refusal.code;
        Failure {
            code: code.number(),
            detail: self.refusal.detail,
            retry_after_ms: retry_after_ms(code),
            leader_node: self.leader_node.map(|node| node.to_vec().into()).unwrap_or_default(),
        }
    }

    fn not_leader(leader_node: Option<NodeUuid>) -> Self {
        Self { refusal: ErrorCode::NotLeader.into(), leader_node }
    }

    /// Nothing was proposed, and another node may be able to: the gateway asks on.
    pub fn unable(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed on this node");
        ErrorCode::Unavailable.into()
    }

    /// Told to operators, not to clients.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        ErrorCode::Internal.into()
    }
}

fn retry_after_ms(code: ErrorCode) -> u32 {
    match code {
        ErrorCode::TooManyAttempts => ATTEMPTS_RETRY_MS,
        ErrorCode::DiskFull => SPACE_RETRY_MS,
        ErrorCode::TooMuchStored | ErrorCode::TooManyUploads => GRACE_RETRY_MS,
        ErrorCode::Overloaded | ErrorCode::GuardTableFull => BUSY_RETRY_MS,
        code if code.is_transient() => LEADER_RETRY_MS,
        _ => 0,
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, leader_node: None }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Refusal::from(code).into()
    }
}

impl From<ApplyError> for Refused {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Refused(refusal) => refusal.into(),
            ApplyError::Failed(error) => Self::internal(&error),
        }
    }
}

impl From<ProposeError> for Refused {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { leader_node } => Self::not_leader(leader_node),
            ProposeError::Busy => ErrorCode::Overloaded.into(),
            ProposeError::Unknown(_) => ErrorCode::Unavailable.into(),
        }
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotLeader { leader_node } => Self::not_leader(leader_node),
            ReadError::Unavailable(_) => ErrorCode::Unavailable.into(),
        }
    }
}

/// A refusal decided by the log; `None` when the command succeeded.
pub fn of_outcome(outcome: &Outcome) -> Option<Refused> {
    if outcome.code == 0 {
        return None;
    }
    let code = ErrorCode::from_number(outcome.code).unwrap_or(ErrorCode::Internal);
    Some(Refusal::new(code, outcome.detail.clone()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_leader_names_its_successor() {
        let refused = Refused::from(ProposeError::NotLeader { leader_node: Some([7; 16]) });
        let failure = refused.into_failure();
        assert_eq!(failure.code, ErrorCode::NotLeader.number());
        assert_eq!(failure.leader_node, vec![7; 16]);
        assert!(failure.retry_after_ms > 0);
    }

    #[test]
    fn outcomes_keep_their_detail() {
        assert_eq!(of_outcome(&Outcome::default()), None);
        let outcome = Outcome { code: ErrorCode::NotFound.number(), detail: "gone".into(), value: None };
        let failure = of_outcome(&outcome).expect("refused").into_failure();
        assert_eq!((failure.code, failure.detail.as_str(), failure.retry_after_ms), (44, "gone", 0));
        let unknown = Outcome { code: 9_999, ..Outcome::default() };
        assert_eq!(of_outcome(&unknown).map(|refused| refused.refusal.code), Some(ErrorCode::Internal));
    }
}
