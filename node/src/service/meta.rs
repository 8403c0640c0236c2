//! The meta service: the map for everyone, membership and initialization, pings between nodes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::Stream;
use rowhouse_peer::{Caller, Role, Subject};
use rowhouse_proto::wire::command::{self, meta_command::Body};
use rowhouse_proto::wire::meta::meta_server::Meta;
use rowhouse_proto::wire::meta::{
    AnnounceGatewayReply, AnnounceGatewayRequest, ChangeMembersReply, ChangeMembersRequest, ClusterMap,
    CommitInitReply, CommitInitRequest, DrainReply, DrainRequest, MetaExecuteReply, MetaExecuteRequest,
    MetaQueryReply, MetaQueryRequest, NodeInfo, NodeStatusReply, NodeStatusRequest, OperateReply,
    OperateRequest, PingReply, PingRequest, PrepareInitReply, PrepareInitRequest, RecoverReply,
    RecoverRequest, RegisterNodeReply, RegisterNodeRequest, TransferLeaderReply, TransferLeaderRequest,
    WatchMapRequest, meta_execute_reply, meta_query_reply,
};
use rowhouse_proto::wire::shard::Failure;
use rowhouse_proto::{ErrorCode, Refusal, WIRE_VERSION};
use rowhouse_raft::GroupId;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::info;

use super::StatusReport;
use super::attempts::Attempts;
use super::map_stream::MapStream;
use super::refusal::failure;
use crate::coordinator::{Coordinator, propose};
use crate::identity::NodeUuid;
use crate::init::InitServer;
use crate::local::Local;
use crate::peers::{Cluster, Report};
use crate::placement::{CoordinatorId, Fence};
use crate::{AttemptLimits, Error, Group, meta};

/// Longest time of a call: a proposal's own deadline, and a little.
const CALL_DEADLINE: Duration = Duration::from_secs(6);

/// Serves the cluster map, membership, initialization and pings.
#[derive(Clone)]
pub struct MetaService {
    pub(super) local: Arc<Local>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) coordinator: Arc<Coordinator>,
    init: Arc<InitServer>,
    pub(super) attempts: Arc<Attempts>,
    status: StatusReport,
    fence: Arc<Fence>,
    stop: CancellationToken,
}

/// The reply to a proposal for the meta group.
pub(super) enum Forwarded {
    /// The log accepted it.
    Accepted,
    /// The log refused it, for this reason.
    Refused(String),
    /// Another node leads, the one with this uuid; empty if it is not known.
    Leader(Vec<u8>),
}

impl MetaService {
    /// Streams of the map end when `stop` is cancelled. `attempts` bounds the signups of one address.
    pub fn new(
        init: Arc<InitServer>,
        status: StatusReport,
        attempts: AttemptLimits,
        stop: CancellationToken,
    ) -> Self {
        Self {
            local: status.local.clone(),
            cluster: status.cluster.clone(),
            coordinator: status.coordinator.clone(),
            init,
            attempts: Arc::new(Attempts::new(attempts)),
            status,
            fence: Arc::default(),
            stop,
        }
    }

    /// Proposes a command, if this node leads the meta group. An error is for a caller that may ask again.
    pub(super) async fn propose(&self, body: Body) -> Result<Forwarded, Status> {
        let Some(group) = self.local.host.group(meta::GROUP) else {
            return Ok(Forwarded::Leader(Vec::new()));
        };
        if !group.is_leader() {
            return Ok(Forwarded::Leader(leader_of(&group)));
        }
        match timeout(CALL_DEADLINE, propose(&group, &self.local.clock, body)).await {
            Ok(Ok(())) => Ok(Forwarded::Accepted),
            Ok(Err(Error::MetaRefused(refused))) => Ok(Forwarded::Refused(refused)),
            Ok(Err(error)) => Err(unavailable(error)),
            Err(_) => Err(Status::deadline_exceeded("the meta group did not decide in time")),
        }
    }

    /// A gateway with an older map waits for this node's one before it asks on.
    fn failure(&self, refused: Refusal) -> Failure {
        Failure { map_version: self.cluster.view.map().map_version, ..failure(refused) }
    }

    fn check_cluster(&self, cluster_id: &[u8]) -> Result<(), Status> {
        match self.local.identity.cluster_id() {
            Some(ours) if ours == cluster_id => Ok(()),
            _ => Err(Status::failed_precondition("another cluster")),
        }
    }

    /// The group that is led from here and that a coordinator means, unless a later one was heard of.
    pub(super) fn led(&self, group: u32, coordinator: CoordinatorId) -> Result<Arc<Group>, String> {
        self.fence.admit(coordinator)?;
        let group = GroupId::try_from(group).ok().and_then(|group| self.local.host.group(group));
        let group = group.ok_or_else(|| "no replica of the group here".to_owned())?;
        if group.is_leader() { Ok(group) } else { Err("not the leader".to_owned()) }
    }

    /// A voter that lags, or does not answer, would hold up the group until an election.
    fn transfer(&self, request: &TransferLeaderRequest) -> Result<Arc<Group>, String> {
        let group = self.led(request.group, (request.coordinator_term, request.coordinator_replica))?;
        let ready = group.heirs().iter().any(|heir| heir.replica == request.to_replica);
        if ready {
            Ok(group)
        } else {
            Err("the chosen voter has not caught up, or does not answer".to_owned())
        }
    }
}

pub(super) fn leader_of(group: &Group) -> Vec<u8> {
    group.status().leader.map(|(_, node)| node.to_vec()).unwrap_or_default()
}

fn unavailable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

/// Why a caller may not register this node: a node registers only itself. Plaintext callers prove nothing.
fn registers_another(caller: Option<&Subject>, node: Option<&NodeInfo>) -> Option<String> {
    let (caller, node) = (caller?, node?);
    (caller.name() != node.name).then(|| format!("{caller} cannot register node {}", node.name))
}

/// Whether the caller is the node it names, by the name the map has for it. Plaintext callers are believed.
fn speaks_for(caller: Option<&Subject>, node: &[u8], map: &ClusterMap) -> bool {
    caller.is_none_or(|caller| {
        map.nodes.iter().any(|known| known.node_uuid == node && known.name == caller.name())
    })
}

fn check_version(version: u32) -> Result<(), Status> {
    if version == WIRE_VERSION {
        Ok(())
    } else {
        Err(Status::failed_precondition(format!("wire version {version}, this node speaks {WIRE_VERSION}")))
    }
}

#[tonic::async_trait]
impl Meta for MetaService {
    type WatchMapStream = Pin<Box<dyn Stream<Item = Result<ClusterMap, Status>> + Send>>;

    async fn watch_map(
        &self,
        request: Request<WatchMapRequest>,
    ) -> Result<Response<Self::WatchMapStream>, Status> {
        check_version(request.get_ref().version)?;
        let (maps, clock) = (self.cluster.view.watch(), Arc::clone(&self.local.clock));
        let stream = MapStream::new(maps, clock, self.stop.clone(), request.get_ref().changes);
        Ok(Response::new(Box::pin(stream.messages())))
    }

    async fn node_status(
        &self,
        request: Request<NodeStatusRequest>,
    ) -> Result<Response<NodeStatusReply>, Status> {
        check_version(request.get_ref().version)?;
        let caller = request.extensions().get::<Caller>().and_then(Caller::subject);
        if request.get_ref().scan && caller.is_some_and(|caller| caller.role() == Role::Gateway) {
            return Err(Status::permission_denied("a scan reads everything: not for gateways"));
        }
        let reply = if request.get_ref().scan {
            let status = self.status.clone();
            let scanned = tokio::task::spawn_blocking(move || status.reply(true));
            scanned.await.map_err(unavailable)?
        } else {
            self.status.reply(false)
        };
        reply.map(Response::new).map_err(unavailable)
    }

    async fn prepare_init(
        &self,
        _request: Request<PrepareInitRequest>,
    ) -> Result<Response<PrepareInitReply>, Status> {
        let reply = self.init.prepare().map_err(|error| Status::failed_precondition(error.to_string()))?;
        Ok(Response::new(reply))
    }

    async fn commit_init(
        &self,
        request: Request<CommitInitRequest>,
    ) -> Result<Response<CommitInitReply>, Status> {
        let refused = match timeout(CALL_DEADLINE, self.init.commit(request.into_inner())).await {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => return Err(Status::deadline_exceeded("not done in time; repeating it is harmless")),
        };
        Ok(Response::new(CommitInitReply { refused }))
    }

    async fn register_node(
        &self,
        request: Request<RegisterNodeRequest>,
    ) -> Result<Response<RegisterNodeReply>, Status> {
        let caller = request.extensions().get::<Caller>().and_then(Caller::subject).cloned();
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        if let Some(refused) = registers_another(caller.as_ref(), request.node.as_ref()) {
            return Ok(Response::new(RegisterNodeReply { refused, ..RegisterNodeReply::default() }));
        }
        let version = self.cluster.view.command_version();
        let node = request.node.map(|node| meta::to_command(node, version));
        let body = Body::RegisterNode(command::RegisterNode { node, name_proven: caller.is_some() });
        let mut reply = RegisterNodeReply::default();
        match self.propose(body).await? {
            Forwarded::Accepted => reply.accepted = true,
            Forwarded::Refused(refused) => reply.refused = refused,
            Forwarded::Leader(node) => reply.leader_node = node.into(),
        }
        Ok(Response::new(reply))
    }

    async fn announce_gateway(
        &self,
        request: Request<AnnounceGatewayRequest>,
    ) -> Result<Response<AnnounceGatewayReply>, Status> {
        self.announced(request.into_inner()).await.map(Response::new)
    }

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingReply>, Status> {
        let caller = request.extensions().get::<Caller>().and_then(Caller::subject).cloned();
        let request = request.into_inner();
        check_version(request.version)?;
        let ours = self.local.identity.cluster_id();
        if ours.is_some_and(|ours| request.cluster_id == ours[..]) {
            self.local.clock.merge(request.hlc);
            if let Ok(node) = NodeUuid::try_from(&request.node_uuid[..])
                && speaks_for(caller.as_ref(), &node, &self.cluster.view.map())
            {
                self.cluster.peers.heard(
                    node,
                    Report {
                        low_space: request.low_space,
                        draining: request.draining,
                        log_hangs: request.log_hangs,
                        offset_us: self.local.clock.offset_of(request.physical_us),
                        map_version: request.map_version,
                        at: Instant::now(),
                    },
                );
            }
        }
        Ok(Response::new(PingReply {
            cluster_id: ours.map(|id| id.to_vec().into()).unwrap_or_default(),
            node_uuid: self.local.me.node_uuid.clone(),
            hlc: self.local.clock.latest(),
            low_space: self.local.space.is_low(),
            draining: self.local.drain.is_on(),
            log_hangs: self.local.log_hangs(),
            physical_us: self.local.clock.reading_us(),
            map_version: self.cluster.view.map().map_version,
        }))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<DrainReply>, Status> {
        let request = request.into_inner();
        check_version(request.version)?;
        self.check_cluster(&request.cluster_id)?;
        self.local.drain.set(request.on);
        Ok(Response::new(DrainReply { led: self.local.drain.led() as u32 }))
    }

    async fn change_members(
        &self,
        request: Request<ChangeMembersRequest>,
    ) -> Result<Response<ChangeMembersReply>, Status> {
        let request = request.into_inner();
        check_version(request.version)?;
        self.check_cluster(&request.cluster_id)?;
        self.change(request).await.map(Response::new)
    }

    async fn operate(&self, request: Request<OperateRequest>) -> Result<Response<OperateReply>, Status> {
        let request = request.into_inner();
        check_version(request.version)?;
        self.check_cluster(&request.cluster_id)?;
        self.operated(request).await.map(Response::new)
    }

    async fn recover(&self, request: Request<RecoverRequest>) -> Result<Response<RecoverReply>, Status> {
        let request = request.into_inner();
        check_version(request.version)?;
        self.check_cluster(&request.cluster_id)?;
        self.recovered(request).await.map(Response::new)
    }

    async fn execute(
        &self,
        request: Request<MetaExecuteRequest>,
    ) -> Result<Response<MetaExecuteReply>, Status> {
        let answered = timeout(CALL_DEADLINE, self.answer_execute(request.into_inner())).await;
        let result = match answered.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into())) {
            Ok(reply) => reply,
            Err(refused) => meta_execute_reply::Result::Failure(self.failure(refused)),
        };
        Ok(Response::new(MetaExecuteReply { result: Some(result) }))
    }

    async fn query(&self, request: Request<MetaQueryRequest>) -> Result<Response<MetaQueryReply>, Status> {
        let answered = timeout(CALL_DEADLINE, self.answer_query(request.into_inner())).await;
        let result = match answered.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into())) {
            Ok(reply) => reply,
            Err(refused) => meta_query_reply::Result::Failure(self.failure(refused)),
        };
        Ok(Response::new(MetaQueryReply { result: Some(result) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderReply>, Status> {
        let request = request.into_inner();
        check_version(request.version)?;
        self.check_cluster(&request.cluster_id)?;
        let refused = match self.transfer(&request) {
            Ok(group) => {
                group.transfer_leader(request.to_replica).await.map_err(unavailable)?;
                info!(group = request.group, to = request.to_replica, "handing over leadership");
                String::new()
            }
            Err(refused) => refused,
        };
        Ok(Response::new(TransferLeaderReply { refused }))
    }
}
