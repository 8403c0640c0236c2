//! Starts a replica on a thread of its own. A start reads both stores and may replay a log, and must not hold up tasks
//! that answer requests.

use std::sync::Arc;

use rowhouse_raft::{Error, GroupSpec, Host};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::{Group, Runtime};

/// Starts a replica and returns its group. Fails with `Stopped` when the runtime ends meanwhile.
pub async fn start_group(host: Arc<Host<Runtime>>, spec: GroupSpec) -> Result<Arc<Group>, Error> {
    let runtime = Handle::current();
    let (_waiting, abandoned) = oneshot::channel::<()>();
    let started = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                started = host.start(spec) => started,
                // The runtime goes down, and what the start waits for never comes: it would wait for this
                // thread, and this thread for ever.
                _ = abandoned => Err(Error::Stopped),
            }
        })
    });
    started.await.map_err(|_| Error::Stopped)?
}
