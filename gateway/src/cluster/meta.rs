//! Questions and changes of the meta group, asked as shards are: the leader is found, and asked again until the deadline.
//! A change may be heard twice; its message is such that the second time changes nothing.

use std::sync::Arc;

use rowhouse_proto::wire::meta::{
    MetaExecuteRequest, MetaQueryRequest, meta_execute_reply, meta_execute_request, meta_query_reply,
    meta_query_request,
};
use rowhouse_proto::{META_GROUP, WIRE_VERSION};

use super::retry::Walk;
use super::send::{Answer, unreadable};
use super::{Call, Cluster, Node};
use crate::respond::Rejection;

impl Cluster {
    /// A change, decided by the meta group's log.
    pub async fn meta_execute(
        &self,
        call: &Call,
        op: meta_execute_request::Op,
    ) -> Result<meta_execute_reply::Result, Rejection> {
        let _permit = self.admission.request()?;
        let request = MetaExecuteRequest {
            version: WIRE_VERSION,
            cluster_id: self.map().await?.cluster_id.clone(),
            trace: call.trace.clone(),
            op: Some(op),
        };
        let mut walk = Walk::default();
        self.drive(call, META_GROUP, &mut walk, |node| send_execute(node, request.clone())).await
    }

    /// A linearizable read of the meta group's state.
    pub async fn meta_query(
        &self,
        call: &Call,
        op: meta_query_request::Op,
    ) -> Result<meta_query_reply::Result, Rejection> {
        let _permit = self.admission.request()?;
        let cluster_id = self.map().await?.cluster_id.clone();
        let request = MetaQueryRequest { version: WIRE_VERSION, cluster_id, op: Some(op) };
        let mut walk = Walk::default();
        self.drive(call, META_GROUP, &mut walk, |node| send_query(node, request.clone())).await
    }
}

async fn send_execute(
    node: Arc<Node>,
    request: MetaExecuteRequest,
) -> Result<Answer<meta_execute_reply::Result>, tonic::Status> {
    let result = match node.meta().execute(request).await?.into_inner().result {
        Some(meta_execute_reply::Result::Failure(failure)) => Err(failure.into()),
        Some(result) => Ok(result),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc: 0, result })
}

async fn send_query(
    node: Arc<Node>,
    request: MetaQueryRequest,
) -> Result<Answer<meta_query_reply::Result>, tonic::Status> {
    let result = match node.meta().query(request).await?.into_inner().result {
        Some(meta_query_reply::Result::Failure(failure)) => Err(failure.into()),
        Some(result) => Ok(result),
        None => Err(unreadable()),
    };
    Ok(Answer { hlc: 0, result })
}
