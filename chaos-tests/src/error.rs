//! Errors of driving a cluster. Findings of the oracles are data, not errors.

use std::time::Duration;

/// All failures of driving a cluster or a server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("bad HTTP response: {0}")]
    Http(&'static str),
    #[error("unexpected answer: {0}")]
    Answer(String),
    #[error("cluster: {0}")]
    Cluster(String),
    #[error("rpc: {0}")]
    Rpc(String),
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    #[error("waited {0:?} for {1}")]
    Timeout(Duration, String),
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Rpc(format!("{}: {}", status.code(), status.message()))
    }
}

impl From<tonic::transport::Error> for Error {
    fn from(error: tonic::transport::Error) -> Self {
        Self::Rpc(error.to_string())
    }
}
