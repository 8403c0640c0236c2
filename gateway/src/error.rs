//! Why a gateway does not start. Refusals of single requests are `rowhouse_proto::Refusal`.

use std::net::SocketAddr;

use rowhouse_proto::causes;

/// The texts tell an operator what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid configuration: {0}")]
    Config(String),
    #[error("node {node} belongs to no cluster yet: `rowhouse cluster init` makes one")]
    NoCluster { node: String },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("invalid node address {address}: {}", causes(source))]
    NodeAddress { address: String, source: tonic::transport::Error },
    #[error(
        "the configured secret is of the homeserver {ours}, but the cluster of node {node} is of {theirs}: start \
         with the secret of that homeserver, or with nodes of the right cluster"
    )]
    ForeignHomeserver { ours: String, theirs: String, node: String },
}
