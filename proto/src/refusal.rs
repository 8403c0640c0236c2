//! A refusal on its whole way: from the decision to the response, with its two wire forms.
//!
//! The state machine, the gRPC services, the gateway's client and its routes all hand on this one type. It crosses
//! two boundaries: `Outcome` is what the log stores of it, `Failure` what a node answers a gateway. Statuses and
//! texts are in the table of `error.rs`.

use std::time::Duration;

use crate::error::ErrorCode;
use crate::wire::command::Outcome;
use crate::wire::shard::Failure;

/// Keeps a stored outcome below 256 bytes (docs/rules/consensus.md#a-request-applies-once), beside its code.
const DETAIL_BYTES_MAX: usize = 200;

/// Why a request is refused, and what its sender may do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Refusal {
    /// The row of the table: number, status and text.
    pub code: ErrorCode,
    /// Replaces the code's text when it is not empty.
    pub detail: String,
    /// How long to wait before asking again. `None` leaves it to the code: a transient one may be asked again soon.
    pub retry_after: Option<Duration>,
    /// With `NotLeader`: uuid of the node that leads the shard, if it is known.
    pub leader: Option<[u8; 16]>,
}

impl Refusal {
    /// A refusal with a text of its own.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..code.into() }
    }

    /// This node does not lead the shard; `leader` does, as far as it knows.
    pub fn not_leader(leader: Option<[u8; 16]>) -> Self {
        Self { leader, ..ErrorCode::NotLeader.into() }
    }

    /// The refusal that a command's outcome is; `None` if the command succeeded.
    ///
    /// A code of a newer program counts as `Internal`.
    pub fn of_outcome(outcome: &Outcome) -> Option<Self> {
        if outcome.code == 0 {
            return None;
        }
        let code = ErrorCode::from_number(outcome.code).unwrap_or(ErrorCode::Internal);
        Some(Self::new(code, outcome.detail.clone()))
    }

    /// The detail, or else the code's own text.
    pub fn text(&self) -> &str {
        if self.detail.is_empty() { self.code.text() } else { &self.detail }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, detail: String::new(), retry_after: None, leader: None }
    }
}

/// The form that the log stores: the code and at most 200 bytes of detail.
impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        let mut detail = refusal.detail;
        let end = (0..=DETAIL_BYTES_MAX).rev().find(|at| detail.is_char_boundary(*at)).unwrap_or_default();
        detail.truncate(end);
        Self { code: refusal.code.number(), detail, value: None }
    }
}

/// The form that a node answers. A wait is told in whole milliseconds; 0 is none. The node adds its map's version.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let retry_after_ms = refusal.retry_after.map_or(0, |wait| wait.as_millis());
        Self {
            code: refusal.code.number(),
            detail: refusal.detail,
            retry_after_ms: u32::try_from(retry_after_ms).unwrap_or(u32::MAX),
            leader_node: refusal.leader.map(|node| node.to_vec().into()).unwrap_or_default(),
            map_version: 0,
        }
    }
}

/// A node's answer, read by a gateway. A code of a newer program counts as `Internal`, without its other fields.
impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let Some(code) = ErrorCode::from_number(failure.code) else { return ErrorCode::Internal.into() };
        let wait_ms = u64::from(failure.retry_after_ms);
        Self {
            code,
            detail: failure.detail,
            retry_after: (wait_ms > 0).then_some(Duration::from_millis(wait_ms)),
            leader: failure.leader_node[..].try_into().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn failures_bring_everything_across() {
        let full = Refusal {
            retry_after: Some(Duration::from_millis(1_500)),
            ..Refusal::new(ErrorCode::DiskFull, "node 3 is full")
        };
        let elsewhere = Refusal::not_leader(Some([7; 16]));
        for refusal in [full, elsewhere, Refusal::not_leader(None), ErrorCode::NotFound.into()] {
            assert_eq!(Refusal::from(Failure::from(refusal.clone())), refusal);
        }
    }

    #[test]
    fn codes_and_names_that_are_none_are_nothing() {
        let unknown = Failure { code: 9_999, retry_after_ms: 5, ..Failure::default() };
        assert_eq!(Refusal::from(unknown), ErrorCode::Internal.into());
        let nobody = Failure { leader_node: vec![7; 15].into(), ..Refusal::not_leader(None).into() };
        assert_eq!(Refusal::from(nobody), Refusal::not_leader(None));
    }

    #[test]
    fn outcomes_keep_code_and_detail() {
        assert_eq!(Refusal::of_outcome(&Outcome::default()), None);
        let gone = Refusal::new(ErrorCode::NotFound, "gone");
        assert_eq!(Refusal::of_outcome(&gone.clone().into()), Some(gone));
        let unknown = Outcome { code: 9_999, ..Outcome::default() };
        assert_eq!(Refusal::of_outcome(&unknown), Some(ErrorCode::Internal.into()));
    }

    #[test]
    fn long_details_are_cut_between_characters() {
        let outcome = Outcome::from(Refusal::new(ErrorCode::InvalidStoragePath, "é".repeat(300)));
        assert_eq!(outcome.detail, "é".repeat(100));
        assert!(outcome.encoded_len() <= 256);
    }

    #[test]
    fn every_text_fits_an_outcome() {
        for code in ErrorCode::ALL {
            assert!(code.text().len() <= DETAIL_BYTES_MAX, "{code:?}");
        }
    }
}
