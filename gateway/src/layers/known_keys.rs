//! A cache of valid public keys. The check of a key decompresses a curve point, which costs as much as the rest of a
//! read's routing, and users come back. Bounded, shared by all requests, and only about the form of a key: nothing here
//! says whether a user exists.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwapOption;
use pubky_common::crypto::PublicKey;

/// Places, each for one key: a few thousand active users a gateway, at some 150 bytes each.
const PLACES: usize = 8192;
/// z-base-32 characters of a 32-byte key.
pub const KEY_CHARS: usize = 52;

static KNOWN: LazyLock<KnownKeys> = LazyLock::new(KnownKeys::new);

struct Known {
    text: [u8; KEY_CHARS],
    key: PublicKey,
}

struct KnownKeys {
    /// Seeded at random, so that nobody can choose keys that push each other out.
    hasher: RandomState,
    places: Box<[ArcSwapOption<Known>]>,
}

impl KnownKeys {
    fn new() -> Self {
        let places = (0..PLACES).map(|_| ArcSwapOption::empty()).collect();
        Self { hasher: RandomState::new(), places }
    }

    fn parse(&self, text: &str) -> Option<PublicKey> {
        let Ok(text_bytes) = <[u8; KEY_CHARS]>::try_from(text.as_bytes()) else {
            // A name around a key: rare, and never the same length.
            return PublicKey::try_from_z32(text).ok();
        };
        let hash = self.hasher.hash_one(text_bytes);
        let place = &self.places[usize::try_from(hash % PLACES as u64).unwrap_or(0)];
        if let Some(known) = &*place.load()
            && known.text == text_bytes
        {
            return Some(known.key.clone());
        }
        let key = PublicKey::try_from_z32(text).ok()?;
        place.store(Some(Arc::new(Known { text: text_bytes, key: key.clone() })));
        Some(key)
    }
}

/// A key in z-base-32, or the last label of a longer name (docs/rules/protocol.md#whose-storage-is-meant).
pub fn parse_key(text: &str) -> Option<PublicKey> {
    KNOWN.parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    #[test]
    fn a_key_is_the_same_the_second_time_and_junk_never_becomes_one() {
        let known = KnownKeys::new();
        for _ in 0..100 {
            let key = Keypair::random().public_key();
            let text = key.z32();
            for _ in 0..3 {
                assert_eq!(known.parse(&text), Some(key.clone()));
            }
            // Same characters, another key or none: never the remembered one.
            let mut other = text.clone().into_bytes();
            other[7] = if other[7] == b'y' { b'b' } else { b'y' };
            let other = String::from_utf8(other).expect("ascii");
            assert_eq!(known.parse(&other), PublicKey::try_from_z32(&other).ok());
            assert_ne!(known.parse(&other), Some(key.clone()));
            assert_eq!(known.parse(&format!("_pubky.{text}")), Some(key));
        }
        for junk in [String::new(), "0".repeat(KEY_CHARS), "é".repeat(26), "y".repeat(51)] {
            assert_eq!(known.parse(&junk), None, "{junk}");
            assert_eq!(known.parse(&junk), None, "{junk}");
        }
    }
}
