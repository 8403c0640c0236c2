//! A command's outcome, which is also what its retries are answered. A refusal becomes one by itself
//! (`rowhouse_proto::Refusal`).

use rowhouse_proto::wire::command::{Outcome, outcome::Value};

/// The outcome of a command that has nothing to tell.
pub(super) fn done() -> Outcome {
    Outcome::default()
}

/// The outcome of a command that tells what only the log decides: times and ids.
pub(super) fn with(value: Value) -> Outcome {
    Outcome { value: Some(value), ..Outcome::default() }
}
