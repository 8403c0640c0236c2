//! From one request to one answered RPC: finds the shard's leader, retries with the same request id until
//! the deadline, and says 503 only then.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::wire::shard::{
    ExecuteReply, ExecuteRequest, QueryReply, QueryRequest, execute_reply, execute_request, query_reply,
    query_request,
};
use rowhouse_proto::{ErrorCode, Refusal, WIRE_VERSION};
use tokio::time::Instant;

use super::retry::{Verdict, Walk};
use super::{Call, Cluster, Node};
use crate::respond::Rejection;

/// One attempt: well above a slow sync, well below the retry window, so that a node that stopped
/// answering costs one attempt and not the request.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
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
            let node = &group.places()[index];
            let until = call.deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let verdict = match tokio::time::timeout_at(until, attempt(Arc::clone(node))).await {
                Ok(Ok(answer)) => {
                    self.clock.observe(answer.hlc);
                    match answer.result {
                        Ok(result) => {
                            group.set_leader(index);
                            return Ok(result);
                        }
                        Err(refusal) => Verdict::of_refusal(refusal),
                    }
                }
                Ok(Err(status)) => Verdict::of_status(&status),
                Err(_elapsed) => Verdict::Retry,
            };
            tracing::debug!(shard, node = node.address(), ?verdict, "attempt not answered with a result");
            let pause = match verdict {
                Verdict::Refused(refusal) => return Err(refusal.into()),
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

struct Answer<T> {
    hlc: u64,
    result: Result<T, Refusal>,
}

async fn send_execute(
    node: Arc<Node>,
    request: ExecuteRequest,
) -> Result<Answer<execute_reply::Result>, tonic::Status> {
    let ExecuteReply { hlc, result } = node.shard().execute(request).await?.into_inner();
    let result = match result {
        Some(execute_reply::Result::Failure(failure)) => Err(failure.into()),
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
        Some(query_reply::Result::Failure(failure)) => Err(failure.into()),
        Some(result) => Ok(result),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc, result })
}

/// A reply of a kind this version does not know.
fn unreadable() -> Refusal {
    ErrorCode::WrongVersion.into()
}
