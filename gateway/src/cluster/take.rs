//! Cells of a bucket, from the node that leads its group. A node that cannot be asked in a short time limits
//! nobody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::limits::{TakeReply, TakeRequest, take_reply};
use rowhouse_proto::wire::shard::BandwidthRate;
use tokio::time::Instant;
use tonic::Code;

use super::retry::Walk;
use super::send::{Answer, unreadable};
use super::{Bucket, Call, Cluster, Node};

/// Time to find who counts. An election takes half of it; a request that waits longer is not worth being counted.
const TAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// The answer to a wish for cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// They are taken, and there after this time.
    Taken(Duration),
    /// Nothing is taken. After this time the wish would be granted.
    Exhausted(Duration),
    /// Nobody counts: no node that leads the group answered in time.
    Uncounted,
}

impl Cluster {
    /// Takes cells that are there, or will be within `wait_max`. Answers within `TAKE_TIMEOUT`.
    pub async fn take(&self, bucket: &Bucket, cells: u32, wait_max: Duration) -> Cells {
        let deadline = Instant::now() + TAKE_TIMEOUT;
        let Ok(_permit) = self.admission.request() else { return Cells::Uncounted };
        let Ok(Ok(map)) = tokio::time::timeout_at(deadline, self.map()).await else {
            return Cells::Uncounted;
        };
        let shard = map.shard_of_slot(bucket.slot);
        let BandwidthRate { kib_per_period, period_ms, burst_kib } = bucket.rate;
        let request = TakeRequest {
            version: WIRE_VERSION,
            group: shard,
            key: bucket.key.clone(),
            cells,
            cells_per_period: kib_per_period,
            period_ms,
            burst: burst_kib,
            wait_max_ms: u32::try_from(wait_max.as_millis()).unwrap_or(u32::MAX),
        };
        let call = Call { deadline, issued_at_us: None, trace: Bytes::new() };
        let mut walk = Walk::default();
        match self.drive(&call, shard, &mut walk, |node| send_take(node, request.clone())).await {
            Ok(cells) => cells,
            Err(rejection) => {
                tracing::debug!(shard, code = ?rejection.code(), "a limit was not counted");
                Cells::Uncounted
            }
        }
    }
}

async fn send_take(node: Arc<Node>, request: TakeRequest) -> Result<Answer<Cells>, tonic::Status> {
    let TakeReply { result } = match node.limits().take(request).await {
        Ok(reply) => reply.into_inner(),
        // An older node knows no limits.
        Err(status) if matches!(status.code(), Code::Unimplemented | Code::PermissionDenied) => {
            return Ok(Answer { hlc: 0, result: Ok(Cells::Uncounted) });
        }
        Err(status) => return Err(status),
    };
    let result = match result {
        Some(take_reply::Result::Taken(taken)) => {
            Ok(Cells::Taken(Duration::from_millis(taken.wait_ms.into())))
        }
        Some(take_reply::Result::Exhausted(exhausted)) => {
            Ok(Cells::Exhausted(Duration::from_millis(exhausted.retry_after_ms)))
        }
        Some(take_reply::Result::Failure(failure)) => Err(failure.into()),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc: 0, result })
}
