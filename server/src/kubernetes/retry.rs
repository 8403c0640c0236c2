//! Trying again where that helps: somebody else was faster, or the API server is in trouble.

use std::time::Duration;

use rowhouse_proto::{Backoff, Spread};
use uuid::Uuid;

use super::api_error::ApiError;
use crate::error::Error;

/// With the pauses below about half a minute; the Job that runs us tries again after that.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// Makes the attempt until it ends well, is refused, or was made often enough. Each attempt begins by reading.
pub async fn until_done<T>(mut attempt: impl AsyncFnMut() -> Result<T, ApiError>) -> Result<T, Error> {
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_LONGEST, Spread::UpperHalf);
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(ApiError::Refused(text)) => return Err(Error::Usage(text)),
            Err(error @ (ApiError::Conflict(_) | ApiError::Unreachable(_))) => error,
        };
        if backoff.failures() + 1 >= ATTEMPTS_MAX {
            return Err(Error::NotYet(format!("gave up after {ATTEMPTS_MAX} attempts: {error}")));
        }
        tracing::info!(%error, "trying again");
        tokio::time::sleep(backoff.pause(Uuid::new_v4().as_u64_pair().0)).await;
    }
}
