//! Bytes that a client sends as its AuthToken: as they are, and with a good signature over them.
#![no_main]

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use pubky_common::auth::AuthToken;
use pubky_common::crypto::Keypair;

/// Bytes of the signature, which begins one byte into the namespace.
const SIGNATURE: usize = 64;
/// The time in microseconds, which must be the present.
const TIME: std::ops::Range<usize> = 75..83;
/// The key of the token.
const KEY: std::ops::Range<usize> = 83..115;

fn keypair() -> &'static Keypair {
    static KEYPAIR: OnceLock<Keypair> = OnceLock::new();
    KEYPAIR.get_or_init(|| Keypair::from_secret(&[7; 32]))
}

fuzz_target!(|data: &[u8]| {
    accepted(data);
    let mut signed = data.to_vec();
    if let Some(key) = signed.get_mut(KEY) {
        key.copy_from_slice(keypair().public_key().as_bytes());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
        signed[TIME].copy_from_slice(&u64::try_from(now).expect("fits for long").to_be_bytes());
        let signature = keypair().sign(&signed[SIGNATURE + 1..]);
        signed[..SIGNATURE].copy_from_slice(&signature.to_bytes());
        if let Some(user) = accepted(&signed) {
            assert_eq!(user, keypair().public_key());
        }
    }
});

/// Whoever the gateway takes it for; a token that parses is the same when it is written again.
fn accepted(bytes: &[u8]) -> Option<pubky_common::crypto::PublicKey> {
    if let Ok(token) = AuthToken::deserialize(bytes) {
        let again = AuthToken::deserialize(&token.serialize()).expect("it was one");
        assert_eq!(again.serialize(), token.serialize());
    }
    rowhouse_gateway::fuzzing::user_of(bytes).ok()
}
