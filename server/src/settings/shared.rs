//! The sections of both processes: files and listeners that the binary handles for the node and the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

use rowhouse_peer::CertificateFiles;
use rowhouse_proto::section;
use rowhouse_proto::settings::Kind;

section! {
    /// Files that hold a secret.
    pub struct SecretSection: "secret" {
        homeserver_secret_file: PathBuf = "/etc/rowhouse/homeserver.secret".into(), Kind::Path,
            "File with the homeserver's secret key: 64 hexadecimal digits, readable by its owner, and its group at \
             most.",
            required(), flag("--homeserver-secret-file");
    }
}

section! {
    /// Who this process is to the others of the cluster, and whom it believes: all three files, or none.
    pub struct TlsSection: "tls" {
        cert: Option<PathBuf> = None, Kind::Path,
            "PEM file with this process's certificate, and intermediates if any.",
            unset("plaintext, on loopback only"), flag("--tls-cert");
        key: Option<PathBuf> = None, Kind::Path, "PEM file with the certificate's key, PKCS #8.",
            unset("plaintext, on loopback only"), flag("--tls-key");
        ca: Option<PathBuf> = None, Kind::Path,
            "PEM file with the cluster's CA; with both while one replaces the other. All three are read again when \
             they change.",
            unset("plaintext, on loopback only"), flag("--tls-ca");
    }
}

impl TlsSection {
    /// The three files, or `None` if one is not set.
    pub fn files(&self) -> Option<CertificateFiles> {
        let Self { cert, key, ca } = self.clone();
        Some(CertificateFiles { cert: cert?, key: key?, ca: ca? })
    }

    /// Offences of the section itself, and of listeners (key and address) that need it; each a sentence.
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

section! {
    /// The listener that tells a supervisor how the process is.
    pub struct ProbesSection: "probes" {
        listen: Option<SocketAddr> = None, Kind::Address,
            "Address that answers startup, liveness and readiness probes over HTTP: /startupz, /livez, /readyz.",
            unset("no probe listener"), flag("--probe-listen");
    }
}
