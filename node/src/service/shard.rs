//! The shard service, which gateways call.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::shard::shard_server::Shard;
use rowhouse_proto::wire::shard::{
    Bandwidth, ExecuteReply, ExecuteRequest, Failure, QueryReply, QueryRequest, execute_reply, query_reply,
};
use rowhouse_proto::{ErrorCode, Refusal};
use tokio::time::timeout;
use tonic::{Request, Response, Status};
use tracing::Span;

use super::attempts::Attempts;
use super::refusal::failure;
use super::space_gate::SpaceGate;
use crate::clock::Clock;
use crate::local::Local;
use crate::peers::{Cluster, ClusterView};
use crate::republish::Hints;
use crate::{AttemptLimits, Group, ObjectLimits};

/// Longest time of a change: a barrier's wait and a proposal's (5 s each), and a little.
const EXECUTE_DEADLINE: Duration = Duration::from_secs(11);
/// Longest time of a read: a barrier's wait, and a little.
const QUERY_DEADLINE: Duration = Duration::from_secs(6);

/// An answer, and the rates of the session's user if it has any.
pub(super) struct Told<T> {
    pub(super) reply: T,
    pub(super) bandwidth: Option<Bandwidth>,
}

impl<T> From<T> for Told<T> {
    fn from(reply: T) -> Self {
        Self { reply, bandwidth: None }
    }
}

/// Serves changes and reads of the shards that have a replica on this node.
#[derive(Clone)]
pub struct ShardService {
    local: Arc<Local>,
    pub(super) clock: Arc<Clock>,
    pub(super) view: ClusterView,
    pub(super) space: SpaceGate,
    pub(super) homeserver_z32: Arc<str>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) upload_lifetime_ms: u64,
    pub(super) hints: Arc<Hints>,
}

impl ShardService {
    /// `homeserver_z32` is the public key that tokens must be for. `hints` hears of users who sign up or in.
    pub fn new(
        local: &Arc<Local>,
        cluster: &Arc<Cluster>,
        homeserver_z32: String,
        hints: Arc<Hints>,
        attempts: AttemptLimits,
        objects: ObjectLimits,
    ) -> Self {
        Self {
            local: local.clone(),
            clock: local.clock.clone(),
            view: cluster.view.clone(),
            space: SpaceGate { local: local.clone(), cluster: cluster.clone() },
            homeserver_z32: homeserver_z32.into(),
            attempts: Arc::new(Attempts::new(attempts)),
            hints,
            upload_lifetime_ms: u64::try_from(objects.upload_expiry_s.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The replica of a shard on this node, else `WrongReplica`. The meta group is no shard.
    pub(super) fn group(&self, group: u32) -> Result<Arc<Group>, Refusal> {
        self.local.shard(group).ok_or_else(|| ErrorCode::WrongReplica.into())
    }

    /// A gateway with an older map waits for this node's one before it asks on.
    fn failure(&self, refused: Refusal) -> Failure {
        Failure { map_version: self.view.map().map_version, ..failure(refused) }
    }

    /// The quota of users without their own, as the cluster's settings have it.
    pub(super) fn default_quota(&self) -> Option<UserQuota> {
        self.view.map().settings.as_ref().and_then(|settings| settings.defaults.clone())
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
        Span::current().record("rowhouse.shard", request.group);
        let answered = timeout(EXECUTE_DEADLINE, self.answer_execute(request)).await;
        let (result, bandwidth) = match answered.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into())) {
            Ok(Told { reply, bandwidth }) => (reply, bandwidth),
            Err(refused) => (execute_reply::Result::Failure(self.failure(refused)), None),
        };
        Ok(Response::new(ExecuteReply { hlc: self.clock.latest(), result: Some(result), bandwidth }))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let request = request.into_inner();
        Span::current().record("rowhouse.shard", request.group);
        let answered = timeout(QUERY_DEADLINE, self.answer_query(request)).await;
        let (result, bandwidth) = match answered.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into())) {
            Ok(Told { reply, bandwidth }) => (reply, bandwidth),
            Err(refused) => (query_reply::Result::Failure(self.failure(refused)), None),
        };
        Ok(Response::new(QueryReply { hlc: self.clock.latest(), result: Some(result), bandwidth }))
    }
}
