//! A request id is applied once (consensus.md §3).
//!
//! A row is swept only when `last_t` has passed its time by the window, and its time is never below the
//! request's `issued_at`: so a retry that no longer finds its row is always refused as too old.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::event::event_time;
use rowhouse_proto::wire::command::{Command, Outcome};
use rowhouse_proto::wire::state::{Request, Shard};
use rowhouse_raft::Error;
use rowhouse_raft::codec::decode_whole;

use super::outcome;
use super::stop::Stop;
use super::turn::{Turn, table};
use crate::planted;
use crate::state::aged::REQUESTS;
use crate::state::read::{Read, decode};
use crate::state::records;

/// How long an outcome is remembered: four times as long as gateways retry.
pub const REQUEST_WINDOW_US: u64 = 120_000_000;
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

/// Rules 1 and 2: `Some` answers without applying anything.
pub(super) fn answered(read: &dyn Read, shard: &Shard, command: &Command) -> Result<Option<Outcome>, Error> {
    if command.request_id.len() != REQUEST_ID_BYTES {
        return Ok(Some(outcome::refused_code(ErrorCode::Internal)));
    }
    if let Some(outcome) = known_outcome(read, &command.request_id)? {
        return Ok(Some(outcome));
    }
    if event_time(command.issued_at_us).saturating_add(REQUEST_WINDOW_US) < shard.last_t_us {
        return Ok(Some(outcome::refused_code(ErrorCode::RequestExpired)));
    }
    Ok(None)
}

/// Refuses when nothing more can be remembered.
pub(super) fn room(shard: &Shard) -> Result<(), Stop> {
    match &shard.requests {
        Some(requests) if REQUESTS.is_full(requests) => Err(ErrorCode::GuardTableFull.into()),
        _ => Ok(()),
    }
}

/// Rule 4.
pub(super) fn remember(turn: &mut Turn<'_, '_>, request_id: &Bytes, issued_at_us: u64, outcome: &Outcome) {
    let t_us = turn.close_to_hlc().max(event_time(issued_at_us));
    let row = Request { t_us, outcome: outcome.encode_to_vec().into() };
    let requests = table(&mut turn.shard.requests);
    REQUESTS.insert(turn.txn, requests, request_id, t_us, records::encode(&row));
}
