//! A write that presents its lock keeps it while a small body comes. The extensions of a large body's upload do the same
//! for it (`put_object.rs`).

use std::future::Future;
use std::time::Duration;

use rowhouse_proto::wire::shard::{RefreshLock, execute_request};

use super::entry_change::EntryChange;
use crate::cluster::Call;
use crate::respond::Rejection;

/// Most bodies are there by then, and the write itself extends its lock.
const KEEP_AFTER: Duration = Duration::from_millis(250);
/// Three chances in the time that an extension gives.
pub const KEEP_EVERY: Duration = Duration::from_secs(10);
/// The time to live that an extension gives, in seconds.
const HELD_S: u32 = 30;

/// Reads a body while the change's lock, if it presents one, is kept. Refused when the lock is lost meanwhile: the write
/// could not land.
pub async fn kept<T, E: Into<Rejection>>(
    change: &EntryChange<'_>,
    call: &Call,
    reading: impl Future<Output = Result<T, E>>,
) -> Result<T, Rejection> {
    tokio::select! {
        read = reading => read.map_err(Into::into),
        lost = keep(change, call) => Err(lost),
    }
}

/// Extends the lock now and then. Ends only when the shard refuses it.
async fn keep(change: &EntryChange<'_>, call: &Call) -> Rejection {
    if !change.holds_lock() {
        return std::future::pending().await;
    }
    let mut pause = KEEP_AFTER;
    loop {
        tokio::time::sleep(pause).await;
        pause = KEEP_EVERY;
        match extend(change, &change.app.cluster.call_again(call)).await {
            Err(refused) if !refused.code().is_transient() => return refused,
            Ok(()) | Err(_) => {}
        }
    }
}

async fn extend(change: &EntryChange<'_>, call: &Call) -> Result<(), Rejection> {
    let held = change.conditions.as_ref().and_then(|conditions| conditions.held.clone());
    change
        .ask(call, |credential| {
            execute_request::Op::RefreshLock(RefreshLock {
                credential: Some(credential),
                tenant: change.target.tenant_bytes(),
                path: change.target.path.as_str().to_owned(),
                held: held.clone(),
                timeout_s: HELD_S,
                extend: true,
            })
        })
        .await
        .map(drop)
}
