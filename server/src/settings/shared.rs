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
            unset("plaintext, and nodes listen on loopback only"), flag("--tls-cert");
        key: Option<PathBuf> = None, Kind::Path, "PEM file with the certificate's key, PKCS #8.",
            unset("plaintext, and nodes listen on loopback only"), flag("--tls-key");
        ca: Option<PathBuf> = None, Kind::Path,
            "PEM file with the cluster's CA; with both while one replaces the other. All three are read again when \
             they change.",
            unset("plaintext, and nodes listen on loopback only"), flag("--tls-ca");
    }
}

impl TlsSection {
    /// The three files, or `None` if one is not set.
    pub fn files(&self) -> Option<CertificateFiles> {
        let Self { cert, key, ca } = self.clone();
        Some(CertificateFiles { cert: cert?, key: key?, ca: ca? })
    }

    /// The offence of the section itself, a sentence: half of its keys are not enough.
    pub fn complaint(&self) -> Option<String> {
        let named = [("cert", &self.cert), ("key", &self.key), ("ca", &self.ca)];
        let missing: Vec<_> = named
            .iter()
            .filter(|(_, file)| file.is_none())
            .map(|(name, _)| format!("`tls.{name}`"))
            .collect();
        let half = !missing.is_empty() && missing.len() < named.len();
        half.then(|| format!("[tls] lacks {}: set all three of its keys, or none.", missing.join(" and ")))
    }

    /// Whether any of the three files is named.
    pub fn is_set(&self) -> bool {
        self.cert.is_some() || self.key.is_some() || self.ca.is_some()
    }
}

section! {
    /// The listener that tells a supervisor how the process is.
    pub struct ProbesSection: "probes" {
        listen: Option<SocketAddr> = None, Kind::Address,
            "Address that answers startup, liveness and readiness probes over HTTP: /startupz, /livez, /readyz.",
            unset("no probe listener"), flag("--probe-listen");
    }
}

section! {
    /// The listener that tells what the process measures.
    pub struct MetricsSection: "metrics" {
        /// Off like the reference's, whose address is 127.0.0.1:6289.
        listen: Option<SocketAddr> = None, Kind::Address,
            "Address that answers GET /metrics over plain HTTP, as Prometheus text or OpenMetrics. Nobody is asked who \
             they are: let only a scraper reach it.",
            unset("no metrics listener"), flag("--metrics-listen");
    }
}
