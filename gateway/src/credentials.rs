//! The credentials a client presented: a bearer, the tenant's cookie, both or neither. Reading them never
//! refuses anything; whether they live is the shard's to say.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::secret::{Bearer, SecretHash};
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::shard::{Credential, credential};

/// Characters of a cookie secret; a value of another length was never issued.
const COOKIE_CHARS: usize = 26;
/// The scheme is compared as written (docs/rules/protocol.md#bearers).
const BEARER: &str = "Bearer ";

/// Hashes of what the client presented. None of them is known to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    pub bearer: Option<BearerHash>,
    pub cookie: Option<SecretHash>,
}

/// A bearer's hash and the slot of the user it was drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BearerHash {
    pub hash: SecretHash,
    pub slot: Slot,
}

impl Credentials {
    /// `tenant` names the cookie that counts; without a tenant none does.
    pub fn of(headers: &HeaderMap, tenant: Option<&PublicKey>) -> Self {
        Self { bearer: bearer(headers), cookie: tenant.and_then(|tenant| cookie(headers, tenant)) }
    }

    /// The client presented nothing that could live.
    pub fn is_empty(&self) -> bool {
        self.bearer.is_none() && self.cookie.is_none()
    }
}

impl BearerHash {
    /// The bearer as commands and queries carry it.
    pub fn wire(self) -> Credential {
        let hash = self.hash.0.to_vec().into();
        Credential { kind: Some(credential::Kind::BearerHash(hash)) }
    }
}

/// A cookie as commands and queries carry it.
pub fn cookie_wire(hash: SecretHash) -> Credential {
    Credential { kind: Some(credential::Kind::CookieHash(hash.0.to_vec().into())) }
}

/// Whether the scheme is a bearer's, whatever follows it.
pub fn is_bearer_scheme(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(BEARER.as_bytes()))
}

fn bearer(headers: &HeaderMap) -> Option<BearerHash> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix(BEARER)?;
    let (bearer, slot) = Bearer::parse(token)?;
    Some(BearerHash { hash: bearer.hash(), slot })
}

/// The last cookie counts where several have the tenant's name.
fn cookie(headers: &HeaderMap, tenant: &PublicKey) -> Option<SecretHash> {
    if !headers.contains_key(COOKIE) {
        return None;
    }
    let name = tenant.z32();
    let secret = headers
        .get_all(COOKIE)
        .iter()
        .rev()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';').rev())
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(candidate, _)| candidate.trim_end() == name)
        .map(|(_, value)| value.trim_start())?;
    (secret.len() == COOKIE_CHARS).then(|| SecretHash::of(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;
    use rowhouse_proto::domain::secret::CookieSecret;

    fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("header value")))
            .collect()
    }

    #[test]
    fn bearers_are_matched_to_the_letter() {
        let user = Keypair::random().public_key();
        let bearer = Bearer::generate(Slot::of_user(&user));
        let of = |value: String| Credentials::of(&headers(&[("authorization", value)]), None).bearer;
        let found = of(format!("Bearer {}", bearer.as_str())).expect("well formed");
        assert_eq!((found.hash, found.slot), (bearer.hash(), Slot::of_user(&user)));
        for wrong in [
            format!("bearer {}", bearer.as_str()),
            format!("Bearer  {}", bearer.as_str()),
            format!("Bearer {}A", bearer.as_str()),
            format!("Bearer {}", &bearer.as_str()[1..]),
            "Bearer".into(),
            "Basic YTpi".into(),
        ] {
            assert_eq!(of(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_tenants_own_cookie_counts() {
        let (user, other) = (Keypair::random().public_key(), Keypair::random().public_key());
        let (secret, foreign) = (CookieSecret::generate(), CookieSecret::generate());
        let value = format!("a=b; {}={};  {}={}", other.z32(), foreign.as_str(), user.z32(), secret.as_str());
        let sent = headers(&[("cookie", value)]);
        assert_eq!(Credentials::of(&sent, Some(&user)).cookie, Some(secret.hash()));
        assert_eq!(Credentials::of(&sent, Some(&other)).cookie, Some(foreign.hash()));
        assert_eq!(Credentials::of(&sent, None), Credentials::default());
        assert!(Credentials::of(&sent, Some(&Keypair::random().public_key())).is_empty());
    }

    #[test]
    fn junk_cookies_are_no_cookies() {
        let user = Keypair::random().public_key();
        for value in [
            String::new(),
            ";;;=;=".into(),
            user.z32(),
            format!("{}=", user.z32()),
            format!("{}=short", user.z32()),
            format!("{}={}", user.z32(), "A".repeat(300)),
        ] {
            assert_eq!(Credentials::of(&headers(&[("cookie", value)]), Some(&user)).cookie, None);
        }
    }
}
