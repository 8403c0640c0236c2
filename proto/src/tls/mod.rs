//! Who is at the other end: mutual TLS between nodes, gateways and `ctl` (docs/mtls.md).
//!
//! A certificate names its subject in one URI, `rowhouse://<cluster>/<role>/<name>`. Both ends check the
//! chain to the cluster's CA, the validity, the cluster and the role; a dialer that knows which node it
//! wants checks the name too. Host names are not checked: addresses come from the cluster's map and may
//! change at any time. Only this module of the crate knows tokio.

mod authority;
mod certificates;
mod connection;
mod dialer;
mod error;
mod files;
mod seldom;
mod subject;
mod verify;

#[cfg(test)]
mod tests;

pub use authority::{Authority, Issued};
pub use certificates::Certificates;
pub use connection::{Caller, Connection};
pub use dialer::Dialer;
pub use error::TlsError;
pub use files::CertificateFiles;
pub use seldom::Seldom;
pub use subject::{Role, Subject};
