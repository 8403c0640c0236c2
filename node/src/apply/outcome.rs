//! A command's outcome, which is also what its retries are answered.

use rowhouse_proto::wire::command::{Outcome, outcome::Value};
use rowhouse_proto::{ErrorCode, Refusal};

/// Keeps an outcome below 256 bytes (docs/rules/consensus.md#a-request-applies-once), beside its code.
const DETAIL_BYTES_MAX: usize = 200;

pub(super) fn done() -> Outcome {
    Outcome::default()
}

pub(super) fn with(value: Value) -> Outcome {
    Outcome { value: Some(value), ..Outcome::default() }
}

pub(super) fn refused(refusal: Refusal) -> Outcome {
    let mut detail = refusal.detail;
    let end = (0..=DETAIL_BYTES_MAX).rev().find(|at| detail.is_char_boundary(*at)).unwrap_or_default();
    detail.truncate(end);
    Outcome { code: refusal.code.number(), detail, value: None }
}

pub(super) fn refused_code(code: ErrorCode) -> Outcome {
    refused(code.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn long_details_are_cut_between_characters() {
        let outcome = refused(Refusal::new(ErrorCode::InvalidStoragePath, "é".repeat(300)));
        assert_eq!(outcome.detail, "é".repeat(100));
        let short = refused(Refusal::new(ErrorCode::InvalidStoragePath, "short"));
        assert_eq!(short.detail, "short");
        assert!(outcome.encoded_len() <= 256);
    }
}
