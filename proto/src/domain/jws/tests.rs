//! Each check alone, their order, and tampering with every part.

use pubky_common::auth::jws::{ClientId, GrantId, PopNonce, sign_jws};
use pubky_common::crypto::Keypair;
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

fn user() -> Keypair {
    Keypair::from_secret(&[1; 32])
}

fn client() -> Keypair {
    Keypair::from_secret(&[2; 32])
}

fn homeserver() -> Keypair {
    Keypair::from_secret(&[3; 32])
}

fn grant() -> GrantClaims {
    GrantClaims {
        iss: user().public_key(),
        client_id: ClientId::new("pubky.signup").expect("valid"),
        caps: vec![Capability::root()],
        cnf: client().public_key(),
        jti: GrantId::parse("grant-1").expect("valid"),
        iat: NOW,
        exp: NOW + 300,
    }
}

fn pop() -> PopProofClaims {
    PopProofClaims {
        aud: homeserver().public_key(),
        gid: GrantId::parse("grant-1").expect("valid"),
        nonce: PopNonce::parse("nonce-1").expect("valid"),
        iat: NOW,
    }
}

fn sign_pop(claims: &PopProofClaims) -> String {
    sign_jws(&client(), POP_JWS_TYP, claims)
}

fn verify(jws: &str) -> Result<PopProofClaims, ErrorCode> {
    verify_pop(jws, &grant(), &homeserver().public_key().z32(), NOW).map_err(|refusal| refusal.code)
}

fn grant_error(jws: &str) -> Option<ErrorCode> {
    verify_grant(jws).err().map(|refusal| refusal.code)
}

/// A token with any header, signed over whatever it says.
fn sign_raw(key: &Keypair, header: &serde_json::Value, payload: &[u8]) -> String {
    let header = serde_json::to_vec(header).expect("serializable");
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(input.as_bytes()).to_bytes();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The token with one part changed in its first character.
fn tamper(jws: &str, part: usize) -> String {
    let mut parts: Vec<String> = jws.split('.').map(str::to_owned).collect();
    let first = if parts[part].starts_with('e') { "f" } else { "e" };
    parts[part].replace_range(..1, first);
    parts.join(".")
}

/// `grant()` and `pop()` as Pubky's own crate signs them.
const GOLDEN_GRANT: &str = concat!(
    "eyJhbGciOiJFZERTQSIsInR5cCI6InB1Ymt5LWdyYW50In0.eyJpc3MiOiJ0a3JxOHptd2I4YTNtOWsxNWNzdTNxMTdxbWZn",
    "cW5wOWRza2JyZzl1cTFyeWRweXhwN3F5IiwiY2xpZW50X2lkIjoicHVia3kuc2lnbnVwIiwiY2FwcyI6WyIvOnJ3Il0sImNu",
    "ZiI6Im9yaHpxZGlleHdtaTZpaWRrdHVjZ3VkNjN1ZmE1bnd0c3V6ZHhlMTc2YThpemQ2anNxa3kiLCJqdGkiOiJncmFudC0x",
    "IiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDAzMDB9.W3oKwwEnRIqGoeU5iXHeVmZImrSXFZbw2kM-Emcq5LD2dNN",
    "W7t-94XTab8xPSgEmCqHLLnqhMcsWQSBJrIbnCg",
);
const GOLDEN_POP: &str = concat!(
    "eyJhbGciOiJFZERTQSIsInR5cCI6InB1Ymt5LXBvcCJ9.eyJhdWQiOiI3aXIxdHR0ZTQ4YmNwNHpqeWNoanlzY2ljcndpMWo",
    "zNG10dDkxcHRzYWZkYmptcjhnOWVvIiwiZ2lkIjoiZ3JhbnQtMSIsIm5vbmNlIjoibm9uY2UtMSIsImlhdCI6MTgwMDAwMDA",
    "wMH0.4FOtjmCJMNL9n7kF1nZmjCZ4_kZY7J7TyoodYl00A3NQSJ2kB4dXLztZtyHq0aOGbaHlzE6A23e1qptReVYmBQ",
);

#[test]
fn golden_tokens_verify_and_are_what_pubky_signs() {
    assert_eq!(verify_grant(GOLDEN_GRANT).expect("a good grant"), grant());
    assert_eq!(verify(GOLDEN_POP), Ok(pop()));
    assert_eq!(grant().sign(&user(), GRANT_JWS_TYP), GOLDEN_GRANT);
    assert_eq!(sign_pop(&pop()), GOLDEN_POP);
}

#[test]
fn every_tampered_part_of_a_grant_is_refused() {
    let jws = grant().sign(&user(), GRANT_JWS_TYP);
    assert_eq!(grant_error(&tamper(&jws, 0)), Some(ErrorCode::GrantSignature));
    assert_eq!(grant_error(&tamper(&jws, 1)), Some(ErrorCode::GrantFormat));
    assert_eq!(grant_error(&tamper(&jws, 2)), Some(ErrorCode::GrantSignature));
    for cut in [1, 10, 86] {
        assert_eq!(grant_error(&jws[..jws.len() - cut]), Some(ErrorCode::GrantSignature), "{cut}");
    }
    assert_eq!(grant_error(&format!("{jws}.x")), Some(ErrorCode::GrantSignature));
    for broken in ["", "a", "a.b", "a.b.c", "..", "é.é.é"] {
        assert_eq!(grant_error(broken), Some(ErrorCode::GrantFormat), "{broken}");
    }
}

#[test]
fn a_grant_claiming_another_issuer_is_refused() {
    let mut claims = grant();
    claims.iss = client().public_key();
    assert_eq!(grant_error(&claims.sign(&user(), GRANT_JWS_TYP)), Some(ErrorCode::GrantSignature));
}

#[test]
fn the_algorithm_belongs_to_the_signature_and_comes_before_the_type() {
    let payload = serde_json::to_vec(&grant()).expect("serializable");
    for alg in ["none", "HS256", "eddsa", "Ed25519"] {
        let jws = sign_raw(&user(), &json!({"alg": alg, "typ": "wrong"}), &payload);
        assert_eq!(grant_error(&jws), Some(ErrorCode::GrantSignature), "{alg}");
    }
    for header in [json!({"alg": "EdDSA", "typ": "JWT"}), json!({"alg": "EdDSA"})] {
        assert_eq!(
            grant_error(&sign_raw(&user(), &header, &payload)),
            Some(ErrorCode::GrantType),
            "{header}"
        );
    }
    let wrong_type_and_signer = sign_raw(&client(), &json!({"alg": "EdDSA", "typ": "JWT"}), &payload);
    assert_eq!(grant_error(&wrong_type_and_signer), Some(ErrorCode::GrantSignature));
}

#[test]
fn claims_out_of_their_bounds_are_a_format_error() {
    let header = json!({"alg": "EdDSA", "typ": GRANT_JWS_TYP});
    let good = serde_json::to_value(grant()).expect("serializable");
    for (field, value) in [
        ("jti", json!("has space")),
        ("jti", json!("x".repeat(23))),
        ("client_id", json!("")),
        ("caps", json!(["/pub/:x"])),
        ("iss", json!("pubky")),
        ("exp", json!(-1)),
    ] {
        let mut claims = good.clone();
        claims[field] = value;
        let jws = sign_raw(&user(), &header, claims.to_string().as_bytes());
        assert_eq!(grant_error(&jws), Some(ErrorCode::GrantFormat), "{field}");
    }
    let mut extra = good;
    extra["more"] = json!(1);
    assert_eq!(grant_error(&sign_raw(&user(), &header, extra.to_string().as_bytes())), None);
}

#[test]
fn a_grant_expires_at_its_second() {
    assert!(check_expiry(&grant(), NOW + 299).is_ok());
    let refusal = check_expiry(&grant(), NOW + 300).expect_err("expired");
    assert_eq!(refusal.code, ErrorCode::GrantExpiredPresented);
}

#[test]
fn every_tampered_part_of_a_proof_is_a_signature_error() {
    let jws = sign_pop(&pop());
    for part in 0..3 {
        assert_eq!(verify(&tamper(&jws, part)), Err(ErrorCode::PopSignature), "{part}");
    }
    for broken in ["", "a.b.c", "..", &format!("{jws}.x")] {
        assert_eq!(verify(broken), Err(ErrorCode::PopSignature), "{broken}");
    }
    assert_eq!(verify(&sign_jws(&user(), POP_JWS_TYP, &pop())), Err(ErrorCode::PopSignature));
}

#[test]
fn a_proof_is_checked_in_the_protocol_s_order() {
    let mut claims = pop();
    claims.iat = NOW - 181;
    assert_eq!(verify(&sign_pop(&claims)), Err(ErrorCode::PopTimestamp));
    claims.gid = GrantId::parse("grant-2").expect("valid");
    assert_eq!(verify(&sign_pop(&claims)), Err(ErrorCode::PopGrantId));
    claims.aud = user().public_key();
    assert_eq!(verify(&sign_pop(&claims)), Err(ErrorCode::PopAudience));
    assert_eq!(verify(&sign_jws(&client(), GRANT_JWS_TYP, &claims)), Err(ErrorCode::PopType));
    let header = json!({"alg": "EdDSA", "typ": POP_JWS_TYP});
    assert_eq!(verify(&sign_raw(&client(), &header, b"{}")), Err(ErrorCode::PopFormat));
}

#[test]
fn a_proof_s_window_is_180_seconds_both_ways_inclusive() {
    for (iat, good) in [(NOW - 180, true), (NOW + 180, true), (NOW - 181, false), (NOW + 181, false)] {
        let claims = PopProofClaims { iat, ..pop() };
        assert_eq!(verify(&sign_pop(&claims)).is_ok(), good, "{iat}");
    }
}

#[test]
fn signup_grants_are_checked_in_the_protocol_s_order() {
    let code = |claims: &GrantClaims| check_signup(claims, NOW).err().map(|refusal| refusal.code);
    let mut claims = grant();
    assert_eq!(code(&claims), None);
    claims.exp += 1;
    assert_eq!(code(&claims), Some(ErrorCode::SignupLifetime));
    claims.iat = NOW + 180;
    claims.exp = NOW + 480;
    assert_eq!(code(&claims), None);
    claims.iat = NOW + 181;
    claims.exp = 0;
    assert_eq!(code(&claims), Some(ErrorCode::SignupIatFuture));
    claims.caps = vec!["/:r".parse().expect("valid"), "/:w".parse().expect("valid")];
    assert_eq!(code(&claims), Some(ErrorCode::RootRequired));
    claims.client_id = ClientId::new("other.app").expect("valid");
    assert_eq!(code(&claims), Some(ErrorCode::SignupClientId));
}
