//! A minimal gateway: finds the shard's leader by asking, retries with the same request id.

use futures::StreamExt;
use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use pubky_common::auth::AuthToken;
use pubky_common::capabilities::Capability;
use pubky_common::crypto::Keypair;
use rowhouse_peer::Dialer;
use rowhouse_proto::domain::secret::SecretHash;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::account::{SignupAdmission, signup_admission::Verdict};
use rowhouse_proto::wire::limits::limits_client::LimitsClient;
use rowhouse_proto::wire::limits::{TakeRequest, take_reply};
use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::meta::{
    AnnounceGatewayRequest, MetaExecuteRequest, MetaQueryRequest, NodeStatusReply, NodeStatusRequest,
    OperateRequest, RecoverReply, RecoverRequest, meta_execute_reply, meta_execute_request, meta_query_reply,
    meta_query_request, operate_request,
};
use rowhouse_proto::wire::shard::shard_client::ShardClient;
use rowhouse_proto::wire::shard::{
    CookieSignup, Credential, DeleteEntry, ExecuteReply, ExecuteRequest, Failure, ListEvents, PutEntry,
    QueryReply, QueryRequest, ReadEntry, credential, execute_reply, execute_request, query_reply,
    query_request,
};
use rowhouse_proto::{ErrorCode, WIRE_VERSION};
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::harness::{SHARDS, runtime, wait_for};

const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
const CALL_DEADLINE: Duration = Duration::from_secs(15);

pub struct Client {
    pub runtime: Runtime,
    addresses: Vec<String>,
    pub gateway: Dialer,
    pub operator: Dialer,
    hlc: Cell<u64>,
}

/// A user with a cookie session.
pub struct User {
    pub keypair: Keypair,
    cookie: String,
}

impl User {
    pub fn new(seed: u8) -> Self {
        Self { keypair: Keypair::from_secret(&[seed; 32]), cookie: format!("COOKIE{seed:020}") }
    }

    /// With this secret key.
    pub fn of(secret: &[u8; 32]) -> Self {
        let cookie = format!("COOKIE{}", rowhouse_proto::hex(&secret[..10]));
        Self { keypair: Keypair::from_secret(secret), cookie }
    }

    pub fn shard(&self) -> u32 {
        Slot::of_user(&self.keypair.public_key()).shard(SHARDS)
    }

    pub fn tenant(&self) -> Bytes {
        Bytes::copy_from_slice(self.keypair.public_key().as_bytes())
    }

    fn cookie_hash(&self) -> Bytes {
        Bytes::copy_from_slice(&SecretHash::of(&self.cookie).0)
    }

    pub fn credential(&self) -> Option<Credential> {
        Some(Credential { kind: Some(credential::Kind::CookieHash(self.cookie_hash())) })
    }
}

pub fn request_id() -> Bytes {
    Bytes::copy_from_slice(uuid::Uuid::now_v7().as_bytes())
}

impl Client {
    /// With the certificates of a gateway and an operator, or in plaintext.
    pub fn new(addresses: Vec<String>, gateway: Dialer, operator: Dialer) -> Self {
        Self { runtime: runtime(), addresses, gateway, operator, hlc: Cell::new(0) }
    }

    /// One more node to ask.
    pub fn learn(&mut self, address: &str) {
        self.addresses.push(address.to_owned());
    }

    /// An operator's wish, at whoever leads the meta group; why it is refused, if it is.
    pub fn operate(&self, cluster_id: &[u8], wish: operate_request::Wish) -> Result<(), String> {
        let cluster_id = Bytes::copy_from_slice(cluster_id);
        let request = OperateRequest { version: WIRE_VERSION, cluster_id, wish: Some(wish) };
        let reply = wait_for("the wish to be decided", || {
            self.addresses.iter().find_map(|address| {
                self.runtime.block_on(async {
                    let mut client = MetaClient::new(Self::connect(address, &self.operator).await?);
                    let reply = client.operate(request.clone()).await.ok()?.into_inner();
                    (reply.accepted || !reply.refused.is_empty()).then_some(reply)
                })
            })
        });
        if reply.accepted { Ok(()) } else { Err(reply.refused) }
    }

    /// Asks a node to go on alone with its replica of a group; the replica, or why not.
    pub fn recover(&self, address: &str, cluster_id: &[u8], group: u32) -> Result<u64, String> {
        let cluster_id = Bytes::copy_from_slice(cluster_id);
        let request = RecoverRequest { version: WIRE_VERSION, cluster_id, group };
        self.runtime.block_on(async {
            let channel = Self::connect(address, &self.operator).await.ok_or("it does not answer")?;
            let reply = MetaClient::new(channel).recover(request).await.map_err(|it| it.to_string())?;
            let RecoverReply { replica, refused } = reply.into_inner();
            if refused.is_empty() { Ok(replica) } else { Err(refused) }
        })
    }

    fn endpoint(address: &str) -> Endpoint {
        Endpoint::from_shared(format!("http://{address}"))
            .expect("an address")
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(CALL_DEADLINE)
    }

    pub async fn connect(address: &str, dialer: &Dialer) -> Option<Channel> {
        dialer.connect(&Self::endpoint(address), None).await.ok()
    }

    pub fn status(&self, address: &str, request: NodeStatusRequest) -> Option<NodeStatusReply> {
        self.runtime.block_on(async {
            let mut client = MetaClient::new(Self::connect(address, &self.operator).await?);
            client.node_status(request).await.ok().map(tonic::Response::into_inner)
        })
    }

    /// Announces at whoever accepts it.
    pub fn announce(&self, request: &AnnounceGatewayRequest) {
        wait_for("the announcement to be accepted", || {
            self.addresses.iter().find_map(|address| {
                self.runtime.block_on(async {
                    let mut client = MetaClient::new(Self::connect(address, &self.gateway).await?);
                    let reply = client.announce_gateway(request.clone()).await.ok()?.into_inner();
                    reply.accepted.then_some(())
                })
            })
        });
    }

    /// Why the first node refuses it, if it does.
    pub fn announce_once(&self, request: &AnnounceGatewayRequest) -> Option<Code> {
        self.runtime.block_on(async {
            let mut client = MetaClient::new(Self::connect(&self.addresses[0], &self.gateway).await?);
            client.announce_gateway(request.clone()).await.err().map(|status| status.code())
        })
    }

    /// One call, whatever comes back.
    pub fn execute_once(&self, address: &str, request: ExecuteRequest) -> Option<ExecuteReply> {
        self.runtime.block_on(self.execute_at(address, request))
    }

    pub fn query_once(&self, address: &str, request: QueryRequest) -> Option<QueryReply> {
        self.runtime.block_on(self.query_at(address, request))
    }

    async fn execute_at(&self, address: &str, request: ExecuteRequest) -> Option<ExecuteReply> {
        let mut client = ShardClient::new(Self::connect(address, &self.gateway).await?);
        client.execute(request).await.ok().map(tonic::Response::into_inner)
    }

    async fn query_at(&self, address: &str, request: QueryRequest) -> Option<QueryReply> {
        let mut client = ShardClient::new(Self::connect(address, &self.gateway).await?);
        client.query(request).await.ok().map(tonic::Response::into_inner)
    }

    /// One wish for cells, whatever comes back.
    pub fn take_once(&self, address: &str, request: TakeRequest) -> Option<take_reply::Result> {
        self.runtime.block_on(async {
            let mut client = LimitsClient::new(Self::connect(address, &self.gateway).await?);
            client.take(request).await.ok()?.into_inner().result
        })
    }

    /// Until a leader decides, over all nodes, with the same request id.
    pub fn execute(
        &self,
        shard: u32,
        request_id: Bytes,
        op: execute_request::Op,
    ) -> Result<execute_reply::Result, Failure> {
        let request = ExecuteRequest {
            version: WIRE_VERSION,
            group: shard,
            request_id,
            issued_at_us: self.issued_at(),
            client_addr: "127.0.0.1".into(),
            op: Some(op),
            ..ExecuteRequest::default()
        };
        wait_for("a decision", || {
            self.addresses.iter().find_map(|address| {
                let reply = self.runtime.block_on(self.execute_at(address, request.clone()))?;
                self.hlc.set(self.hlc.get().max(reply.hlc));
                match reply.result? {
                    execute_reply::Result::Failure(failure) if is_transient(&failure) => None,
                    execute_reply::Result::Failure(failure) => Some(Err(failure)),
                    result => Some(Ok(result)),
                }
            })
        })
    }

    /// A change of the meta group, until its leader decides.
    pub fn meta_execute(
        &self,
        cluster_id: &Bytes,
        op: meta_execute_request::Op,
    ) -> Result<meta_execute_reply::Result, Failure> {
        let request = MetaExecuteRequest {
            version: WIRE_VERSION,
            cluster_id: cluster_id.clone(),
            op: Some(op),
            ..MetaExecuteRequest::default()
        };
        wait_for("a decision of the meta group", || {
            self.addresses.iter().find_map(|address| {
                match self.meta_execute_once(address, request.clone())? {
                    meta_execute_reply::Result::Failure(failure) if is_transient(&failure) => None,
                    meta_execute_reply::Result::Failure(failure) => Some(Err(failure)),
                    result => Some(Ok(result)),
                }
            })
        })
    }

    pub fn meta_execute_once(
        &self,
        address: &str,
        request: MetaExecuteRequest,
    ) -> Option<meta_execute_reply::Result> {
        self.runtime.block_on(async {
            let mut client = MetaClient::new(Self::connect(address, &self.gateway).await?);
            client.execute(request).await.ok()?.into_inner().result
        })
    }

    /// A read of the meta group's state, until its leader answers.
    pub fn meta_query(
        &self,
        cluster_id: &Bytes,
        op: meta_query_request::Op,
    ) -> Result<meta_query_reply::Result, Failure> {
        let request =
            MetaQueryRequest { version: WIRE_VERSION, cluster_id: cluster_id.clone(), op: Some(op) };
        let ask = |address: &str| {
            self.runtime.block_on(async {
                let mut client = MetaClient::new(Self::connect(address, &self.gateway).await?);
                client.query(request.clone()).await.ok()?.into_inner().result
            })
        };
        wait_for("an answer of the meta group", || {
            self.addresses.iter().find_map(|address| match ask(address)? {
                meta_query_reply::Result::Failure(failure) if is_transient(&failure) => None,
                meta_query_reply::Result::Failure(failure) => Some(Err(failure)),
                result => Some(Ok(result)),
            })
        })
    }

    /// A gateway learns the HLC before its first request; 0 would be 1970.
    pub fn issued_at(&self) -> u64 {
        if self.hlc.get() == 0 {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            self.hlc.set(now.as_micros() as u64);
        }
        self.hlc.get()
    }

    pub fn query(&self, shard: u32, op: query_request::Op) -> Result<query_reply::Result, Failure> {
        let request =
            QueryRequest { version: WIRE_VERSION, group: shard, op: Some(op), ..QueryRequest::default() };
        wait_for("an answer", || {
            self.addresses.iter().find_map(|address| {
                let reply = self.runtime.block_on(self.query_at(address, request.clone()))?;
                match reply.result? {
                    query_reply::Result::Failure(failure) if is_transient(&failure) => None,
                    query_reply::Result::Failure(failure) => Some(Err(failure)),
                    result => Some(Ok(result)),
                }
            })
        })
    }

    /// With an AuthToken of its own each time.
    pub fn signup_op(user: &User, admission: Option<SignupAdmission>) -> execute_request::Op {
        let token = AuthToken::sign(&user.keypair, vec![Capability::root()]);
        execute_request::Op::CookieSignup(CookieSignup {
            auth_token: token.serialize().into(),
            cookie_hash: user.cookie_hash(),
            admission,
        })
    }

    pub fn signup(&self, user: &User) {
        let open = SignupAdmission { verdict: Some(Verdict::Open(true)) };
        let reply = self.execute(user.shard(), request_id(), Self::signup_op(user, Some(open)));
        let Ok(execute_reply::Result::CookieSession(session)) = reply else {
            panic!("no session: {reply:?}")
        };
        assert_eq!(session.user, user.tenant());
    }

    pub fn put_op(user: &User, path: &str, body: &[u8]) -> execute_request::Op {
        execute_request::Op::PutEntry(PutEntry {
            credential: user.credential(),
            tenant: user.tenant(),
            path: path.into(),
            body: Bytes::copy_from_slice(body),
            content_type: "text/plain".into(),
            content_length: Some(body.len() as u64),
            upload: None,
            conditions: None,
        })
    }

    pub fn put(&self, user: &User, path: &str, body: &[u8]) {
        self.execute(user.shard(), request_id(), Self::put_op(user, path, body)).expect("stored");
    }

    /// Writes one file over and over, many times at once; `address` leads its shard.
    pub fn put_often(&self, address: &str, user: &User, path: &str, times: usize) {
        let request = || ExecuteRequest {
            version: WIRE_VERSION,
            group: user.shard(),
            request_id: request_id(),
            issued_at_us: self.issued_at(),
            client_addr: "127.0.0.1".into(),
            op: Some(Self::put_op(user, path, b"again")),
            ..ExecuteRequest::default()
        };
        let requests: Vec<ExecuteRequest> = std::iter::repeat_with(request).take(times).collect();
        let undecided: Vec<ExecuteRequest> = self.runtime.block_on(async {
            let channel = Self::connect(address, &self.gateway).await.expect("a leader");
            let asked = futures::stream::iter(requests).map(|request| {
                let mut client = ShardClient::new(channel.clone());
                async move {
                    let answer = client.execute(request.clone()).await.ok().map(tonic::Response::into_inner);
                    let result = answer.and_then(|reply| reply.result);
                    matches!(result, None | Some(execute_reply::Result::Failure(_))).then_some(request)
                }
            });
            asked.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
        });
        for request in undecided {
            self.execute(user.shard(), request.request_id, request.op.expect("a put")).expect("stored");
        }
    }

    pub fn delete(&self, user: &User, path: &str) -> Result<(), Failure> {
        let (credential, tenant) = (user.credential(), user.tenant());
        let op = DeleteEntry { credential, tenant, path: path.into(), conditions: None };
        self.execute(user.shard(), request_id(), execute_request::Op::DeleteEntry(op)).map(|_| ())
    }

    /// `None`: not found.
    pub fn get(&self, user: &User, path: &str) -> Option<Bytes> {
        let op =
            ReadEntry { credential: None, tenant: user.tenant(), path: path.into(), ..ReadEntry::default() };
        match self.query(user.shard(), query_request::Op::ReadEntry(op)) {
            Ok(query_reply::Result::Entry(entry)) => Some(entry.body),
            Err(failure) if failure.code == ErrorCode::NotFound.number() => None,
            other => panic!("neither an entry nor 404: {other:?}"),
        }
    }

    /// Number of events the shard has for the user's path.
    pub fn events(&self, user: &User, path: &str) -> usize {
        let op = query_request::Op::ListEvents(ListEvents::default());
        let Ok(query_reply::Result::EventPage(page)) = self.query(user.shard(), op) else {
            panic!("no events");
        };
        page.events.iter().filter(|event| event.path == path && event.user == user.tenant()).count()
    }
}

/// Calls of `put_often` on their way.
const AT_ONCE: usize = 32;

fn is_transient(failure: &Failure) -> bool {
    ErrorCode::from_number(failure.code).is_some_and(ErrorCode::is_transient)
}
