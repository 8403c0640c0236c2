//! The shard service, which gateways call.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::shard::shard_server::Shard;
use rowhouse_proto::wire::shard::{
    ExecuteReply, ExecuteRequest, QueryReply, QueryRequest, execute_reply, query_reply,
};
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::{GroupId, Host};
use tokio::time::timeout;
use tonic::{Request, Response, Status};
use tracing::{Instrument, info_span};

use super::admission::Attempts;
use super::refusal::failure;
use super::{SpaceGate, trace};
use crate::clock::Clock;
use crate::peers::ClusterView;
use crate::{AttemptLimits, Group, Runtime};

/// Longest time of a change: a barrier's wait and a proposal's (5 s each), and a little.
const EXECUTE_DEADLINE: Duration = Duration::from_secs(11);
/// Longest time of a read: a barrier's wait, and a little.
const QUERY_DEADLINE: Duration = Duration::from_secs(6);

/// Serves changes and reads of the shards that have a replica on this node.
#[derive(Clone)]
pub struct ShardService {
    pub(super) host: Arc<Host<Runtime>>,
    pub(super) clock: Arc<Clock>,
    pub(super) view: ClusterView,
    pub(super) space: SpaceGate,
    pub(super) homeserver_z32: Arc<str>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) upload_lifetime_ms: u64,
}

impl ShardService {
    pub fn new(
        host: Arc<Host<Runtime>>,
        clock: Arc<Clock>,
        view: ClusterView,
        space: SpaceGate,
        homeserver_z32: String,
        attempts: AttemptLimits,
        upload_lifetime: Duration,
    ) -> Self {
        let attempts = Arc::new(Attempts::new(attempts));
        let upload_lifetime_ms = u64::try_from(upload_lifetime.as_millis()).unwrap_or(u64::MAX);
        Self { host, clock, view, space, homeserver_z32: homeserver_z32.into(), attempts, upload_lifetime_ms }
    }

    /// The replica of a shard on this node, else `WrongReplica`. The meta group is no shard.
    pub(super) fn group(&self, group: u32) -> Result<Arc<Group>, Refusal> {
        GroupId::try_from(group)
            .ok()
            .filter(|group| *group != crate::meta::GROUP)
            .and_then(|group| self.host.group(group))
            .ok_or_else(|| ErrorCode::WrongReplica.into())
    }

    /// Refuses a user of another shard: a user's rows must all be in their own one.
    pub(super) fn check_home(&self, user: &UserKey, shard: u32) -> Result<(), Refusal> {
        let shard_count = self.view.map().shard_count;
        // Before the map is known here, the group's existence is proof enough that it was.
        if shard_count == 0 || Slot::of_key(user).shard(shard_count) == shard {
            Ok(())
        } else {
            Err(ErrorCode::WrongReplica.into())
        }
    }
}

#[tonic::async_trait]
impl Shard for ShardService {
    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteReply>, Status> {
        let request = request.into_inner();
        let span = info_span!("execute", shard = request.group);
        trace::adopt(&span, &request.trace);
        let answered = timeout(EXECUTE_DEADLINE, self.answer_execute(request).instrument(span)).await;
        let result = match answered.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into())) {
            Ok(reply) => reply,
            Err(refused) => execute_reply::Result::Failure(failure(refused)),
        };
        Ok(Response::new(ExecuteReply { hlc: self.clock.latest(), result: Some(result) }))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let request = request.into_inner();
        let span = info_span!("query", shard = request.group);
        trace::adopt(&span, &request.trace);
        let answered = timeout(QUERY_DEADLINE, self.answer_query(request).instrument(span)).await;
        let result = match answered.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into())) {
            Ok(reply) => reply,
            Err(refused) => query_reply::Result::Failure(failure(refused)),
        };
        Ok(Response::new(QueryReply { hlc: self.clock.latest(), result: Some(result) }))
    }
}
