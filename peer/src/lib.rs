//! Links between the processes of a cluster: who is at the other end, and how connections are made and accepted
//! (docs/mtls.md).
//!
//! A certificate names its subject in one URI, `rowhouse://<cluster>/<role>/<name>`. Both ends check the chain to the
//! cluster's CA, the validity, the cluster and the role; a dialer that knows which node it wants checks the name too.
//! Host names are not checked: addresses come from the cluster's map and may change at any time. Deliberately absent:
//! what is said over a link, and which calls a role may make.

mod accept;
mod authority;
mod certificates;
mod connection;
mod dialer;
mod error;
mod files;
mod incoming;
mod listener;
mod log_throttle;
mod private_file;
mod subject;
mod verify;

#[cfg(test)]
mod tests;

pub use accept::accept;
pub use authority::{Authority, Issued};
pub use certificates::Certificates;
pub use connection::{Caller, Connection};
pub use dialer::Dialer;
pub use error::TlsError;
pub use files::CertificateFiles;
pub use incoming::{ACCEPTED_AHEAD, accept_callers};
pub use listener::{Audience, exposure};
pub use log_throttle::LogThrottle;
pub use private_file::is_exposed;
pub use subject::{Role, Subject};
