//! A connection to one node, with a deadline on everything.

use std::time::Duration;

use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::meta::{
    ClusterMap, DrainRequest, NodeStatusReply, NodeStatusRequest, WatchMapRequest,
};
use rowhouse_proto::{RPC_MESSAGE_BYTES_MAX, WIRE_VERSION};
use tonic::transport::{Channel, Endpoint};

use crate::error::Error;

/// A node on the same network answers in milliseconds, or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A status is read from memory.
const REQUEST_MAX: Duration = Duration::from_secs(10);

pub struct NodeClient {
    address: String,
    meta: MetaClient<Channel>,
}

impl NodeClient {
    /// `address` is host:port.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        let failed = |error: tonic::transport::Error| Error::Node {
            address: address.to_owned(),
            text: format!("no connection: {}", deepest(&error)),
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Error::Usage(format!("{address} is no host:port: {error}")))?
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX);
        let channel = endpoint.connect().await.map_err(failed)?;
        let meta = MetaClient::new(channel).max_decoding_message_size(RPC_MESSAGE_BYTES_MAX);
        Ok(Self { address: address.to_owned(), meta })
    }

    /// The map as this node knows it.
    pub async fn map(&mut self) -> Result<ClusterMap, Error> {
        let mut stream = self
            .meta
            .watch_map(WatchMapRequest { version: WIRE_VERSION })
            .await
            .map_err(|status| self.refused(&status))?
            .into_inner();
        let first = stream.message().await.map_err(|status| self.refused(&status))?;
        first.ok_or_else(|| Error::Node { address: self.address.clone(), text: "sent no map".into() })
    }

    pub async fn status(&mut self) -> Result<NodeStatusReply, Error> {
        let request = NodeStatusRequest { version: WIRE_VERSION, ..NodeStatusRequest::default() };
        let reply = self.meta.node_status(request).await;
        reply.map(tonic::Response::into_inner).map_err(|status| self.refused(&status))
    }

    /// Starts or ends draining; how many groups are left to hand over.
    pub async fn drain(&mut self, cluster_id: &[u8], on: bool) -> Result<u32, Error> {
        let cluster_id = cluster_id.to_vec().into();
        let reply = self.meta.drain(DrainRequest { version: WIRE_VERSION, cluster_id, on }).await;
        reply.map(|reply| reply.into_inner().led).map_err(|status| self.refused(&status))
    }

    fn refused(&self, status: &tonic::Status) -> Error {
        Error::Node {
            address: self.address.clone(),
            text: format!("{:?}: {}", status.code(), status.message()),
        }
    }
}

/// The innermost cause: the outer ones only say that there is one.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
