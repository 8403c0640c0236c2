//! This process's certificates as they are now: read from three files, and read again when they change.
//!
//! A connection uses what is current when it is made, and goes on when that is replaced.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use webpki::{EndEntityCert, KeyUsage};

use crate::files::Parsed;
use crate::verify::{CallerVerifier, NodeVerifier};
use crate::{CertificateFiles, LogThrottle, Role, Subject, TlsError};

/// gRPC, and nothing else.
const ALPN: &[u8] = b"h2";

/// The identity of this process and the CAs it trusts. Shared by all its connections; `refresh` replaces it as a
/// whole.
pub struct Certificates {
    files: CertificateFiles,
    current: ArcSwap<Loaded>,
    /// Nodes that were dialled and not believed.
    pub(super) refusals: LogThrottle,
}

struct Loaded {
    fingerprint: [u8; 32],
    subject: Arc<Subject>,
    expires_at: SystemTime,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Certificates {
    /// Reads the files. They must fit each other, and be valid now: no peer would accept them otherwise.
    pub fn open(files: CertificateFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let loaded = Loaded::new(&files, files.parse(&contents)?, contents.fingerprint())?;
        Ok(Self { files, current: ArcSwap::from_pointee(loaded), refusals: LogThrottle::default() })
    }

    /// Takes over what the files hold now; `true` if that is something else. With an error everything stays
    /// as it was. Reads files: call it where blocking is fine.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let contents = self.files.read()?;
        let fingerprint = contents.fingerprint();
        let current = self.current.load();
        if fingerprint == current.fingerprint {
            return Ok(false);
        }
        let loaded = Loaded::new(&self.files, self.files.parse(&contents)?, fingerprint)?;
        if loaded.subject != current.subject {
            return Err(TlsError::OtherSubject {
                cert: self.files.cert.clone(),
                found: loaded.subject.to_string(),
                ours: current.subject.to_string(),
            });
        }
        self.current.store(Arc::new(loaded));
        Ok(true)
    }

    /// Who this process is; the same for its whole life.
    pub fn subject(&self) -> Arc<Subject> {
        Arc::clone(&self.current.load().subject)
    }

    /// When the certificate in use ceases to be valid.
    pub fn expires_at(&self) -> SystemTime {
        self.current.load().expires_at
    }

    /// The files that `open` was given.
    pub fn files(&self) -> &CertificateFiles {
        &self.files
    }

    /// TLS for connections that are accepted now.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }

    /// TLS for connections that are dialled now.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().client)
    }
}

impl Loaded {
    fn new(files: &CertificateFiles, parsed: Parsed, fingerprint: [u8; 32]) -> Result<Self, TlsError> {
        let subject = Subject::of_certificate(&parsed.chain[0])?;
        let provider = Arc::new(ring::default_provider());
        let checked = check(&provider, &parsed.chain, &parsed.roots, subject.role(), UnixTime::now());
        checked.map_err(|error| TlsError::Untrusted {
            cert: files.cert.clone(),
            ca: files.ca.clone(),
            detail: error.to_string(),
        })?;
        let expires_at = expires_at(&provider, &parsed.chain)?;
        let roots = Arc::new(parsed.roots);
        Ok(Self {
            fingerprint,
            expires_at,
            server: server_config(&provider, &subject, &roots, &parsed.chain, parsed.key.clone_key())?,
            client: client_config(&provider, &subject, roots, parsed.chain, parsed.key)?,
            subject: Arc::new(subject),
        })
    }
}

/// A node's side: callers must show a certificate of its cluster.
pub(super) fn server_config(
    provider: &Arc<CryptoProvider>,
    subject: &Subject,
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
    let chain_verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
    let verifier = CallerVerifier { chain: chain_verifier, cluster: subject.cluster().to_owned() };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain.to_vec(), key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Every connection shows its certificate: a resumed one would outlive a CA that is trusted no more.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A dialer's side: the other end must be a node of its cluster.
pub(super) fn client_config(
    provider: &Arc<CryptoProvider>,
    subject: &Subject,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = NodeVerifier {
        roots,
        algorithms: provider.signature_verification_algorithms,
        cluster: subject.cluster().to_owned(),
    };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// Whether peers with the same CAs accept the chain at that time.
pub(super) fn check(
    provider: &CryptoProvider,
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    role: Role,
    time: UnixTime,
) -> Result<(), webpki::Error> {
    let usages = match role {
        Role::Node => vec![KeyUsage::client_auth(), KeyUsage::server_auth()],
        Role::Gateway | Role::Ctl => vec![KeyUsage::client_auth()],
    };
    let algorithms = provider.signature_verification_algorithms.all;
    let certificate = EndEntityCert::try_from(&chain[0])?;
    for usage in usages {
        certificate.verify_for_usage(algorithms, &roots.roots, &chain[1..], time, usage, None, None)?;
    }
    Ok(())
}

/// The end of the certificate's validity: what the verifier complains of at the end of time.
pub(super) fn expires_at(
    provider: &CryptoProvider,
    chain: &[CertificateDer<'_>],
) -> Result<SystemTime, TlsError> {
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let algorithms = provider.signature_verification_algorithms.all;
    let certificate = EndEntityCert::try_from(&chain[0]).map_err(TlsError::Certificate)?;
    let usage = KeyUsage::client_auth();
    match certificate.verify_for_usage(algorithms, &[], &[], end_of_time, usage, None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => {
            Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
        }
        Err(error) => Err(TlsError::Certificate(error)),
        Ok(_) => Err(TlsError::Certificate(webpki::Error::UnknownIssuer)),
    }
}
