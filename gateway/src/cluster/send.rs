//! From one request to one answered RPC: finds the shard's leader, also while the shard moves
//! (docs/rules/consensus.md#a-moving-shard-is-found), retries with the same request id until the deadline, and says 503
//! only then.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::wire::shard::{
    Bandwidth, Credential, ExecuteReply, ExecuteRequest, Failure, QueryReply, QueryRequest, execute_reply,
    execute_request, query_reply, query_request,
};
use rowhouse_proto::{ErrorCode, Refusal, WIRE_VERSION};
use tokio::time::Instant;

use super::metrics::{ABSENT, REDIRECTED, UNANSWERED, given_up, retried};
use super::retry::{Verdict, Walk};
use super::{Call, Cluster, Node};
use crate::respond::Rejection;

/// One attempt: well above a slow sync, well below the retry window, so that a node that stopped
/// answering costs one attempt and not the request.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the map that a refusal told of. It comes within 200 ms from a node that keeps up.
const MAP_WAIT: Duration = Duration::from_secs(1);

/// A shard's answer, and the rates of the session's user if it has any.
pub struct Told<T> {
    pub result: T,
    pub bandwidth: Option<Bandwidth>,
}

impl Cluster {
    /// A change. Each call draws its own request id, kept over retries.
    pub async fn execute(
        &self,
        call: &Call,
        shard: u32,
        client_addr: String,
        op: execute_request::Op,
    ) -> Result<execute_reply::Result, Rejection> {
        Ok(self.execute_paced(call, shard, client_addr, op).await?.result)
    }

    /// As `execute`, with the rates of the user whose session it is.
    pub async fn execute_paced(
        &self,
        call: &Call,
        shard: u32,
        client_addr: String,
        op: execute_request::Op,
    ) -> Result<Told<execute_reply::Result>, Rejection> {
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
        Ok(self.query_paced(call, shard, None, op).await?.result)
    }

    /// As `query`, with the rates of the user whose session it is. `reader` is who reads what is open to all.
    pub async fn query_paced(
        &self,
        call: &Call,
        shard: u32,
        reader: Option<Credential>,
        op: query_request::Op,
    ) -> Result<Told<query_reply::Result>, Rejection> {
        let _permit = self.admission.request()?;
        let request = QueryRequest { version: WIRE_VERSION, group: shard, reader, op: Some(op) };
        let mut walk = Walk::default();
        self.drive(call, shard, &mut walk, |node| send_query(node, request.clone())).await
    }

    pub(super) async fn drive<T, F>(
        &self,
        call: &Call,
        shard: u32,
        walk: &mut Walk,
        mut attempt: impl FnMut(Arc<Node>) -> F,
    ) -> Result<T, Rejection>
    where
        F: Future<Output = Result<Answer<T>, tonic::Status>>,
    {
        tracing::Span::current().record("rowhouse.shard", shard);
        loop {
            // The map of this moment: the shard may have moved since the last attempt.
            let map = self.map().await?;
            let group = map.group(shard).ok_or(ErrorCode::Internal)?;
            let (node, at) = walk.choose(&map, group, shard).ok_or(ErrorCode::Unavailable)?;
            let until = call.deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let (verdict, told_map) = match tokio::time::timeout_at(until, attempt(Arc::clone(&node))).await {
                Ok(Ok(Answer { hlc, result: Ok(result) })) => {
                    self.clock.observe(hlc);
                    if let Some(at) = at {
                        group.set_leader(at);
                    }
                    return Ok(result);
                }
                Ok(Ok(Answer { hlc, result: Err(refused) })) => {
                    self.clock.observe(hlc);
                    self.hear_of_map(refused.map_version);
                    (Verdict::of_refusal(refused.refusal), refused.map_version)
                }
                Ok(Err(status)) => (Verdict::of_status(&status), 0),
                Err(_elapsed) => (Verdict::Retry, 0),
            };
            tracing::debug!(shard, node = node.address(), ?verdict, "attempt not answered with a result");
            let (pause, reason) = match verdict {
                Verdict::Refused(refusal) => return Err(refusal.into()),
                Verdict::Redirect(hint) => (walk.redirected(&map, group, hint), REDIRECTED),
                Verdict::Absent => (walk.absent(group), ABSENT),
                Verdict::Retry => (walk.failed(group), UNANSWERED),
            };
            if walk.must_await(&map, told_map) {
                let until = call.deadline.min(Instant::now() + MAP_WAIT);
                if self.newer_map(told_map, until).await {
                    retried(reason);
                    continue;
                }
            }
            if Instant::now() + pause >= call.deadline {
                given_up();
                return Err(ErrorCode::Unavailable.into());
            }
            retried(reason);
            tokio::time::sleep(pause).await;
        }
    }
}

/// What a node answered.
pub(super) struct Answer<T> {
    /// The node's clock; 0: not told.
    pub(super) hlc: u64,
    pub(super) result: Result<T, Refused>,
}

/// A refusal, and the version of the map that the node has; 0 if it did not tell.
pub(super) struct Refused {
    refusal: Refusal,
    map_version: u64,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { map_version: failure.map_version, refusal: failure.into() }
    }
}

async fn send_execute(
    node: Arc<Node>,
    request: ExecuteRequest,
) -> Result<Answer<Told<execute_reply::Result>>, tonic::Status> {
    let ExecuteReply { hlc, result, bandwidth } = node.shard().execute(request).await?.into_inner();
    let result = match result {
        Some(execute_reply::Result::Failure(failure)) => Err(failure.into()),
        Some(result) => Ok(Told { result, bandwidth }),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc, result })
}

async fn send_query(
    node: Arc<Node>,
    request: QueryRequest,
) -> Result<Answer<Told<query_reply::Result>>, tonic::Status> {
    let QueryReply { hlc, result, bandwidth } = node.shard().query(request).await?.into_inner();
    let result = match result {
        Some(query_reply::Result::Failure(failure)) => Err(failure.into()),
        Some(result) => Ok(Told { result, bandwidth }),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc, result })
}

/// A reply of a kind this version does not know.
pub(super) fn unreadable() -> Refused {
    Refused { refusal: ErrorCode::WrongVersion.into(), map_version: 0 }
}
