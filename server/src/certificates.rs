//! A process's certificates: the flags that name them, and their renewal while it runs.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rowhouse_gateway::overview::CERTIFICATE_WARN_S;
use rowhouse_peer::{CertificateFiles, Certificates, Dialer, Role, TlsError};

use crate::error::Error;
use crate::settings::TlsSection;

/// How soon new files are used; looking costs three small reads.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Warnings begin this long before a certificate expires: time enough for a person to renew it by hand.
pub const WARN_BEFORE: Duration = Duration::from_secs(CERTIFICATE_WARN_S);

/// Flags of the tools that ask nodes: all three, or none for plaintext on loopback.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TlsArgs {
    /// Certificate with the role ctl: PEM. Needed where nodes demand certificates (mTLS).
    #[arg(long, value_name = "PATH", env = "ROWHOUSE_TLS__CERT", requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate: PEM, PKCS #8.
    #[arg(long, value_name = "PATH", env = "ROWHOUSE_TLS__KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Certificate of the cluster's CA; several while one replaces another.
    #[arg(long, value_name = "PATH", env = "ROWHOUSE_TLS__CA", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// All three files.
    pub fn new(files: CertificateFiles) -> Self {
        Self { tls_cert: Some(files.cert), tls_key: Some(files.key), tls_ca: Some(files.ca) }
    }

    /// These files as flags, for a command line.
    pub fn to_flags(&self) -> Vec<(&'static str, String)> {
        let named =
            [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key), ("--tls-ca", &self.tls_ca)];
        let given = named.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?)));
        given.map(|(flag, file)| (flag, file.to_string_lossy().into_owned())).collect()
    }

    /// Dials nodes with these certificates, or in plaintext without. Fails like [`open`].
    pub fn dialer(&self) -> Result<Dialer, Error> {
        let Self { tls_cert: cert, tls_key: key, tls_ca: ca } = self.clone();
        Ok(Dialer::new(open(&TlsSection { cert, key, ca }, Role::Ctl)?))
    }
}

/// The certificates that `[tls]` names, `None` without any. Fails if a file is missing or of no use, or if the
/// certificate is not of `role`.
pub fn open(section: &TlsSection, role: Role) -> Result<Option<Arc<Certificates>>, Error> {
    let Some(files) = section.files() else { return Ok(None) };
    let certificates = Certificates::open(files).map_err(unusable)?;
    let subject = certificates.subject();
    if subject.role() == role {
        return Ok(Some(Arc::new(certificates)));
    }
    let cert = certificates.files().cert.display();
    Err(Error::Usage(format!("{cert} is of {subject}; a certificate of role {role} is needed here")))
}

/// Tells when the certificate in use expires.
pub fn observe(certificates: Option<&Arc<Certificates>>) {
    let Some(certificates) = certificates.map(Arc::clone) else { return };
    opentelemetry::global::meter("rowhouse.process")
        .f64_observable_gauge("rowhouse.tls.certificate_expiry_time")
        .with_unit("s")
        .with_description("Unix time at which this process's certificate expires.")
        .with_callback(move |observer| {
            let expires = certificates.expires_at().duration_since(SystemTime::UNIX_EPOCH);
            observer.observe(expires.map_or(0.0, |since| since.as_secs_f64()), &[]);
        })
        .build();
}

fn unusable(error: TlsError) -> Error {
    let text = error.to_string();
    if error.may_pass() { Error::NotYet(text) } else { Error::Usage(text) }
}

/// Uses new files soon after they are written, and warns before certificates expire. Never ends.
pub async fn keep_fresh(certificates: Option<Arc<Certificates>>) -> Infallible {
    let Some(certificates) = certificates else { return std::future::pending().await };
    let mut told = String::new();
    let mut warned: Option<Instant> = None;
    loop {
        if warned.is_none_or(|last| last.elapsed() >= DAY) && warn_of_expiry(&certificates) {
            warned = Some(Instant::now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let refreshing = Arc::clone(&certificates);
        match tokio::task::spawn_blocking(move || refreshing.refresh()).await {
            Ok(Ok(true)) => {
                tracing::info!(subject = %certificates.subject(), "new certificates are in use");
                (told, warned) = (String::new(), None);
            }
            Ok(Ok(false)) => told.clear(),
            // Once for each state of the files: they may stay so for days.
            Ok(Err(error)) if error.to_string() != told => {
                tracing::warn!(%error, "the new certificates are of no use; the old ones stay in use");
                told = error.to_string();
            }
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(%error, "looking for new certificates failed"),
        }
    }
}

fn warn_of_expiry(certificates: &Certificates) -> bool {
    let left = certificates.expires_at().duration_since(SystemTime::now()).unwrap_or_default();
    let due = left < WARN_BEFORE;
    if due {
        let (cert, hours_left) = (certificates.files().cert.display(), left.as_secs() / 3600);
        tracing::warn!(%cert, hours_left, "the certificate is about to expire: replace its files, no restart is needed");
    }
    due
}
