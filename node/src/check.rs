//! Makes the replicas of the groups that this node leads compare their states, so that one that differs stops instead
//! of serving (docs/decisions/010-versions.md).

use std::time::Duration;

use rowhouse_raft::{CheckPace, Host};
use tokio_util::sync::CancellationToken;

use crate::actor::Pace;
use crate::{Error, Runtime};

/// How often it is looked whether a comparison is due.
const TICK: Duration = Duration::from_secs(1);

/// Runs until stopped.
pub async fn run(host: &Host<Runtime>, stop: CancellationToken) -> Result<(), Error> {
    let mut pace = Pace::new(TICK, stop);
    while pace.goes_on().await {
        host.check_states(&CheckPace::default()).await;
    }
    Ok(())
}
