//! The three files: this process's certificate (with intermediates, if any), its key, and the CA.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{TlsError, is_exposed};

/// A chain and a bundle of CAs take a few KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Certificates in one file: a chain, or the CAs of a rotation.
const CERTIFICATES_MAX: usize = 16;

/// Paths of the three files, all in PEM. The key's file must not be open to other users (`is_exposed`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// All CAs whose certificates are trusted: two while one replaces the other.
    pub ca: PathBuf,
}

/// The bytes of the three files.
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

/// The files' contents, not checked against each other.
pub(super) struct Parsed {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub roots: RootCertStore,
}

impl CertificateFiles {
    /// The files of one identity as `rowhouse ctl certs create` lays them out.
    pub fn in_folder(folder: &Path, name: &str) -> Self {
        Self {
            cert: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
            ca: folder.join("ca.pem"),
        }
    }

    /// Reads all three, at most 256 KiB each. Refuses a key that other users could read.
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let key = std::fs::metadata(&self.key).map_err(|source| unreadable(&self.key, source))?;
        if is_exposed(&key) {
            return Err(TlsError::KeyExposed(self.key.clone()));
        }
        Ok(Contents { cert: read(&self.cert)?, key: read(&self.key)?, ca: read(&self.ca)? })
    }

    /// Refuses what is not PEM, and more than 16 certificates in one file.
    pub(super) fn parse(&self, contents: &Contents) -> Result<Parsed, TlsError> {
        let chain = certificates(&self.cert, &contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| malformed(&self.key, format!("no private key in PEM: {error}")))?;
        let mut roots = RootCertStore::empty();
        for ca in certificates(&self.ca, &contents.ca)? {
            roots.add(ca).map_err(|error| malformed(&self.ca, error.to_string()))?;
        }
        Ok(Parsed { chain, key, roots })
    }
}

impl Contents {
    /// Tells whether files have changed, without keeping the key.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for bytes in [&self.cert, &self.key, &self.ca] {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        hasher.finalize().into()
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(CERTIFICATES_MAX + 1).collect();
    let found = found.map_err(|error| malformed(path, format!("not PEM: {error}")))?;
    match found.len() {
        0 => Err(malformed(path, "no certificate in PEM".to_owned())),
        count if count > CERTIFICATES_MAX => {
            Err(malformed(path, format!("more than {CERTIFICATES_MAX} certificates")))
        }
        _ => Ok(found),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|source| unreadable(path, source))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(malformed(path, format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, source: std::io::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), source }
}

fn malformed(path: &Path, detail: String) -> TlsError {
    TlsError::Malformed { path: path.to_owned(), detail }
}
