//! A Secret with the certificates of processes: what it lacks, and what is about to expire.

use std::time::{Duration, SystemTime};

use rowhouse_peer::{Authority, Issued, Role};

use super::api_error::ApiError;
use super::authority::{CERTIFICATES, Cas, unusable, valid_for};
use super::secret::Secret;

/// A Secret, and whose certificates it shall hold.
pub struct Wanted<'a> {
    pub secret: &'a str,
    pub role: Role,
    pub names: &'a [String],
}

/// How long certificates are valid, and when they are renewed.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    pub days: u32,
    pub renew_before: Duration,
}

/// What is to be written.
#[derive(Debug)]
pub struct Change {
    pub secret: Secret,
    /// A line for people.
    pub said: String,
    /// Whether processes that read the Secret did not trust all CAs of now, or had a certificate of another one.
    pub was_behind: bool,
}

/// Whether the Secret has a certificate of anybody.
pub fn has_certificates(secret: &Secret) -> bool {
    secret.keys().any(|key| key.ends_with(".pem") && key != CERTIFICATES)
}

/// What must change in the Secret, `None` if nothing. Keys of other names stay: their processes may still run.
pub fn change(
    wanted: &Wanted<'_>,
    found: Option<Secret>,
    cas: &Cas,
    validity: Validity,
    now: SystemTime,
) -> Result<Option<Change>, ApiError> {
    let is_new = found.is_none();
    let mut secret = found.unwrap_or_else(|| Secret::new(wanted.secret));
    let bundle = cas.bundle();
    let mut was_behind = secret.text(CERTIFICATES)?.as_deref() != Some(bundle.as_str());
    let mut changed = was_behind;
    secret.set(CERTIFICATES, &bundle);
    let mut made = Vec::new();
    for name in wanted.names {
        let expiry = pair(&secret, name)?.map(|pair| cas.signing().expiry_of(wanted.role, name, &pair, now));
        if expiry.flatten().is_some_and(|expires| now + validity.renew_before < expires) {
            continue;
        }
        // Renewed for its age alone, it is of the CA of now already.
        was_behind |= expiry.is_some_and(|expires| expires.is_none());
        issue(&mut secret, cas.signing(), wanted.role, name, validity.days, now)?;
        made.push(format!("{name} {}", if expiry.is_some() { "renewed" } else { "added" }));
        changed = true;
    }
    if made.is_empty() {
        made.push("its CA".to_owned());
    }
    let what = if is_new { "made" } else { "changed" };
    let said = format!("Secret {} {what}: {}", wanted.secret, made.join(", "));
    Ok(changed.then_some(Change { secret, said, was_behind }))
}

/// The certificate and key under this name; `None` unless both are there.
fn pair(secret: &Secret, name: &str) -> Result<Option<Issued>, ApiError> {
    let certificate = secret.text(&format!("{name}.pem"))?;
    let key = secret.text(&format!("{name}.key"))?;
    Ok(certificate.zip(key).map(|(certificate_pem, key_pem)| Issued { certificate_pem, key_pem }))
}

fn issue(
    secret: &mut Secret,
    authority: &Authority,
    role: Role,
    name: &str,
    days: u32,
    now: SystemTime,
) -> Result<(), ApiError> {
    let issued = authority.issue(role, name, valid_for(days, now)).map_err(unusable)?;
    secret.set(&format!("{name}.pem"), &issued.certificate_pem);
    secret.set(&format!("{name}.key"), &issued.key_pem);
    Ok(())
}
