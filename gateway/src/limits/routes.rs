//! The layer of `limits.rate_limits`. It stands before all work on a request but the finding of its tenant.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use rowhouse_proto::{ErrorCode, Refusal};

use super::RouteLimit;
use super::route_limit::Counts;
use crate::cluster::{Cells, Cluster, Taker};
use crate::layers::Target;
use crate::respond::refuse;
use crate::routes::ClientAddr;

/// The shortest wait that is told.
const RETRY_AFTER_S_MIN: u64 = 1;

/// The limits of one gateway, and the cluster that counts.
pub struct RouteLimits {
    cluster: Arc<Cluster>,
    limits: Vec<RouteLimit>,
}

impl RouteLimits {
    /// `limits` in the order in which they are asked.
    pub fn new(cluster: Arc<Cluster>, limits: Vec<RouteLimit>) -> Self {
        Self { cluster, limits }
    }

    /// Takes a cell from each limit that is for the request; the first one that has none refuses.
    async fn admit(&self, asked: &Asked) -> Result<(), Refusal> {
        for limit in asked.limits(&self.limits) {
            let taker = match limit.counts() {
                Counts::Addresses => asked.address.clone().ok_or(ErrorCode::Internal)?,
                Counts::Users => asked.user.clone().ok_or(ErrorCode::LimitNeedsUser)?,
            };
            let Some(bucket) = limit.bucket(&taker) else { continue };
            if let Cells::Exhausted(wait) = self.cluster.take(&bucket, 1, Duration::ZERO).await {
                let wait = Duration::from_secs(wait.as_secs().max(RETRY_AFTER_S_MIN));
                return Err(Refusal { retry_after: Some(wait), ..ErrorCode::TooManyAttempts.into() });
            }
        }
        Ok(())
    }
}

/// The facts about a request that limits judge by.
struct Asked {
    /// Positions of the limits that are for it.
    matching: Vec<usize>,
    address: Option<Taker>,
    user: Option<Taker>,
}

impl Asked {
    /// `None` for a request that no limit is for: most of them.
    fn of(request: &Request, limits: &[RouteLimit]) -> Option<Self> {
        let target = request.extensions().get::<Target>();
        let within = target.and_then(|target| target.path.as_ref());
        let path = within.map_or_else(|| request.uri().path(), |path| path.as_str());
        let is_for = |(at, limit): (usize, &RouteLimit)| limit.is_for(request.method(), path).then_some(at);
        let matching: Vec<usize> = limits.iter().enumerate().filter_map(is_for).collect();
        let address = request.extensions().get::<ClientAddr>();
        (!matching.is_empty()).then(|| Self {
            matching,
            address: address.map(|address| Taker::Address(address.0.to_canonical())),
            user: target.map(|target| Taker::User(target.user.clone())),
        })
    }

    fn limits<'a>(&'a self, limits: &'a [RouteLimit]) -> impl Iterator<Item = &'a RouteLimit> {
        self.matching.iter().filter_map(|at| limits.get(*at))
    }
}

/// Refuses a request that is one too many: 429 with `Retry-After`.
pub async fn route_limits(State(limits): State<Arc<RouteLimits>>, request: Request, next: Next) -> Response {
    if let Some(asked) = Asked::of(&request, &limits.limits)
        && let Err(refusal) = limits.admit(&asked).await
    {
        return refuse(refusal);
    }
    next.run(request).await
}
