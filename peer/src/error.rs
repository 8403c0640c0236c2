//! Why certificates are of no use.

use std::path::PathBuf;

/// The texts tell an operator which file is wrong, and in what.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {detail}")]
    Malformed { path: PathBuf, detail: String },
    #[error("{0} is open to other users of this machine: chmod 600 it, or 640 for its group")]
    KeyExposed(PathBuf),
    #[error("{cert} is not accepted by the CA in {ca}: {detail}")]
    Untrusted { cert: PathBuf, ca: PathBuf, detail: String },
    #[error("{cert} is of {found}, and this process is {ours}: a certificate is replaced by one of the same")]
    OtherSubject { cert: PathBuf, found: String, ours: String },
    #[error("malformed certificate: {0}")]
    Certificate(webpki::Error),
    #[error(
        "the certificate does not name one subject: among its alternative names must be one URI \
         rowhouse://<cluster>/<node|gateway|ctl>/<name>"
    )]
    NoSubject,
    #[error("{0:?} is no name: 1 to 63 letters, digits, and - _ . after the first")]
    Name(String),
    #[error("the CA's certificate and key are not those of cluster {0}")]
    ForeignAuthority(String),
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl TlsError {
    /// Whether the same files may be of use later, with nobody changing the configuration: they are not there
    /// yet, are about to be renewed, or were read between two of them.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Untrusted { .. } | Self::Tls(_))
    }
}
