//! The order of the checks on grants and proofs: of several flaws in one request, the one that is checked first answers
//! (docs/rules/protocol.md#grants-and-proofs).

use pubky_common::auth::jws::{GRANT_JWS_TYP, GrantId, POP_JWS_TYP, PopNonce, sign_jws};
use pubky_common::capabilities::Capability;
use pubky_common::crypto::Keypair;
use rowhouse_chaos_tests::identity::{Grant, User, grant_body, unix_now_s};

use super::world::{Findings, JSON, World};

/// A status and its whole text.
type Refusal = (u16, &'static str);

/// The checks that both routes begin with.
const GRANT: [Refusal; 4] = [
    (400, "Invalid grant: invalid grant format"),
    (401, "Invalid grant: invalid grant signature"),
    (400, "Invalid grant: invalid grant header type, expected pubky-grant"),
    (401, "Invalid grant: grant has expired"),
];
/// The checks of a proof, and its nonce.
const PROOF: [Refusal; 6] = [
    (401, "Invalid PoP proof: invalid PoP signature"),
    (401, "Invalid PoP proof: invalid PoP header type, expected pubky-pop"),
    (401, "Invalid PoP proof: PoP audience mismatch"),
    (401, "Invalid PoP proof: PoP grant ID mismatch"),
    (401, "Invalid PoP proof: PoP timestamp out of range"),
    (401, "PoP nonce already used"),
];
const REVOKED: Refusal = (401, "Grant has been revoked");
const UNKNOWN_USER: Refusal = (404, "Not Found");
/// Checks of a signup grant between its expiry and its proof.
const SIGNUP: [Refusal; 4] = [
    (400, "signup grants must use client_id pubky.signup"),
    (403, "Root capability required"),
    (400, "signup grant iat is too far in the future"),
    (400, "signup grant lifetime exceeds 5 minutes"),
];
const USER_EXISTS: Refusal = (409, "User already exists");
const LONG_AGO_S: u64 = 1_000;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    exchange(world, &mut findings).await;
    signup(world, &mut findings).await;
    findings.0
}

/// The flaws of a grant's text, from the given check on; `first` counts from 0.
fn flawed_grant(grant: &mut Grant, user: &User, first: usize) -> String {
    if first == 0 {
        return "a.b.c".to_owned();
    }
    if first <= 3 {
        grant.claims.exp = unix_now_s() - 1;
    }
    let typ = if first <= 2 { "other" } else { GRANT_JWS_TYP };
    let stranger = Keypair::random();
    sign_jws(if first <= 1 { &stranger } else { &user.keypair }, typ, &grant.claims)
}

/// The flaws of a proof, from the given check on; the nonce is the one to be used.
fn flawed_proof(world: &World, grant: &Grant, nonce: &PopNonce, first: usize) -> String {
    let mut claims = grant.pop_claims(&world.homeserver);
    claims.nonce = nonce.clone();
    if first <= 4 {
        claims.iat -= LONG_AGO_S;
    }
    if first <= 3 {
        claims.gid = GrantId::generate();
    }
    if first <= 2 {
        claims.aud = Keypair::random().public_key();
    }
    let typ = if first <= 1 { "other" } else { POP_JWS_TYP };
    let stranger = Keypair::random();
    sign_jws(if first == 0 { &stranger } else { &grant.client }, typ, &claims)
}

async fn exchange(world: &World, findings: &mut Findings) {
    let route = "/auth/grant/session";
    let ask = async |method: &str, body: String| world.send(method, route, &[JSON], body.as_bytes()).await;
    let revoked = Grant::session(&world.alice);
    let mint = ask("POST", revoked.body(&world.alice, &world.homeserver)).await;
    findings.status("order: the grant to revoke", &mint, 200);
    let revoke = ask("DELETE", revoked.body(&world.alice, &world.homeserver)).await;
    findings.status("order: its logout", &revoke, 200);
    let spent = PopNonce::generate();
    for (first, (status, text)) in GRANT.into_iter().chain([REVOKED]).enumerate() {
        let mut grant = Grant { claims: revoked.claims.clone(), client: revoked.client.clone() };
        let proof = flawed_proof(world, &grant, &spent, 0);
        let body = grant_body(&flawed_grant(&mut grant, &world.alice, first), &proof);
        findings.refused(&format!("exchange: flaws from {first} on"), &ask("POST", body).await, status, text);
    }

    // Nobody knows the stranger: the last of all reasons.
    let stranger = User::random();
    let grant = Grant::session(&stranger);
    let body = |first| grant_body(&grant.jws(&stranger), &flawed_proof(world, &grant, &spent, first));
    let (status, text) = UNKNOWN_USER;
    findings.refused("exchange: an unknown user", &ask("POST", body(6)).await, status, text);
    for (first, (status, text)) in PROOF.into_iter().enumerate() {
        let answer = ask("POST", body(first)).await;
        findings.refused(&format!("exchange: flaws of the proof from {first} on"), &answer, status, text);
    }
}

async fn signup(world: &World, findings: &mut Findings) {
    let ask = async |body: String| world.send("POST", "/auth/grant/signup", &[JSON], body.as_bytes()).await;
    let spent = PopNonce::generate();
    let refusals = GRANT.into_iter().chain(SIGNUP).chain(PROOF).chain([USER_EXISTS]);
    // The known user's nonce is spent by a first refusal, which says that the user exists.
    let last = GRANT.len() + SIGNUP.len() + PROOF.len();
    let order: Vec<_> = refusals.enumerate().collect();
    for (first, (status, text)) in [order[last]].into_iter().chain(order[..last].iter().copied()) {
        let user = &world.alice;
        let now = unix_now_s();
        let (client, caps) =
            (if first <= 4 { "other.app" } else { "pubky.signup" }, Capability::read_write("/pub/"));
        let caps = if first <= 5 { caps.expect("well formed") } else { Capability::root() };
        let mut grant = Grant::new(user, client, 240, vec![caps]);
        (grant.claims.iat, grant.claims.exp) = match first {
            ..=6 => (now + 400, now + 800),
            7 => (now, now + 301),
            _ => (grant.claims.iat, grant.claims.exp),
        };
        let jws = flawed_grant(&mut grant, user, first);
        let proof = flawed_proof(world, &grant, &spent, first.saturating_sub(GRANT.len() + SIGNUP.len()));
        let answer = ask(grant_body(&jws, &proof)).await;
        findings.refused(&format!("grant signup: flaws from {first} on"), &answer, status, text);
    }
}
