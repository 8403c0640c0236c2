//! A connection to one node, with a deadline on everything.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use rowhouse_peer::Dialer;
use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::meta::operate_request::Wish;
use rowhouse_proto::wire::meta::{
    ClusterMap, DrainRequest, NodeStatusReply, NodeStatusRequest, OperateReply, OperateRequest, RecoverReply,
    RecoverRequest, WatchMapRequest,
};
use rowhouse_proto::{RPC_MESSAGE_BYTES_MAX, WIRE_VERSION};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::error::Error;

/// A node on the same network answers in milliseconds, or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A status is read from memory.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Advice without certificates. A node drops a caller without a certificate of its cluster, and cannot say why.
const SHOW_ONE: &str = "if its cluster demands certificates (mTLS), show one of the role ctl: --tls-cert, --tls-key \
     and --tls-ca, or ROWHOUSE_TLS__CERT, ROWHOUSE_TLS__KEY and ROWHOUSE_TLS__CA";
/// Advice with certificates.
const SHOW_ANOTHER: &str = "--tls-ca must be the CA of its cluster, --tls-cert one of its certificates, and the node must have one too";

/// A client of one node's meta service. Each error names the node's address.
pub struct NodeClient {
    address: String,
    /// Advice for an operator whose connection the node breaks.
    advice: &'static str,
    meta: MetaClient<Channel>,
}

/// Why a call failed.
pub struct CallError {
    pub error: Error,
    /// The same call may succeed later, or at another node.
    pub may_pass: bool,
}

impl NodeClient {
    /// Connects to `address`, host:port. `node` is the name that the node's certificate must have, if that is known.
    ///
    /// Fails within `CONNECT_MAX` if nobody answers there, or the certificates of the two ends do not fit.
    pub async fn connect(address: &str, dialer: &Dialer, node: Option<&str>) -> Result<Self, Error> {
        let advice = advice(dialer);
        let failed = |error: tonic::transport::Error| {
            let cause = deepest(&error);
            let advice = if is_absent(cause) { String::new() } else { format!("; {advice}") };
            Error::Node { address: address.to_owned(), text: format!("no connection: {cause}{advice}") }
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Error::Usage(format!("{address} is no host:port: {error}")))?
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX);
        let channel = dialer.connect(&endpoint, node).await.map_err(failed)?;
        let meta = MetaClient::new(channel).max_decoding_message_size(RPC_MESSAGE_BYTES_MAX);
        Ok(Self { address: address.to_owned(), advice, meta })
    }

    /// The map as this node knows it. Fails like [`NodeClient::status`].
    pub async fn map(&mut self) -> Result<ClusterMap, Error> {
        let mut stream = self
            .meta
            .watch_map(WatchMapRequest { version: WIRE_VERSION, changes: false })
            .await
            .map_err(|status| self.refused(&status))?
            .into_inner();
        let first = stream.message().await.map_err(|status| self.refused(&status))?;
        first.ok_or_else(|| Error::Node { address: self.address.clone(), text: "sent no map".into() })
    }

    /// The node's status. Fails if it does not answer within `REQUEST_MAX`, or refuses.
    pub async fn status(&mut self) -> Result<NodeStatusReply, Error> {
        let request = NodeStatusRequest { version: WIRE_VERSION, ..NodeStatusRequest::default() };
        let reply = self.meta.node_status(request).await;
        reply.map(tonic::Response::into_inner).map_err(|status| self.refused(&status))
    }

    /// Starts or ends draining; returns the number of groups that are left to hand over.
    pub async fn drain(&mut self, cluster_id: &[u8], on: bool) -> Result<u32, Error> {
        let cluster_id = cluster_id.to_vec().into();
        let reply = self.meta.drain(DrainRequest { version: WIRE_VERSION, cluster_id, on }).await;
        reply.map(|reply| reply.into_inner().led).map_err(|status| self.refused(&status))
    }

    /// Makes the node's replica the only voter of its group, unless a quorum answers.
    pub async fn recover(&mut self, cluster_id: &[u8], group: u32) -> Result<RecoverReply, Error> {
        let cluster_id = cluster_id.to_vec().into();
        let reply = self.meta.recover(RecoverRequest { version: WIRE_VERSION, cluster_id, group }).await;
        reply.map(tonic::Response::into_inner).map_err(|status| self.refused(&status))
    }

    /// Says what an operator wishes. A node that does not lead the meta group answers which one does.
    pub async fn operate(&mut self, cluster_id: &[u8], wish: Wish) -> Result<OperateReply, CallError> {
        let cluster_id = cluster_id.to_vec().into();
        let request = OperateRequest { version: WIRE_VERSION, cluster_id, wish: Some(wish) };
        let reply = self.meta.operate(request).await;
        reply.map(tonic::Response::into_inner).map_err(|status| {
            let may_pass = match status.code() {
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => true,
                // A connection that broke.
                _ => status.source().is_some(),
            };
            CallError { error: self.refused(&status), may_pass }
        })
    }

    fn refused(&self, status: &tonic::Status) -> Error {
        let text = match status.source() {
            // An answer of the node has no source; a connection that broke has one.
            Some(error) => format!("the connection broke: {}; {}", deepest(error), self.advice),
            None => format!("{:?}: {}", status.code(), status.message()),
        };
        Error::Node { address: self.address.clone(), text }
    }
}

/// Advice for failures that an unfit certificate, or none, may have caused.
fn advice(dialer: &Dialer) -> &'static str {
    if dialer.certificates().is_some() { SHOW_ANOTHER } else { SHOW_ONE }
}

/// Whether nobody listens there, so that certificates cannot be the cause.
fn is_absent(cause: &Cause) -> bool {
    let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind.is_some_and(|kind| {
        matches!(
            kind,
            ErrorKind::ConnectionRefused
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
        )
    })
}

type Cause = dyn std::error::Error + 'static;

/// The innermost cause: the outer ones only say that there is one.
fn deepest(error: &Cause) -> &Cause {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}
