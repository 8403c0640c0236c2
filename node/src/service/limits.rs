//! The limits service, which gateways ask for cells. Each bucket is counted by the node that leads its group: without
//! the log, without a barrier and without a quorum (docs/decisions/015).

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::limits::limits_server::Limits;
use rowhouse_proto::wire::limits::take_reply::Result as Reply;
use rowhouse_proto::wire::limits::{Exhausted, TakeReply, TakeRequest, Taken};
use rowhouse_proto::wire::shard::Failure;
use rowhouse_proto::{ErrorCode, Refusal, WIRE_VERSION};
use tonic::{Request, Response, Status};

use super::bucket::{PERIOD_MS_MAX, Rate, Take};
use super::buckets::Buckets;
use super::refusal::failure;
use crate::local::Local;
use crate::peers::Cluster;

/// A key is a hash, and a user or an address.
const KEY_BYTES_MAX: usize = 64;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_US: u64 = 1_000;

/// Counts for the groups that this node leads.
#[derive(Clone)]
pub struct LimitsService {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    buckets: Arc<Mutex<Buckets>>,
}

impl LimitsService {
    /// With full buckets.
    pub fn new(local: Arc<Local>, cluster: Arc<Cluster>) -> Self {
        Self { local, cluster, buckets: Arc::default() }
    }

    fn answer(&self, request: TakeRequest) -> Result<Reply, Refusal> {
        if request.version != WIRE_VERSION {
            return Err(ErrorCode::WrongVersion.into());
        }
        let group = self.local.shard(request.group).ok_or(ErrorCode::WrongReplica)?;
        if !group.is_leader() {
            return Err(Refusal::not_leader(group.status().leader.map(|(_, node)| node)));
        }
        let rate = rate(&request).ok_or(ErrorCode::Internal)?;
        let TakeRequest { group, key, cells, wait_max_ms, .. } = request;
        let now_ns = self.local.clock.steady_us().saturating_mul(NS_PER_US);
        Ok(match lock(&self.buckets).take((group, key), &rate, cells, wait_max_ms, now_ns) {
            Take::Granted { wait_ns, .. } => {
                // At most the wait that was asked for, which has 32 bits.
                let wait_ms = u32::try_from(wait_ns.div_ceil(NS_PER_MS)).unwrap_or(u32::MAX);
                Reply::Taken(Taken { wait_ms })
            }
            Take::Refused { retry_after_ns } => {
                Reply::Exhausted(Exhausted { retry_after_ms: retry_after_ns.div_ceil(NS_PER_MS) })
            }
        })
    }
}

/// `None` for a request that no gateway sends.
fn rate(request: &TakeRequest) -> Option<Rate> {
    let named = (1..=KEY_BYTES_MAX).contains(&request.key.len());
    let asked = named && request.cells > 0 && (1..=PERIOD_MS_MAX).contains(&request.period_ms);
    asked.then_some(Rate {
        cells: NonZeroU32::new(request.cells_per_period)?,
        period_ms: request.period_ms,
        burst: NonZeroU32::new(request.burst)?,
    })
}

#[tonic::async_trait]
impl Limits for LimitsService {
    async fn take(&self, request: Request<TakeRequest>) -> Result<Response<TakeReply>, Status> {
        let result = self.answer(request.into_inner()).unwrap_or_else(|refused| {
            let map_version = self.cluster.view.map().map_version;
            Reply::Failure(Failure { map_version, ..failure(refused) })
        });
        Ok(Response::new(TakeReply { result: Some(result) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_name_no_rate_or_no_bucket_are_none() {
        let whole = TakeRequest {
            version: WIRE_VERSION,
            key: vec![1; KEY_BYTES_MAX].into(),
            cells: 1,
            cells_per_period: 10,
            period_ms: PERIOD_MS_MAX,
            burst: 1,
            ..TakeRequest::default()
        };
        assert!(rate(&whole).is_some());
        for wrong in [
            TakeRequest { key: Default::default(), ..whole.clone() },
            TakeRequest { key: vec![1; KEY_BYTES_MAX + 1].into(), ..whole.clone() },
            TakeRequest { cells: 0, ..whole.clone() },
            TakeRequest { cells_per_period: 0, ..whole.clone() },
            TakeRequest { period_ms: 0, ..whole.clone() },
            TakeRequest { period_ms: PERIOD_MS_MAX + 1, ..whole.clone() },
            TakeRequest { burst: 0, ..whole },
        ] {
            assert!(rate(&wrong).is_none(), "{wrong:?}");
        }
    }
}
