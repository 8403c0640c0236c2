//! Replicas compare what they have become, entry by entry, while they run.
//!
//! One entry has every replica note its chained hash there; a later one tells what the leader had noted. What is
//! noted lies in the Applied record, so neither a restart nor a snapshot makes a replica forget it, and one that
//! differs never gets past the entry that showed it. Nobody can know which of two is right: the one that differs
//! from its leader stops, and if that is a majority, the group does.

use rowhouse_proto::hex;

use super::applied::Applied;
use crate::error::Error;
use crate::{GroupId, StateCheck};

/// Carries the check out; `applied` already counts its entry, the last one applied.
pub(super) fn carry_out(
    check: StateCheck,
    group: GroupId,
    index: u64,
    applied: &mut Applied,
) -> Result<(), Error> {
    match check {
        StateCheck::Note => applied.noted = Some(applied.state_hash),
        StateCheck::Compare { index: noted_at, hash: theirs } => {
            // Another leader's check may have come between: then the note it means is gone on every replica.
            let ours = applied.noted.take().filter(|_| applied.checked == noted_at);
            if let Some(ours) = ours.filter(|ours| *ours != theirs) {
                return Err(Error::Diverged {
                    group,
                    index: noted_at,
                    ours: hex(&ours),
                    theirs: hex(&theirs),
                });
            }
        }
    }
    applied.checked = index;
    Ok(())
}
