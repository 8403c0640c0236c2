//! TLS to a collector: the certificates that it is believed by, and the one that is shown to it. All are read once, when
//! the export begins.

use std::fs;
use std::thread::Builder;
use std::time::Duration;

use opentelemetry_otlp::OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use reqwest::blocking::Client;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::signal::Signal;
use crate::error::Error;

const CERTIFICATE: &str = "CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "CLIENT_KEY";
/// The variables of TLS, as they end.
pub const VARIABLES: [&str; 3] = [CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY];

/// Files in PEM that were found to be of use.
pub struct Tls {
    /// Who is believed; absent: whom this system believes.
    roots: Option<Vec<u8>>,
    /// The certificate to show, and its key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
    timeout: Duration,
}

impl Tls {
    /// Fails with `Certificates` on a file that is missing or of no use, and on a certificate without its key.
    pub fn of_environment(
        signal: Signal,
        variable: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, Error> {
        let file = |name: &str| signal.set(name, variable).map(|(name, path)| read(name, path)).transpose();
        let roots = file(CERTIFICATE)?;
        if let Some(roots) = &roots {
            check_roots(roots)?;
        }
        let identity = match (file(CLIENT_CERTIFICATE)?, file(CLIENT_KEY)?) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                check_identity(&certificate, &key)?;
                Some((certificate.bytes, key.bytes))
            }
            (Some(alone), None) | (None, Some(alone)) => {
                return Err(Error::Certificates(format!(
                    "{} is set alone: a certificate and its key are needed",
                    alone.variable
                )));
            }
        };
        let timeout_ms = signal.set("TIMEOUT", variable).and_then(|(_, text)| text.parse().ok());
        let timeout = timeout_ms.map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis);
        Ok(Self { roots: roots.map(|file| file.bytes), identity, timeout })
    }

    /// For gRPC.
    pub fn grpc(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new();
        let config = match &self.roots {
            Some(roots) => config.ca_certificate(Certificate::from_pem(roots)),
            None => config.with_enabled_roots(),
        };
        match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }

    /// For HTTP. Fails with `Certificates`. The library's own client would not say why.
    pub fn http(&self) -> Result<Client, Error> {
        let unusable = |error: reqwest::Error| {
            Error::Certificates(format!("no client for the collector: {}", rowhouse_proto::causes(&error)))
        };
        let mut building = Client::builder().timeout(self.timeout);
        if let Some(roots) = &self.roots {
            building =
                building.tls_certs_only(reqwest::Certificate::from_pem_bundle(roots).map_err(unusable)?);
        }
        if let Some((certificate, key)) = &self.identity {
            let both = [certificate.as_slice(), b"\n", key].concat();
            building = building.identity(reqwest::Identity::from_pem(&both).map_err(unusable)?);
        }
        // It waits for a runtime of its own, which a thread of ours may not.
        let thread = Builder::new().name("collector-client".to_owned()).spawn(|| building.build());
        let built = thread.map_err(Error::failed("start a thread"))?.join();
        let client = built.map_err(|_| Error::Failed("making a client for the collector panicked".into()))?;
        client.map_err(unusable)
    }
}

/// What a variable names.
struct File {
    variable: String,
    path: String,
    bytes: Vec<u8>,
}

impl File {
    fn of_no_use(&self, why: &dyn std::fmt::Display) -> Error {
        Error::Certificates(format!("{} names {}, which is of no use: {why}", self.variable, self.path))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|error| self.of_no_use(&error))?;
        if found.is_empty() { Err(self.of_no_use(&"it holds no certificate in PEM")) } else { Ok(found) }
    }
}

fn read(variable: String, path: String) -> Result<File, Error> {
    match fs::read(&path) {
        Ok(bytes) => Ok(File { variable, path, bytes }),
        Err(error) => {
            Err(Error::Certificates(format!("{variable} names {path}, which cannot be read: {error}")))
        }
    }
}

fn check_roots(file: &File) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    file.certificates()?
        .into_iter()
        .try_for_each(|certificate| roots.add(certificate))
        .map_err(|error| file.of_no_use(&error))
}

/// Whether the key is that of the certificate.
fn check_identity(certificate: &File, key: &File) -> Result<(), Error> {
    let chain = certificate.certificates()?;
    let der = PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|error| key.of_no_use(&error))?;
    let fits = CertifiedKey::from_der(chain, der, &ring::default_provider());
    fits.map(drop).map_err(|error| key.of_no_use(&error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Files of a CA and of two certificates of it, in a folder.
    fn files() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["one", "other"] {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
            fs::write(folder.path().join(format!("{name}.pem")), made.cert.pem()).expect("written");
            fs::write(folder.path().join(format!("{name}.key")), made.signing_key.serialize_pem())
                .expect("written");
        }
        fs::write(folder.path().join("junk.pem"), "no certificate").expect("written");
        folder
    }

    /// What is said of these files, as variables of traces name them.
    fn said(folder: &Path, set: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let (_, file) = set.iter().find(|(key, _)| format!("OTEL_EXPORTER_OTLP_{key}") == name)?;
            Some(folder.join(file).display().to_string())
        };
        let made = Tls::of_environment(Signal::Traces, variable).and_then(|tls| {
            tls.grpc();
            // Whom this system believes is no matter of this test.
            tls.roots.as_ref().map(|_| tls.http()).transpose()
        });
        made.err().map(|error| {
            assert!(matches!(error, Error::Certificates(_)), "{error:?}");
            error.to_string()
        })
    }

    #[test]
    fn each_file_that_is_of_no_use_is_named_with_its_variable() {
        let folder = files();
        let of = |set: &[(&str, &str)]| said(folder.path(), set);
        let identity = [(CLIENT_CERTIFICATE, "one.pem"), (CLIENT_KEY, "one.key")];
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(CERTIFICATE, "one.pem"), identity[0], identity[1]]), None);
        for (set, words) in [
            (&[(CERTIFICATE, "gone.pem")][..], ["OTLP_CERTIFICATE names", "gone.pem", "cannot be read"]),
            (&[(CERTIFICATE, "junk.pem")], ["OTLP_CERTIFICATE names", "junk.pem", "no certificate in PEM"]),
            (&[("TRACES_CERTIFICATE", "gone.pem")], ["TRACES_CERTIFICATE", "gone.pem", "cannot be read"]),
            (&identity[..1], ["CLIENT_CERTIFICATE", "alone", "key"]),
            (&identity[1..], ["CLIENT_KEY", "alone", "key"]),
            (&[identity[0], (CLIENT_KEY, "other.key")], ["CLIENT_KEY names", "other.key", "of no use"]),
            (&[identity[0], (CLIENT_KEY, "one.pem")], ["CLIENT_KEY names", "one.pem", "of no use"]),
        ] {
            let text = of(set).unwrap_or_else(|| panic!("{set:?} is of no use"));
            for word in words {
                assert!(text.contains(word), "{word:?} in {text:?}");
            }
        }
        let before = [("TRACES_CERTIFICATE", "one.pem"), (CERTIFICATE, "gone.pem")];
        assert_eq!(of(&before), None, "the more special variable counts");
    }
}
