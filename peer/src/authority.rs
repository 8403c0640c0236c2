//! A small private CA, for `rowhouse ctl certs create`, which keeps it in two files, and for tests.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::certificates::{check, expires_at};
use crate::{Role, Subject, TlsError};

/// Validity, both ways from now, of a certificate made only to see whether the CA's key and certificate fit.
const PROBE_VALID: Duration = Duration::from_secs(3600);

/// Signs certificates of one cluster.
pub struct Authority {
    cluster: String,
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Authority {
    /// Makes a new CA.
    pub fn create(cluster: &str, valid: Range<SystemTime>) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = authority_params(cluster)?;
        params.not_before = valid.start.into();
        params.not_after = valid.end.into();
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { cluster: cluster.to_owned(), issuer: Issuer::new(params, key), certificate_pem })
    }

    /// Goes on with the CA of this cluster that `create` made.
    pub fn open(cluster: &str, certificate_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let issuer = Issuer::new(authority_params(cluster)?, KeyPair::from_pem(key_pem)?);
        let opened =
            Self { cluster: cluster.to_owned(), issuer, certificate_pem: certificate_pem.to_owned() };
        match opened.signs_for(certificate_pem) {
            true => Ok(opened),
            false => Err(TlsError::ForeignAuthority(cluster.to_owned())),
        }
    }

    /// The CA's own certificate, which peers must trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The CA's private key. Its holder can be anybody in the cluster.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for one process of this cluster, with a new key.
    pub fn issue(&self, role: Role, name: &str, valid: Range<SystemTime>) -> Result<Issued, TlsError> {
        let subject = Subject::new(&self.cluster, role, name)?;
        let usages = match role {
            Role::Node => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Role::Gateway | Role::Ctl => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        self.sign(name, &[&subject.to_string()], usages, valid)
    }

    /// When the CA's own certificate ceases to be valid.
    pub fn expires_at(&self) -> Result<SystemTime, TlsError> {
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        let certificate = certificate.map_err(|_| TlsError::ForeignAuthority(self.cluster.clone()))?;
        expires_at(&ring::default_provider(), &[certificate])
    }

    /// When the certificate expires, if its process can use it at `now`: this CA made it, it is valid and of that
    /// process, and the key is its key. `None` if any of that is not so.
    pub fn expiry_of(&self, role: Role, name: &str, pair: &Issued, now: SystemTime) -> Option<SystemTime> {
        let certificate = CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes()).ok()?;
        let subject = Subject::new(&self.cluster, role, name).ok()?;
        let key = KeyPair::from_pem(&pair.key_pem).ok()?.subject_public_key_info();
        let parsed = EndEntityCert::try_from(&certificate).ok()?;
        if Subject::of_certificate(&certificate).ok()? != subject
            || parsed.subject_public_key_info().as_ref() != key
        {
            return None;
        }
        let provider = ring::default_provider();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).ok()?).ok()?;
        let (chain, now) = ([certificate], now.duration_since(SystemTime::UNIX_EPOCH).ok()?);
        check(&provider, &chain, &roots, role, UnixTime::since_unix_epoch(now)).ok()?;
        expires_at(&provider, &chain).ok()
    }

    /// A certificate with these URIs and usages, without judging them; for `issue` and for tests.
    pub(super) fn sign(
        &self,
        name: &str,
        uris: &[&str],
        usages: Vec<ExtendedKeyUsagePurpose>,
        valid: Range<SystemTime>,
    ) -> Result<Issued, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(&self.cluster, name);
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(Ia5String::try_from(*uri)?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        params.not_before = valid.start.into();
        params.not_after = valid.end.into();
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate_pem, key_pem: key.serialize_pem() })
    }

    /// Whether peers that trust that file accept a certificate made with this key.
    fn signs_for(&self, authorities_pem: &str) -> bool {
        let now = SystemTime::now();
        let Ok(probe) = self.issue(Role::Ctl, "probe", now - PROBE_VALID..now + PROBE_VALID) else {
            return false;
        };
        let authorities: Vec<_> =
            CertificateDer::pem_slice_iter(authorities_pem.as_bytes()).flatten().collect();
        let anchors: Vec<_> =
            authorities.iter().filter_map(|ca| webpki::anchor_from_trusted_cert(ca).ok()).collect();
        let Ok(probe) = CertificateDer::from_pem_slice(probe.certificate_pem.as_bytes()) else {
            return false;
        };
        let algorithms = ring::default_provider().signature_verification_algorithms.all;
        let usage = KeyUsage::client_auth();
        EndEntityCert::try_from(&probe).is_ok_and(|probe| {
            let verified =
                probe.verify_for_usage(algorithms, &anchors, &[], UnixTime::now(), usage, None, None);
            verified.is_ok()
        })
    }
}

/// Must be the same every time: certificates name their issuer by it.
fn authority_params(cluster: &str) -> Result<CertificateParams, TlsError> {
    // The name rules of subjects hold for clusters too.
    Subject::new(cluster, Role::Ctl, "ca")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(cluster, "Rowhouse CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn distinguished_name(cluster: &str, name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::OrganizationName, cluster);
    all.push(DnType::CommonName, name);
    all
}
