//! A request id is applied once (docs/rules/consensus.md#a-request-applies-once).
//!
//! A row is forgotten by the shard's age. A retry that no longer finds its row is refused. It is older than the window,
//! or no younger than a request whose row was forgotten, or was issued before the clocks were corrected
//! (docs/decisions/009).

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::wire::command::{Command, Outcome};
use rowhouse_proto::wire::state::{Request, Shard};
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::Error;
use rowhouse_raft::codec::decode_whole;

use super::error::ApplyError;
use super::turn::{Turn, table};
use crate::planted;
use crate::state::aged::{REQUESTS, Row};
use crate::state::read::{Read, decode, unwrap_raw};
use crate::state::records;

/// A request issued longer ago is refused. Gateways retry for a quarter of this.
pub const REQUEST_WINDOW_MS: u64 = 120_000;
/// How long an outcome is remembered: the window, and hundreds of leaps of a clock.
const REQUEST_LIFETIME_MS: u64 = REQUEST_WINDOW_MS + 30_000;
/// A request issued further beyond the shard's present comes from a gateway that has yet to hear of a
/// correction. Its HLC may be ahead by a good deal less.
pub const ISSUED_AHEAD_MS_MAX: u64 = 60_000;
/// A request id: 128 random bits.
const REQUEST_ID_BYTES: usize = 16;

/// The stored outcome of a request, if it was applied before.
pub fn known_outcome(read: &dyn Read, request_id: &[u8]) -> Result<Option<Outcome>, Error> {
    if planted::skip_dedup() {
        return Ok(None);
    }
    let Some(value) = REQUESTS.get(read, request_id)? else { return Ok(None) };
    let request: Request = decode(&value, "request")?;
    decode_whole("stored outcome", request.outcome).map(Some)
}

/// The answer to a command that must not be applied: malformed, known, or too old or new.
pub(super) fn answered(read: &dyn Read, shard: &Shard, command: &Command) -> Result<Option<Outcome>, Error> {
    if command.request_id.len() != REQUEST_ID_BYTES {
        return Ok(Some(Refusal::from(ErrorCode::Internal).into()));
    }
    if let Some(outcome) = known_outcome(read, &command.request_id)? {
        return Ok(Some(outcome));
    }
    let expired = is_expired(shard, command.issued_at_us);
    Ok(expired.then(|| Refusal::from(ErrorCode::RequestExpired).into()))
}

/// Whether a request that has no row might be a retry of one that had.
pub(super) fn is_expired(shard: &Shard, issued_at_us: u64) -> bool {
    let issued_at_ms = issued_at_us / 1000;
    issued_at_ms.saturating_add(REQUEST_WINDOW_MS) < shard.now_ms
        || issued_at_ms > shard.now_ms.saturating_add(ISSUED_AHEAD_MS_MAX)
        || issued_at_us <= shard.requests_forgotten_us
}

/// Notes that the row of a request was swept, which its mark names by its time.
///
/// A time ahead of the present counts as far as the next command allows (`log_time::advance`). A retry of that request
/// is refused as long as the clocks stay out of that time.
pub(super) fn forget(shard: &mut Shard, mark: &Bytes) -> Result<(), Error> {
    let issued_at_us = unwrap_raw(mark, "request's mark")?;
    let issued_at_us = u64::from_be_bytes(
        issued_at_us[..].try_into().map_err(|error| Error::corrupt("request's mark", error))?,
    );
    shard.requests_forgotten_us = shard.requests_forgotten_us.max(issued_at_us);
    Ok(())
}

/// Refuses while the table of requests is full: no outcome could be remembered.
pub(super) fn room(shard: &Shard) -> Result<(), ApplyError> {
    match &shard.requests {
        Some(requests) if REQUESTS.is_full(requests) => Err(ErrorCode::GuardTableFull.into()),
        _ => Ok(()),
    }
}

/// Stores the outcome under the request's id, for its retries.
pub(super) fn remember(turn: &mut Turn<'_, '_>, request_id: &Bytes, issued_at_us: u64, outcome: &Outcome) {
    let dies_at_ms = turn.age_ms().saturating_add(REQUEST_LIFETIME_MS);
    let request = Request { dies_at_ms, outcome: outcome.encode_to_vec().into() };
    let mark = records::wrap_raw(&issued_at_us.to_be_bytes());
    let row = Row { id: request_id, dies_at_ms, mark };
    REQUESTS.insert(turn.txn, table(&mut turn.shard.requests), row, records::encode(&request));
}
