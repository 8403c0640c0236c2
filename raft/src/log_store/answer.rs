//! `Answer`: what becomes of a submission to the log engine, for a caller that waits.

use tokio::sync::oneshot;

use super::engine::{LogEngine, LogOp};
use crate::error::Error;

/// Resolves once the submission is durable or has failed.
pub(super) type Answer = oneshot::Receiver<Result<(), Error>>;

/// Waits for an answer; `Error::Stopped` if the engine is gone.
pub(super) async fn answered(answer: Answer) -> Result<(), Error> {
    answer.await.unwrap_or(Err(Error::Stopped))
}

/// Submits `ops` and returns once they are durable, and with them everything submitted before.
pub(super) async fn submit_durably(engine: &dyn LogEngine, ops: Vec<LogOp>) -> Result<(), Error> {
    let (done, answer) = oneshot::channel();
    // The receiver may be gone with its task; the steps are written all the same.
    engine.submit(ops, true, Box::new(move |result| drop(done.send(result))));
    answered(answer).await
}
