//! From one request to one answered RPC: finds the shard's leader, retries with the same request id
//! until the deadline, and says 503 only then. The map is swapped in by the watch; nothing else here
//! outlives a request.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::tls::Dialer;
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_proto::wire::shard::{
    ExecuteReply, ExecuteRequest, Failure, QueryReply, QueryRequest, execute_reply, execute_request,
    query_reply, query_request,
};
use rowhouse_proto::{ErrorCode, TraceContext, WIRE_VERSION};
use tokio::sync::watch;
use tokio::time::Instant;

use super::retry::{Verdict, Walk};
use super::{Admission, Clock, Map, Node};
use crate::Error;
use crate::respond::Rejection;
use crate::settings::Limits;

/// One attempt: well above a slow sync, well below the retry window, so that a node that stopped
/// answering costs one attempt and not the request.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Cluster {
    map: ArcSwapOption<Map>,
    installed: watch::Sender<u64>,
    clock: Clock,
    admission: Admission,
    retry_timeout: Duration,
    map_timeout: Duration,
    dialer: Dialer,
    homeserver: PublicKey,
}

/// What belongs to one client request from its arrival, over all its RPCs and retries.
pub struct Call {
    deadline: Instant,
    /// Cluster time when it arrived; unknown before the first map.
    issued_at_us: Option<u64>,
    trace: Bytes,
}

impl Cluster {
    pub fn new(limits: &Limits, dialer: Dialer, homeserver: PublicKey) -> Self {
        Self {
            map: ArcSwapOption::empty(),
            installed: watch::Sender::new(0),
            clock: Clock::default(),
            admission: Admission::new(limits.requests_max, limits.body_bytes_max, limits.chunk_bytes_max),
            retry_timeout: limits.retry_timeout_s,
            map_timeout: limits.map_timeout_s,
            dialer,
            homeserver,
        }
    }

    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The current map, if one has arrived.
    pub fn map_now(&self) -> Option<Arc<Map>> {
        self.map.load_full()
    }

    /// The current map; a request that comes before the first one waits a bounded time.
    pub async fn map(&self) -> Result<Arc<Map>, Rejection> {
        if let Some(map) = self.map.load_full() {
            return Ok(map);
        }
        let mut installed = self.installed.subscribe();
        let arrival = installed.wait_for(|_| self.map.load().is_some());
        // An error here is the time running out; the sender lives as long as `self`.
        let _ = tokio::time::timeout(self.map_timeout, arrival).await;
        self.map.load_full().ok_or_else(|| ErrorCode::Unavailable.into())
    }

    /// Takes a map from a watch of `node`. Only the watch calls it, from one task. `false`: not usable. An error:
    /// this gateway is not of that cluster, nor of any other so far.
    pub fn install(&self, wire: &ClusterMap, node: &str) -> Result<bool, Error> {
        let current = self.map.load_full();
        // With the first map comes the cluster's time: without it no change could be sent.
        if current.is_none() && wire.hlc == 0 {
            return Ok(false);
        }
        if let Some(map) = &current {
            if wire.cluster_id != map.cluster_id && !wire.cluster_id.is_empty() {
                tracing::warn!(node, "a node of another cluster answers at a known address");
                return Ok(false);
            }
            if wire.map_version < map.version {
                return Ok(false);
            }
            if wire.map_version == map.version {
                self.clock.observe(wire.hlc);
                return Ok(true);
            }
        }
        let Some(map) = Map::build(wire, current.as_deref(), &self.dialer) else { return Ok(false) };
        if wire.homeserver[..] != self.homeserver.as_bytes()[..] {
            return Err(self.foreign(&wire.homeserver, node));
        }
        self.clock.observe(wire.hlc);
        let version = map.version;
        self.map.store(Some(Arc::new(map)));
        self.installed.send_replace(version);
        Ok(true)
    }

    fn foreign(&self, theirs: &[u8], node: &str) -> Error {
        let theirs = <&[u8; 32]>::try_from(theirs).ok().and_then(|key| pkarr::PublicKey::try_from(key).ok());
        Error::ForeignHomeserver {
            ours: self.homeserver.z32(),
            theirs: theirs.map_or_else(|| "nobody".into(), |key| key.to_z32()),
            node: node.to_owned(),
        }
    }

    pub fn call(&self, trace: Option<TraceContext>) -> Call {
        Call {
            deadline: Instant::now() + self.retry_timeout,
            issued_at_us: self.clock.issued_at_us(),
            trace: trace.map(|trace| Bytes::copy_from_slice(&trace.to_bytes())).unwrap_or_default(),
        }
    }

    /// A new account for a later question of the same client request. An upload may last for many minutes:
    /// under its first `issued_at` a shard would have to answer that the request is too old to be retried.
    pub fn call_again(&self, call: &Call) -> Call {
        Call {
            deadline: Instant::now() + self.retry_timeout,
            issued_at_us: self.clock.issued_at_us(),
            trace: call.trace.clone(),
        }
    }

    /// A change. Each call draws its own request id, kept over retries.
    pub async fn execute(
        &self,
        call: &Call,
        shard: u32,
        client_addr: String,
        op: execute_request::Op,
    ) -> Result<execute_reply::Result, Rejection> {
        let _permit = self.admission.request()?;
        let issued_at_us = match call.issued_at_us {
            Some(issued_at_us) => issued_at_us,
            None => self.time_us().await?,
        };
        let mut request = ExecuteRequest {
            version: WIRE_VERSION,
            group: shard,
            request_id: Bytes::copy_from_slice(&rand::random::<[u8; 16]>()),
            issued_at_us,
            trace: call.trace.clone(),
            client_addr,
            seen_hlc_us: self.clock.seen_hlc_us(),
            op: Some(op),
        };
        let mut walk = Walk::default();
        let outcome = self.drive(call, shard, &mut walk, |node| send_execute(node, request.clone())).await;
        let expired = matches!(&outcome, Err(rejection) if rejection.code() == ErrorCode::RequestExpired);
        if !expired || walk.may_be_applied {
            return outcome;
        }
        // Every attempt was of another time already: the cluster's was corrected and this gateway had not heard
        // of it. Nothing was applied, and the refusal brought the clock up to date.
        request.issued_at_us = self.time_us().await?;
        request.seen_hlc_us = self.clock.seen_hlc_us();
        self.drive(call, shard, &mut walk, |node| send_execute(node, request.clone())).await
    }

    /// The cluster's time now, once a map has brought it.
    async fn time_us(&self) -> Result<u64, Rejection> {
        self.map().await?;
        self.clock.issued_at_us().ok_or_else(|| ErrorCode::Unavailable.into())
    }

    /// A linearizable read.
    pub async fn query(
        &self,
        call: &Call,
        shard: u32,
        op: query_request::Op,
    ) -> Result<query_reply::Result, Rejection> {
        let _permit = self.admission.request()?;
        let request =
            QueryRequest { version: WIRE_VERSION, group: shard, trace: call.trace.clone(), op: Some(op) };
        let mut walk = Walk::default();
        self.drive(call, shard, &mut walk, |node| send_query(node, request.clone())).await
    }

    async fn drive<T, F>(
        &self,
        call: &Call,
        shard: u32,
        walk: &mut Walk,
        mut attempt: impl FnMut(Arc<Node>) -> F,
    ) -> Result<T, Rejection>
    where
        F: Future<Output = Result<Answer<T>, tonic::Status>>,
    {
        tracing::Span::current().record("shard", shard);
        loop {
            let map = self.map().await?;
            let group = map.group(shard).ok_or(ErrorCode::Internal)?;
            let index = walk.choose(group, shard).ok_or(ErrorCode::Unavailable)?;
            let node = &group.replicas()[index];
            let until = call.deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let verdict = match tokio::time::timeout_at(until, attempt(Arc::clone(node))).await {
                Ok(Ok(answer)) => {
                    self.clock.observe(answer.hlc);
                    match answer.result {
                        Ok(result) => {
                            group.set_leader(index);
                            return Ok(result);
                        }
                        Err(failure) => Verdict::of_failure(failure),
                    }
                }
                Ok(Err(status)) => Verdict::of_status(&status),
                Err(_elapsed) => Verdict::Retry,
            };
            tracing::debug!(shard, node = node.address(), ?verdict, "attempt not answered with a result");
            let pause = match verdict {
                Verdict::Refused(rejection) => return Err(rejection),
                Verdict::Redirect(hint) => walk.redirected(group, hint),
                Verdict::Retry => walk.failed(group),
            };
            if Instant::now() + pause >= call.deadline {
                return Err(ErrorCode::Unavailable.into());
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl Call {
    /// Gives the cluster its whole time from now, once a small body, or the start of a large one, has arrived.
    /// `issued_at` stays: a body's timeout and the retries together fit well into the window in which shards
    /// remember requests.
    pub fn restart(&mut self, retry_timeout: Duration) {
        self.deadline = Instant::now() + retry_timeout;
    }
}

struct Answer<T> {
    hlc: u64,
    result: Result<T, Failure>,
}

async fn send_execute(
    node: Arc<Node>,
    request: ExecuteRequest,
) -> Result<Answer<execute_reply::Result>, tonic::Status> {
    let ExecuteReply { hlc, result } = node.shard().execute(request).await?.into_inner();
    let result = match result {
        Some(execute_reply::Result::Failure(failure)) => Err(failure),
        Some(result) => Ok(result),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc, result })
}

async fn send_query(
    node: Arc<Node>,
    request: QueryRequest,
) -> Result<Answer<query_reply::Result>, tonic::Status> {
    let QueryReply { hlc, result } = node.shard().query(request).await?.into_inner();
    let result = match result {
        Some(query_reply::Result::Failure(failure)) => Err(failure),
        Some(result) => Ok(result),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc, result })
}

/// A reply of a kind this version does not know.
fn unreadable() -> Failure {
    Failure { code: ErrorCode::WrongVersion.number(), ..Failure::default() }
}
