//! Asks storage nodes directly: what they hold, how far they are, what their event logs say.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::tls::{CertificateFiles, Certificates, Dialer};
use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::meta::{NodeStatusReply, NodeStatusRequest};
use rowhouse_proto::wire::shard::shard_client::ShardClient;
use rowhouse_proto::wire::shard::{EventPage, ListEvents, QueryRequest, query_reply, query_request};
use rowhouse_proto::{RPC_MESSAGE_BYTES_MAX, WIRE_VERSION};
use tonic::transport::{Channel, Endpoint};

use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Who may ask for a status, and who for the contents of shards.
const OPERATOR: &str = "operator";
const GATEWAY: &str = "gateway-1";
/// A scan of all groups reads everything a node holds.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct NodeClient {
    pub name: String,
    operator: Channel,
    gateway: Channel,
}

impl NodeClient {
    /// `certs` is the folder of the cluster's certificates, if it has any.
    pub fn new(name: &str, address: SocketAddr, certs: Option<&Path>) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT).tcp_nodelay(true);
        let channel = |shown: &str| -> Result<Channel, Error> {
            let files = certs.map(|certs| CertificateFiles::in_folder(certs, shown));
            let opened = files.map(Certificates::open).transpose();
            let opened = opened.map_err(|error| Error::Cluster(error.to_string()))?;
            Ok(Dialer::new(opened.map(Arc::new)).connect_lazy(&endpoint, Some(name)))
        };
        Ok(Self { name: name.to_owned(), operator: channel(OPERATOR)?, gateway: channel(GATEWAY)? })
    }

    /// `scan`: with a hash over each group's whole content.
    pub async fn status(&self, scan: bool) -> Result<NodeStatusReply, Error> {
        let request = NodeStatusRequest { version: WIRE_VERSION, scan };
        Ok(MetaClient::new(self.operator.clone()).node_status(request).await?.into_inner())
    }

    /// Events of a shard this node leads; None when it does not.
    pub async fn events(&self, shard: u32, after: u64, limit: u32) -> Result<Option<EventPage>, Error> {
        let op = query_request::Op::ListEvents(ListEvents { after, limit });
        let request =
            QueryRequest { version: WIRE_VERSION, group: shard, trace: Vec::new().into(), op: Some(op) };
        let mut client =
            ShardClient::new(self.gateway.clone()).max_decoding_message_size(RPC_MESSAGE_BYTES_MAX);
        match client.query(request).await?.into_inner().result {
            Some(query_reply::Result::EventPage(page)) => Ok(Some(page)),
            Some(query_reply::Result::Failure(failure)) if failure.code <= 2 => Ok(None),
            other => Err(Error::Answer(format!("events of shard {shard}: {other:?}"))),
        }
    }
}
