//! One scripted node: it records what it is asked and answers what the test says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt};
use rowhouse_peer::{Certificates, Connection};
use rowhouse_proto::wire::account::SignupAdmission;
use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::limits::limits_server::{Limits, LimitsServer};
use rowhouse_proto::wire::limits::{TakeReply, TakeRequest, Taken, take_reply};
use rowhouse_proto::wire::meta::meta_server::{Meta, MetaServer};
use rowhouse_proto::wire::meta::*;
use rowhouse_proto::wire::shard::shard_server::{Shard, ShardServer};
use rowhouse_proto::wire::shard::*;
use rowhouse_proto::{ErrorCode, map_change};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use super::disk::Disk;
use super::feed::EventLogs;

pub const CLUSTER_ID: [u8; 16] = [9; 16];
/// The time every answer and map tells.
pub const HLC_US: u64 = 1_700_000_000_000_000;

type Answer<T, R = Reaction> = Box<dyn FnMut(T) -> Result<R, Status> + Send>;

/// The answer of a script; the reply's clock is the node's own.
pub enum Reaction {
    Execute(execute_reply::Result),
    Query(query_reply::Result),
}

/// The behaviour of a node. Replaceable at any time.
pub struct Script {
    pub execute: Answer<ExecuteRequest>,
    pub query: Answer<QueryRequest>,
    pub meta_execute: Answer<MetaExecuteRequest, meta_execute_reply::Result>,
    pub meta_query: Answer<MetaQueryRequest, meta_query_reply::Result>,
    pub take: Answer<TakeRequest, take_reply::Result>,
    /// What it says of itself; its map's version is added.
    pub status: Answer<NodeStatusRequest, NodeStatusReply>,
}

impl Script {
    pub fn execute(
        answer: impl FnMut(ExecuteRequest) -> Result<execute_reply::Result, Status> + Send + 'static,
    ) -> Self {
        let mut answer = answer;
        Self { execute: Box::new(move |request| answer(request).map(Reaction::Execute)), ..Self::default() }
    }

    pub fn query(
        answer: impl FnMut(QueryRequest) -> Result<query_reply::Result, Status> + Send + 'static,
    ) -> Self {
        let mut answer = answer;
        Self { query: Box::new(move |request| answer(request).map(Reaction::Query)), ..Self::default() }
    }

    pub fn and_query(
        mut self,
        answer: impl FnMut(QueryRequest) -> Result<query_reply::Result, Status> + Send + 'static,
    ) -> Self {
        let mut answer = answer;
        self.query = Box::new(move |request| answer(request).map(Reaction::Query));
        self
    }
}

impl Default for Script {
    /// Every change succeeds, nothing is found, everybody may sign up, no limit is reached.
    fn default() -> Self {
        Self {
            execute: Box::new(|_| Ok(Reaction::Execute(execute_reply::Result::Done(Done {})))),
            query: Box::new(|_| {
                Ok(Reaction::Query(query_reply::Result::Failure(failure(ErrorCode::NotFound))))
            }),
            meta_execute: Box::new(|request| {
                Ok(match request.op {
                    Some(meta_execute_request::Op::AdmitSignup(_)) => {
                        meta_execute_reply::Result::AdmittedSignup(admitted(Verdict::Open(true)))
                    }
                    _ => meta_execute_reply::Result::Done(MetaDone {}),
                })
            }),
            meta_query: Box::new(|_| {
                Ok(meta_query_reply::Result::Failure(failure(ErrorCode::SignupTokensNotRequired)))
            }),
            take: Box::new(|_| Ok(take_reply::Result::Taken(Taken::default()))),
            status: Box::new(|_| Ok(NodeStatusReply::default())),
        }
    }
}

pub struct FakeNode {
    pub address: SocketAddr,
    /// Its chunks, and what it does with them.
    pub disk: Disk,
    /// Its replicas' event logs.
    pub feed: EventLogs,
    state: Arc<State>,
    stop: CancellationToken,
}

/// An announcement, and whether the announced listener answered at that moment.
#[derive(Clone, Debug)]
pub struct Announced {
    pub request: AnnounceGatewayRequest,
    pub answers: bool,
}

struct State {
    script: Mutex<Script>,
    executed: Mutex<VecDeque<ExecuteRequest>>,
    queried: Mutex<VecDeque<QueryRequest>>,
    meta_executed: Mutex<VecDeque<MetaExecuteRequest>>,
    taken: Mutex<VecDeque<TakeRequest>>,
    bandwidth: Mutex<Option<Bandwidth>>,
    announced: Mutex<Vec<Announced>>,
    map: tokio::sync::watch::Sender<ClusterMap>,
    hlc: u64,
}

impl State {
    fn bandwidth(&self) -> Option<Bandwidth> {
        self.bandwidth.lock().expect("bandwidth").clone()
    }
}

impl FakeNode {
    pub async fn start(script: Script) -> Self {
        Self::start_with(script, None).await
    }

    /// Speaks mutual TLS if it has certificates.
    pub async fn start_with(script: Script, certificates: Option<Arc<Certificates>>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = socket.local_addr().expect("bound");
        let state = Arc::new(State {
            script: Mutex::new(script),
            executed: Mutex::default(),
            queried: Mutex::default(),
            meta_executed: Mutex::default(),
            taken: Mutex::default(),
            bandwidth: Mutex::default(),
            announced: Mutex::default(),
            map: tokio::sync::watch::Sender::new(ClusterMap::default()),
            hlc: HLC_US,
        });
        let (disk, feed) = (Disk::default(), EventLogs::default());
        let stop = CancellationToken::new();
        let accepted = TcpListenerStream::new(socket).filter_map(move |accepted| {
            let certificates = certificates.clone();
            async move {
                let stream = accepted.ok()?;
                stream.set_nodelay(true).ok()?;
                match certificates {
                    None => Some(Connection::Plain(stream)),
                    Some(certificates) => Connection::secured(stream, &certificates).await.ok(),
                }
            }
        });
        let accepted = accepted.map(Ok::<_, std::io::Error>).boxed();
        let server = tonic::transport::Server::builder()
            .add_service(ShardServer::new(Service(Arc::clone(&state))))
            .add_service(MetaServer::new(Service(Arc::clone(&state))))
            .add_service(LimitsServer::new(Service(Arc::clone(&state))))
            .add_service(disk.service())
            .add_service(feed.service())
            .serve_with_incoming_shutdown(accepted, stop.clone().cancelled_owned());
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            tokio::select! {
                _ = server => {}
                () = stopped.cancelled() => {}
            }
        });
        Self { address, disk, feed, state, stop }
    }

    pub fn script(&self, script: Script) {
        *self.state.script.lock().expect("script") = script;
    }

    /// Tells these rates in every answer of a shard from now on.
    pub fn tell(&self, bandwidth: Bandwidth) {
        *self.state.bandwidth.lock().expect("bandwidth") = Some(bandwidth);
    }

    pub fn publish(&self, map: ClusterMap) {
        self.state.map.send_replace(map);
    }

    pub fn executed(&self) -> Vec<ExecuteRequest> {
        self.state.executed.lock().expect("log").iter().cloned().collect()
    }

    pub fn queried(&self) -> Vec<QueryRequest> {
        self.state.queried.lock().expect("log").iter().cloned().collect()
    }

    pub fn taken(&self) -> Vec<TakeRequest> {
        self.state.taken.lock().expect("log").iter().cloned().collect()
    }

    pub fn announced(&self) -> Vec<Announced> {
        self.state.announced.lock().expect("log").clone()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl Shard for Service {
    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteReply>, Status> {
        let request = request.into_inner();
        self.0.executed.lock().expect("log").push_back(request.clone());
        let reaction = (self.0.script.lock().expect("script").execute)(request)?;
        let Reaction::Execute(result) = reaction else { return Err(Status::internal("script")) };
        Ok(Response::new(ExecuteReply {
            hlc: self.0.hlc,
            result: Some(result),
            bandwidth: self.0.bandwidth(),
        }))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let request = request.into_inner();
        self.0.queried.lock().expect("log").push_back(request.clone());
        let reaction = (self.0.script.lock().expect("script").query)(request)?;
        let Reaction::Query(result) = reaction else { return Err(Status::internal("script")) };
        Ok(Response::new(QueryReply { hlc: self.0.hlc, result: Some(result), bandwidth: self.0.bandwidth() }))
    }
}

#[tonic::async_trait]
impl Limits for Service {
    async fn take(&self, request: Request<TakeRequest>) -> Result<Response<TakeReply>, Status> {
        let request = request.into_inner();
        self.0.taken.lock().expect("log").push_back(request.clone());
        let result = (self.0.script.lock().expect("script").take)(request)?;
        Ok(Response::new(TakeReply { result: Some(result) }))
    }
}

type MapStream = Pin<Box<dyn Stream<Item = Result<ClusterMap, Status>> + Send>>;

#[tonic::async_trait]
impl Meta for Service {
    type WatchMapStream = MapStream;

    async fn watch_map(&self, request: Request<WatchMapRequest>) -> Result<Response<MapStream>, Status> {
        assert!(request.get_ref().changes, "the gateway takes changes");
        let mut told = ClusterMap::default();
        let messages = WatchStream::new(self.0.map.subscribe()).map(move |map| {
            let message = map_change::change(&told, &map);
            told = map;
            Ok(message)
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn announce_gateway(
        &self,
        request: Request<AnnounceGatewayRequest>,
    ) -> Result<Response<AnnounceGatewayReply>, Status> {
        let request = request.into_inner();
        let listener = (request.public_ip.as_str(), u16::try_from(request.tls_port).expect("a port"));
        let answers = TcpStream::connect(listener).await.is_ok();
        self.0.announced.lock().expect("log").push(Announced { request, answers });
        Ok(Response::new(AnnounceGatewayReply { accepted: true, leader_node: Default::default() }))
    }

    async fn node_status(
        &self,
        request: Request<NodeStatusRequest>,
    ) -> Result<Response<NodeStatusReply>, Status> {
        let map_version = self.0.map.borrow().map_version;
        let mut script = self.0.script.lock().expect("script");
        let said = (script.status)(request.into_inner())?;
        Ok(Response::new(NodeStatusReply { map_version, ..said }))
    }

    async fn prepare_init(
        &self,
        _: Request<PrepareInitRequest>,
    ) -> Result<Response<PrepareInitReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn commit_init(&self, _: Request<CommitInitRequest>) -> Result<Response<CommitInitReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn register_node(
        &self,
        _: Request<RegisterNodeRequest>,
    ) -> Result<Response<RegisterNodeReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn change_members(
        &self,
        _: Request<ChangeMembersRequest>,
    ) -> Result<Response<ChangeMembersReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn operate(&self, _: Request<OperateRequest>) -> Result<Response<OperateReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn recover(&self, _: Request<RecoverRequest>) -> Result<Response<RecoverReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn execute(
        &self,
        request: Request<MetaExecuteRequest>,
    ) -> Result<Response<MetaExecuteReply>, Status> {
        let request = request.into_inner();
        self.0.meta_executed.lock().expect("log").push_back(request.clone());
        let result = (self.0.script.lock().expect("script").meta_execute)(request)?;
        Ok(Response::new(MetaExecuteReply { result: Some(result) }))
    }

    async fn query(&self, request: Request<MetaQueryRequest>) -> Result<Response<MetaQueryReply>, Status> {
        let result = (self.0.script.lock().expect("script").meta_query)(request.into_inner())?;
        Ok(Response::new(MetaQueryReply { result: Some(result) }))
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Result<Response<DrainReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }

    async fn transfer_leader(
        &self,
        _: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderReply>, Status> {
        Err(Status::unimplemented("scripted"))
    }
}

/// The meta group's word on a signup.
pub fn admitted(verdict: Verdict) -> AdmittedSignup {
    AdmittedSignup { admission: Some(SignupAdmission { verdict: Some(verdict) }), held: None }
}

pub fn failure(code: ErrorCode) -> Failure {
    Failure { code: code.number(), ..Failure::default() }
}

/// A live cookie session of a user.
pub fn session_of(user: &pubky_common::crypto::PublicKey) -> CookieSession {
    CookieSession {
        user: user.as_bytes().to_vec().into(),
        capabilities: vec!["/:rw".into()],
        created_at_us: 1_700_000_000_123_456,
    }
}
