//! Bearers and cookie secrets: drawn by the gateway, known to shards by their SHA-256 only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pubky_common::crypto::random_bytes;
use sha2::{Digest, Sha256};

use super::slot::Slot;

/// SHA-256 of a secret's ASCII text: all that is ever stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// The hash of a bearer or a cookie's value.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// A hash from its bytes; `None` unless there are 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// A grant session's bearer: 43 base64url characters over 2 bytes of hash slot and 30 random ones
/// (docs/rules/protocol.md#bearers).
pub struct Bearer(String);

impl Bearer {
    /// Length of a bearer's text.
    pub const CHARS: usize = 43;

    /// Draws a bearer whose slot any gateway can read.
    pub fn generate(slot: Slot) -> Self {
        let mut bytes = random_bytes::<32>();
        bytes[..2].copy_from_slice(&slot.number().to_be_bytes());
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The bearer and the slot it carries. `None` unless it is 43 characters of base64url with a slot in range.
    pub fn parse(text: &str) -> Option<(Self, Slot)> {
        if text.len() != Self::CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let slot = Slot::new(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))?;
        Some((Self(text.to_owned()), slot))
    }

    /// The text that the client presents.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash that shards know the bearer by.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

/// A cookie session's secret: 26 characters of upper-case Crockford base32 over 16 random bytes.
pub struct CookieSecret(String);

impl CookieSecret {
    /// Draws a secret.
    pub fn generate() -> Self {
        Self(crockford(&random_bytes::<16>()))
    }

    /// The cookie's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash that shards know the session by.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

/// Draws a signup token: 7 random bytes, as `XXXX-XXXX-XXXX`.
pub fn draw_signup_token() -> String {
    let text = crockford(&random_bytes::<7>());
    format!("{}-{}-{}", &text[..4], &text[4..8], &text[8..])
}

fn crockford(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0);
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_tells_its_slot() {
        let slot = Slot::new(12_345).expect("in range");
        let bearer = Bearer::generate(slot);
        let (parsed, parsed_slot) = Bearer::parse(bearer.as_str()).expect("own bearer");
        assert_eq!(parsed_slot, slot);
        assert_eq!(parsed.hash(), bearer.hash());
    }

    #[test]
    fn foreign_bearers_are_refused() {
        assert!(Bearer::parse("").is_none());
        assert!(Bearer::parse(&"_".repeat(43)).is_none(), "slot out of range");
        assert!(Bearer::parse(&"A".repeat(42)).is_none());
        assert!(Bearer::parse(&"!".repeat(43)).is_none());
    }

    #[test]
    fn signup_tokens_have_their_form() {
        let token = draw_signup_token();
        let groups: Vec<&str> = token.split('-').collect();
        assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [4, 4, 4], "{token}");
        assert!(token.chars().all(|it| it == '-' || it.is_ascii_digit() || it.is_ascii_uppercase()));
        assert_ne!(token, draw_signup_token());
    }

    #[test]
    fn cookie_secrets_are_26_crockford_characters() {
        let secret = CookieSecret::generate();
        assert_eq!(secret.as_str().len(), 26);
        assert_eq!(crockford(&[0xFF; 5]), "ZZZZZZZZ");
        assert_eq!(crockford(&[0; 16]), "0".repeat(26));
    }
}
