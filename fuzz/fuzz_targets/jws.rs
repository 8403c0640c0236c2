//! Grants and proofs: text as it comes, and any header and claims under a good signature.
#![no_main]

use std::sync::OnceLock;

use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use pubky_common::auth::grant::GrantClaims;
use pubky_common::auth::jws::{ClientId, GrantId, finish_jws};
use pubky_common::capabilities::Capability;
use pubky_common::crypto::Keypair;
use rowhouse_proto::domain::jws::{check_expiry, check_signup, verify_grant, verify_pop};

/// A moment of 2026, in unix seconds.
const NOW_S: u64 = 1_790_000_000;
/// Parts the header from the claims.
const PARTING: u8 = 0;

fn keypair() -> &'static Keypair {
    static KEYPAIR: OnceLock<Keypair> = OnceLock::new();
    KEYPAIR.get_or_init(|| Keypair::from_secret(&[7; 32]))
}

/// A grant to a client whose key the fuzzer has.
fn grant() -> GrantClaims {
    GrantClaims {
        iss: keypair().public_key(),
        client_id: ClientId::new("pubky.signup").expect("well formed"),
        caps: vec![Capability::root()],
        cnf: keypair().public_key(),
        jti: GrantId::parse("AAAA").expect("well formed"),
        iat: NOW_S,
        exp: NOW_S + 60,
    }
}

fuzz_target!(|data: &[u8]| {
    let homeserver = keypair().public_key().z32();
    if let Ok(text) = std::str::from_utf8(data) {
        judge(text, &homeserver);
    }
    let mut parts = data.splitn(2, |byte| *byte == PARTING);
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let input = format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(claims));
    let signature = keypair().sign(input.as_bytes()).to_bytes();
    judge(&finish_jws(input, signature), &homeserver);
});

fn judge(text: &str, homeserver: &str) {
    if let Ok(claims) = verify_grant(text) {
        let expired = check_expiry(&claims, NOW_S).is_err();
        assert_eq!(expired, claims.exp <= NOW_S);
        if check_signup(&claims, NOW_S).is_ok() {
            assert!(claims.exp.saturating_sub(claims.iat) <= 300 && claims.iat <= NOW_S + 180);
        }
    }
    if let Ok(proof) = verify_pop(text, &grant(), homeserver, NOW_S) {
        assert_eq!((proof.aud.z32().as_str(), proof.gid), (homeserver, grant().jti));
        assert!(proof.iat.abs_diff(NOW_S) <= 180);
    }
}
