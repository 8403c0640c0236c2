//! Verification of grants and proofs of possession, in the protocol's order of checks
//! (docs/rules/protocol.md#grants-and-proofs). `pubky-common` signs and decodes these tokens but does not verify them.
//!
//! Nothing here remembers anything: replay guards, stored grants and users are the shard's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pubky_common::auth::grant::GrantClaims;
use pubky_common::auth::jws::{GRANT_JWS_TYP, POP_JWS_TYP};
use pubky_common::auth::pop::PopProofClaims;
use pubky_common::capabilities::Capability;
use pubky_common::crypto::{PublicKey, Signature};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ErrorCode;
use crate::refusal::Refusal;

/// The only signature algorithm of these tokens (RFC 8037).
const ALGORITHM: &str = "EdDSA";
/// How far a proof's or a signup grant's `iat` may be from now, in seconds; the protocol's own window.
pub const CLOCK_WINDOW_S: u64 = 180;
/// The longest life of a signup grant, in seconds.
const SIGNUP_LIFETIME_S: u64 = 300;
/// The one client id a signup grant may carry.
const SIGNUP_CLIENT_ID: &str = "pubky.signup";

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
}

/// Checks 1–3: format, signature under `iss`, header type. Expiry is `check_expiry`, because a proof
/// logout does not ask for it.
pub fn verify_grant(jws: &str) -> Result<GrantClaims, Refusal> {
    let claims = GrantClaims::decode(jws).map_err(|_| ErrorCode::GrantFormat)?;
    let header = verify_signature(jws, &claims.iss).ok_or(ErrorCode::GrantSignature)?;
    if header.typ.as_deref() != Some(GRANT_JWS_TYP) {
        return Err(ErrorCode::GrantType.into());
    }
    Ok(claims)
}

/// Check 4: the presented grant has not expired. `now_s` is in unix seconds.
pub fn check_expiry(grant: &GrantClaims, now_s: u64) -> Result<(), Refusal> {
    if grant.exp <= now_s {
        return Err(ErrorCode::GrantExpiredPresented.into());
    }
    Ok(())
}

/// Checks 6–10: signature under the grant's client key, type, audience, grant id, time.
pub fn verify_pop(
    jws: &str,
    grant: &GrantClaims,
    homeserver_z32: &str,
    now_s: u64,
) -> Result<PopProofClaims, Refusal> {
    let header = verify_signature(jws, &grant.cnf).ok_or(ErrorCode::PopSignature)?;
    let claims: PopProofClaims = decode_payload(jws).ok_or(ErrorCode::PopFormat)?;
    if header.typ.as_deref() != Some(POP_JWS_TYP) {
        return Err(ErrorCode::PopType.into());
    }
    if claims.aud.z32() != homeserver_z32 {
        return Err(ErrorCode::PopAudience.into());
    }
    if claims.gid != grant.jti {
        return Err(ErrorCode::PopGrantId.into());
    }
    check_pop_time(claims.iat, now_s)?;
    Ok(claims)
}

/// Check 10 by itself: the shard asks it again by its own time. Both times are in unix seconds.
pub fn check_pop_time(issued_at: u64, now_s: u64) -> Result<(), Refusal> {
    if now_s.abs_diff(issued_at) > CLOCK_WINDOW_S {
        return Err(ErrorCode::PopTimestamp.into());
    }
    Ok(())
}

/// The conditions beyond checks 1–4 under which a grant creates an account.
pub fn check_signup(grant: &GrantClaims, now_s: u64) -> Result<(), Refusal> {
    if grant.client_id.as_str() != SIGNUP_CLIENT_ID {
        return Err(ErrorCode::SignupClientId.into());
    }
    if !grant.caps.iter().any(Capability::is_root) {
        return Err(ErrorCode::RootRequired.into());
    }
    if grant.iat > now_s.saturating_add(CLOCK_WINDOW_S) {
        return Err(ErrorCode::SignupIatFuture.into());
    }
    if grant.exp.saturating_sub(grant.iat) > SIGNUP_LIFETIME_S {
        return Err(ErrorCode::SignupLifetime.into());
    }
    Ok(())
}

/// The header, if the token is well formed and signed by `key`.
fn verify_signature(jws: &str, key: &PublicKey) -> Option<Header> {
    let (signing_input, signature) = jws.rsplit_once('.')?;
    let (header, payload) = signing_input.split_once('.')?;
    if payload.contains('.') {
        return None;
    }
    let header: Header = decode_json(header)?;
    if header.alg != ALGORITHM {
        return None;
    }
    let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
    key.verify(signing_input.as_bytes(), &Signature::from_bytes(&signature)).ok()?;
    Some(header)
}

fn decode_payload<T: DeserializeOwned>(jws: &str) -> Option<T> {
    decode_json(jws.split('.').nth(1)?)
}

fn decode_json<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests;
