//! A CA made for one test, and what it signed: for a collector on this machine, and for those who send to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto::ring};
use tempfile::TempDir;

/// Files in PEM, gone when this is dropped.
pub struct Papers {
    folder: TempDir,
}

impl Papers {
    /// `ca.pem`, and `server` and `client` with their keys.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("written");
        write("ca.pem", ca.pem());
        for (name, host) in [("server", "127.0.0.1"), ("client", "exporter.test")] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
            write(&format!("{name}.pem"), params.signed_by(&key, &ca).expect("signed").pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// For an environment.
    pub fn named(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The server's side. It demands a certificate of the same CA, and speaks this protocol above TLS.
    pub fn server(&self, alpn: &[u8]) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for ca in certificates(&self.path("ca.pem")) {
            roots.add(ca).expect("a CA");
        }
        let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).expect("a key");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(callers.build().expect("a verifier"))
            .with_single_cert(certificates(&self.path("server.pem")), key)
            .expect("they fit");
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let found = CertificateDer::pem_file_iter(path).expect("a file");
    found.collect::<Result<_, _>>().expect("certificates")
}
