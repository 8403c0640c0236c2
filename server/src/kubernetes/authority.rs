//! The CA's Secret: which CA signs, which are trusted, and how one replaces another.
//!
//! A CA is never replaced in one step (docs/mtls.md): first both are trusted, then certificates are of the new one, then
//! the old one is dropped. Each step is taken by a later run, when every process has long read what the last one wrote.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rowhouse_peer::Authority;

use super::api_error::ApiError;
use super::secret::Secret;

/// Validity of a CA, in days.
pub const AUTHORITY_DAYS: u32 = 3_650;
/// Between two steps. Kubernetes brings a changed Secret to its pods within two minutes or so.
pub const STEP_PAUSE: Duration = Duration::from_secs(12 * 3600);
/// Certificates are backdated: clocks of other machines may be behind this one's.
const BACKDATED: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The CAs that are trusted, in PEM, one after the other.
pub const CERTIFICATES: &str = "ca.pem";
/// The key of the CA that signs.
const KEY: &str = "ca.key";
/// The CA that will sign after the next step.
const NEXT_CERTIFICATE: &str = "next.pem";
const NEXT_KEY: &str = "next.key";
/// Unix seconds of the last step of a replacement under way.
const STEPPED_AT: &str = "rowhouse/ca-stepped-at";
const END: &str = "-----END CERTIFICATE-----";

/// The CA's Secret, understood.
pub struct Cas {
    secret: Secret,
    cluster: String,
    signing: Authority,
    trusted: Vec<String>,
}

impl Cas {
    /// A first CA, in a Secret that is not saved yet.
    pub fn create(name: &str, cluster: &str, now: SystemTime) -> Result<Self, ApiError> {
        let signing = new_authority(cluster, now)?;
        let mut secret = Secret::new(name);
        secret.set(KEY, &signing.key_pem());
        secret.set(CERTIFICATES, signing.certificate_pem());
        Self::read(secret, cluster)
    }

    /// Understands a Secret. Refused if it does not hold a CA of this cluster.
    pub fn read(secret: Secret, cluster: &str) -> Result<Self, ApiError> {
        let name = secret.name().to_owned();
        let lacks = |what: &str| {
            ApiError::Refused(format!("Secret {name} is there, and {what}. Nothing is overwritten: mend it"))
        };
        let text = |key: &str| secret.text(key)?.ok_or_else(|| lacks(&format!("has no {key}")));
        let (certificates, key) = (text(CERTIFICATES)?, text(KEY)?);
        let trusted: Vec<String> =
            certificates.split_inclusive(END).filter(|pem| pem.contains(END)).map(ended).collect();
        let signing = trusted.iter().find_map(|pem| Authority::open(cluster, pem, &key).ok());
        let fits = format!("{KEY} is of no CA of cluster {cluster} in {CERTIFICATES}");
        let signing = signing.ok_or_else(|| lacks(&fits))?;
        Ok(Self { secret, cluster: cluster.to_owned(), signing, trusted })
    }

    /// The Secret, with what was decided.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The CA that signs now.
    pub fn signing(&self) -> &Authority {
        &self.signing
    }

    /// What every process must trust.
    pub fn bundle(&self) -> String {
        self.trusted.concat()
    }

    /// Whether one CA is replacing another, and we began it.
    pub fn is_stepping(&self) -> bool {
        self.secret.annotation(STEPPED_AT).is_some()
    }

    /// Somebody has not got the last step's files yet: the pause before the next one begins anew.
    pub fn wait_anew(&mut self, now: SystemTime) {
        let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.secret.annotate(STEPPED_AT, Some(now_s.to_string()));
    }

    /// Takes the next step if one is due, and says which. `renew_before`: how long before its end a CA is replaced.
    pub fn step(
        &mut self,
        renew_before: Duration,
        now: SystemTime,
    ) -> Result<Option<&'static str>, ApiError> {
        if let Some(since) = self.secret.annotation(STEPPED_AT) {
            let since = since.parse().ok().map(|since_s| UNIX_EPOCH + Duration::from_secs(since_s));
            if since.is_some_and(|since| now < since + STEP_PAUSE) {
                return Ok(None);
            }
            return if self.secret.text(NEXT_KEY)?.is_some() {
                self.hand_over(now).map(|()| Some("the next CA signs from now on"))
            } else {
                self.drop_old();
                Ok(Some("the old CA is trusted no more"))
            };
        }
        let expires = self.signing.expires_at().map_err(unusable)?;
        if now + renew_before < expires {
            return Ok(None);
        }
        let next = new_authority(&self.cluster, now)?;
        self.secret.set(NEXT_CERTIFICATE, next.certificate_pem());
        self.secret.set(NEXT_KEY, &next.key_pem());
        self.trusted.push(ended(next.certificate_pem()));
        self.secret.set(CERTIFICATES, &self.bundle());
        self.wait_anew(now);
        Ok(Some("the CA expires in a while: the next one is trusted beside it"))
    }

    fn hand_over(&mut self, now: SystemTime) -> Result<(), ApiError> {
        let missing =
            || ApiError::Refused(format!("Secret {}: {NEXT_CERTIFICATE} is missing", self.secret.name()));
        let certificate = self.secret.text(NEXT_CERTIFICATE)?.ok_or_else(missing)?;
        let key = self.secret.text(NEXT_KEY)?.unwrap_or_default();
        self.signing = Authority::open(&self.cluster, &certificate, &key).map_err(unusable)?;
        self.secret.set(KEY, &key);
        self.secret.remove(NEXT_CERTIFICATE);
        self.secret.remove(NEXT_KEY);
        self.wait_anew(now);
        Ok(())
    }

    fn drop_old(&mut self) {
        self.trusted = vec![ended(self.signing.certificate_pem())];
        self.secret.set(CERTIFICATES, &self.bundle());
        self.secret.annotate(STEPPED_AT, None);
    }
}

/// A certificate made now is valid for so many days.
pub fn valid_for(days: u32, now: SystemTime) -> Range<SystemTime> {
    now - BACKDATED..now + DAY * days
}

/// For `map_err`: what the CA refuses.
pub fn unusable(error: rowhouse_peer::TlsError) -> ApiError {
    ApiError::Refused(error.to_string())
}

fn new_authority(cluster: &str, now: SystemTime) -> Result<Authority, ApiError> {
    Authority::create(cluster, valid_for(AUTHORITY_DAYS, now)).map_err(unusable)
}

/// One certificate in PEM, ending with its line.
fn ended(pem: &str) -> String {
    format!("{}\n", pem.trim())
}
