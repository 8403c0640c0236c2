//! What nodes and gateways are both told.

use std::net::SocketAddr;
use std::path::PathBuf;

use rowhouse_peer::CertificateFiles;
use serde::{Deserialize, Serialize};

use super::key::{Key, Kind, key};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSection {
    pub homeserver_secret_file: PathBuf,
}

pub const HOMESERVER_SECRET_FILE: Key = key(
    "secret.homeserver_secret_file",
    Kind::Path,
    "File with the homeserver's secret key: 64 hexadecimal digits, readable by its owner, and its group at most.",
)
.required("/etc/rowhouse/homeserver.secret")
.flag("--homeserver-secret-file");

/// Who this process is to the others of the cluster, and whom it believes: all three files, or none.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
}

const PLAINTEXT: &str = "plaintext, on loopback only";

pub const TLS_CERT: Key =
    key("tls.cert", Kind::Path, "PEM file with this process's certificate, and intermediates if any.")
        .unset(PLAINTEXT)
        .flag("--tls-cert");
pub const TLS_KEY: Key = key("tls.key", Kind::Path, "PEM file with the certificate's key, PKCS #8.")
    .unset(PLAINTEXT)
    .flag("--tls-key");
pub const TLS_CA: Key = key(
    "tls.ca",
    Kind::Path,
    "PEM file with the cluster's CA; with both while one replaces the other. All three are read again when they change.",
)
.unset(PLAINTEXT)
.flag("--tls-ca");

impl TlsSection {
    pub fn files(&self) -> Option<CertificateFiles> {
        let Self { cert, key, ca } = self.clone();
        Some(CertificateFiles { cert: cert?, key: key?, ca: ca? })
    }

    /// Offences of the section itself, and of these keys: addresses that need it.
    pub fn complaints(&self, listeners: &[(&str, Option<SocketAddr>)]) -> Vec<String> {
        let named = [("cert", &self.cert), ("key", &self.key), ("ca", &self.ca)];
        let missing: Vec<_> = named
            .iter()
            .filter(|(_, file)| file.is_none())
            .map(|(name, _)| format!("`tls.{name}`"))
            .collect();
        match missing.len() {
            0 => Vec::new(),
            all if all == named.len() => listeners.iter().filter_map(|(key, at)| exposed(key, *at)).collect(),
            _ => vec![format!("[tls] lacks {}: set all three of its keys, or none.", missing.join(" and "))],
        }
    }
}

fn exposed(key: &str, listener: Option<SocketAddr>) -> Option<String> {
    let address = listener.filter(|address| !address.ip().is_loopback())?;
    Some(format!(
        "`{key}` is {address}, which other machines can reach, and without mTLS nobody is authenticated: make \
         certificates with `rowhouse ctl certs create`, then set all of [tls] (--tls-cert, --tls-key, --tls-ca), \
         or listen on a loopback address."
    ))
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbesSection {
    pub listen: Option<SocketAddr>,
}

pub const PROBES_LISTEN: Key = key(
    "probes.listen",
    Kind::Address,
    "Address that answers startup, liveness and readiness probes over HTTP: /startupz, /livez, /readyz.",
)
.unset("no probe listener")
.flag("--probe-listen");

pub const HOST_PORTS: Kind = Kind::List(&Kind::HostPort);
pub const URLS: Kind = Kind::List(&Kind::Url);
