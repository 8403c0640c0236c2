//! Tables that forget by age lose a few dead rows with every request.

use rowhouse_raft::Error;

use super::dedup;
use super::turn::{Turn, table};
use crate::state::aged::{AUTH_TOKENS, BEARERS, LOCKS, NONCES, REQUESTS};

/// Removes a few dead rows of each aged table.
pub(super) fn sweep(turn: &mut Turn<'_, '_>) -> Result<(), Error> {
    let age_ms = turn.age_ms();
    let (txn, shard) = (&mut *turn.txn, &mut turn.shard);
    for mark in REQUESTS.sweep(txn, table(&mut shard.requests), age_ms)? {
        dedup::forget(shard, &mark)?;
    }
    AUTH_TOKENS.sweep(txn, table(&mut shard.auth_tokens), age_ms)?;
    NONCES.sweep(txn, table(&mut shard.nonces), age_ms)?;
    BEARERS.sweep(txn, table(&mut shard.bearers), age_ms)?;
    if shard.locks.is_some() {
        LOCKS.sweep(txn, table(&mut shard.locks), age_ms)?;
    }
    Ok(())
}
