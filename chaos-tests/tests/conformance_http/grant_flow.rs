//! Grants: signup, exchange, bearers, logout (docs/rules/protocol.md#grants-and-proofs).

use pubky_common::auth::jws::{ClientId, GRANT_JWS_TYP, POP_JWS_TYP, sign_jws};
use pubky_common::capabilities::Capability;
use pubky_common::crypto::Keypair;
use rowhouse_chaos_tests::http1::Response;
use rowhouse_chaos_tests::identity::{Grant, User, bearer, grant_body, unix_now_s};

use super::world::{Findings, JSON, World};

/// Proofs may be this old (docs/rules/protocol.md#grants-and-proofs, check 10).
const POP_WINDOW_S: u64 = 180;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    signup(world, &mut findings).await;
    bad_grants(world, &mut findings).await;
    bad_proofs(world, &mut findings).await;
    lifetime(world, &mut findings).await;
    logout(world, &mut findings).await;
    findings.0
}

async fn post(world: &World, route: &str, body: &str) -> Response {
    world.send("POST", route, &[JSON], body.as_bytes()).await
}

async fn exchange(world: &World, body: &str) -> Response {
    post(world, "/auth/grant/session", body).await
}

async fn signup(world: &World, findings: &mut Findings) {
    let route = "/auth/grant/signup";
    let user = User::random();
    let done = post(world, route, &Grant::signup(&user).body(&user, &world.homeserver)).await;
    findings.refused("grant signup", &done, 204, "");
    findings.holds("grant signup: no cookie", done.header("set-cookie").is_none());
    let again = post(world, route, &Grant::signup(&user).body(&user, &world.homeserver)).await;
    findings.refused("grant signup of a known user", &again, 409, "User already exists");

    let stranger = User::random();
    let mut grant = Grant::signup(&stranger);
    grant.claims.client_id = ClientId::new("other.app").expect("well formed");
    let refused = post(world, route, &grant.body(&stranger, &world.homeserver)).await;
    findings.refused("another client id", &refused, 400, "signup grants must use client_id pubky.signup");
    let mut grant = Grant::signup(&stranger);
    grant.claims.caps = vec![Capability::read_write("/pub/app/").expect("well formed")];
    let refused = post(world, route, &grant.body(&stranger, &world.homeserver)).await;
    findings.refused("without root", &refused, 403, "Root capability required");
    let mut grant = Grant::signup(&stranger);
    grant.claims.exp = grant.claims.iat + 301;
    let refused = post(world, route, &grant.body(&stranger, &world.homeserver)).await;
    findings.refused("too long a life", &refused, 400, "signup grant lifetime exceeds 5 minutes");
    let mut grant = Grant::signup(&stranger);
    grant.claims.iat += POP_WINDOW_S + 60;
    grant.claims.exp = grant.claims.iat + 60;
    let refused = post(world, route, &grant.body(&stranger, &world.homeserver)).await;
    findings.refused("from the future", &refused, 400, "signup grant iat is too far in the future");
}

async fn bad_grants(world: &World, findings: &mut Findings) {
    let (user, homeserver) = (&world.alice, &world.homeserver);
    let grant = Grant::session(user);
    let by_other = sign_jws(&Keypair::random(), GRANT_JWS_TYP, &grant.claims);
    let refused = exchange(world, &grant_body(&by_other, &grant.pop(homeserver))).await;
    findings.refused("a grant another key signed", &refused, 401, "Invalid grant: invalid grant signature");
    let other_type = sign_jws(&user.keypair, "other", &grant.claims);
    let refused = exchange(world, &grant_body(&other_type, &grant.pop(homeserver))).await;
    let text = "Invalid grant: invalid grant header type, expected pubky-grant";
    findings.refused("a grant of another type", &refused, 400, text);
    let mut grant = Grant::session(user);
    grant.claims.exp = unix_now_s() - 1;
    let refused = exchange(world, &grant.body(user, homeserver)).await;
    findings.refused("an expired grant", &refused, 401, "Invalid grant: grant has expired");
    let stranger = User::random();
    let refused = exchange(world, &Grant::session(&stranger).body(&stranger, homeserver)).await;
    findings.refused("a grant of an unknown user", &refused, 404, "Not Found");

    // The reference lets a foreign grant with a known id act for that id's owner; here it must not.
    let known = Grant::session(user);
    findings.status("alice's grant", &exchange(world, &known.body(user, homeserver)).await, 200);
    let mut foreign = Grant::session(&world.bob);
    foreign.claims.jti = known.claims.jti.clone();
    let stolen = exchange(world, &foreign.body(&world.bob, homeserver)).await;
    if let Ok(session) = bearer(&stolen) {
        let target = format!("/storage/{}/pub/app/stolen", user.z32);
        let put = world.send("PUT", &target, &[(session.header, &session.value)], b"1").await;
        findings.holds("a foreign grant with a known id writes nothing", put.status != 201);
    }
}

async fn bad_proofs(world: &World, findings: &mut Findings) {
    let (user, homeserver) = (&world.alice, &world.homeserver);
    let grant = Grant::session(user);
    let jws = grant.jws(user);
    let by_other = sign_jws(&Keypair::random(), POP_JWS_TYP, &grant.pop_claims(homeserver));
    let refused = exchange(world, &grant_body(&jws, &by_other)).await;
    findings.refused("another key's proof", &refused, 401, "Invalid PoP proof: invalid PoP signature");
    let other_type = sign_jws(&grant.client, "other", &grant.pop_claims(homeserver));
    let refused = exchange(world, &grant_body(&jws, &other_type)).await;
    let text = "Invalid PoP proof: invalid PoP header type, expected pubky-pop";
    findings.refused("a proof of another type", &refused, 401, text);
    let elsewhere = grant.pop(&Keypair::random().public_key());
    let refused = exchange(world, &grant_body(&jws, &elsewhere)).await;
    findings.refused("a proof for another server", &refused, 401, "Invalid PoP proof: PoP audience mismatch");
    let other = Grant::session(user);
    let mut claims = other.pop_claims(homeserver);
    claims.nonce = grant.pop_claims(homeserver).nonce;
    let refused = exchange(world, &grant_body(&jws, &sign_jws(&grant.client, POP_JWS_TYP, &claims))).await;
    findings.refused("a proof for another grant", &refused, 401, "Invalid PoP proof: PoP grant ID mismatch");
    let mut claims = grant.pop_claims(homeserver);
    claims.iat -= POP_WINDOW_S + 30;
    let refused = exchange(world, &grant_body(&jws, &sign_jws(&grant.client, POP_JWS_TYP, &claims))).await;
    findings.refused("an old proof", &refused, 401, "Invalid PoP proof: PoP timestamp out of range");
    let body = grant.body(user, homeserver);
    findings.status("a good proof", &exchange(world, &body).await, 200);
    findings.refused("the same again", &exchange(world, &body).await, 401, "PoP nonce already used");
}

async fn lifetime(world: &World, findings: &mut Findings) {
    let (user, homeserver) = (&world.alice, &world.homeserver);
    let grant = Grant::session(user);
    let first = exchange(world, &grant.body(user, homeserver)).await;
    findings.status("exchange", &first, 200);
    let json: serde_json::Value = serde_json::from_slice(&first.body).unwrap_or_default();
    let session = &json["session"];
    findings.equal("exchange: token", &json["token"].as_str().map(str::len), &Some(43));
    findings.equal("exchange: pubky", &session["pubky"].as_str(), &Some(user.z32.as_str()));
    findings.equal("exchange: homeserver", &session["homeserver"].as_str(), &Some(homeserver.z32().as_str()));
    findings.equal(
        "exchange: client_id",
        &session["client_id"].as_str(),
        &Some(grant.claims.client_id.as_str()),
    );
    findings.equal("exchange: grant_id", &session["grant_id"].as_str(), &Some(grant.claims.jti.as_str()));
    findings.equal(
        "exchange: grant_expires_at",
        &session["grant_expires_at"].as_u64(),
        &Some(grant.claims.exp),
    );
    let expires = session["token_expires_at"].as_u64().unwrap_or_default();
    findings.holds("exchange: an hour to live", expires.abs_diff(unix_now_s() + 3600) < 120);
    findings.holds(
        "exchange: created_at",
        session["created_at"].as_u64().is_some_and(|at| at.abs_diff(unix_now_s()) < 120),
    );
    findings.holds(
        "exchange: capabilities",
        session["capabilities"].as_array().is_some_and(|list| list.len() == 1),
    );

    let second = exchange(world, &grant.body(user, homeserver)).await;
    let (Ok(old), Ok(new)) = (bearer(&first), bearer(&second)) else {
        return findings.holds("two bearers", false);
    };
    let target = format!("/storage/{}/pub/app/minted", user.z32);
    let put = async |value: &str| world.send("PUT", &target, &[("authorization", value)], b"1").await;
    findings.refused(
        "minting ends the old bearer",
        &put(&old.value).await,
        401,
        "No authenticated session found",
    );
    findings.status("the new one lives", &put(&new.value).await, 201);

    let mut short = Grant::session(user);
    short.claims.exp = unix_now_s() + 60;
    let capped = exchange(world, &short.body(user, homeserver)).await;
    let json: serde_json::Value = serde_json::from_slice(&capped.body).unwrap_or_default();
    let expires = json["session"]["token_expires_at"].as_u64();
    findings.equal("a bearer never outlives its grant", &expires, &Some(short.claims.exp));
}

async fn logout(world: &World, findings: &mut Findings) {
    let (user, homeserver) = (&world.alice, &world.homeserver);
    let route = "/auth/grant/session";
    let target = format!("/storage/{}/pub/app/logout", user.z32);
    let put = async |value: &str| world.send("PUT", &target, &[("authorization", value)], b"1").await;

    let grant = Grant::session(user);
    let minted = exchange(world, &grant.body(user, homeserver)).await;
    let Ok(session) = bearer(&minted) else { return findings.holds("a bearer", false) };
    for round in ["bearer logout", "bearer logout again"] {
        let out = world.send("DELETE", route, &[("authorization", &session.value)], b"").await;
        findings.refused(round, &out, 200, "");
    }
    findings.status("a revoked bearer", &put(&session.value).await, 401);
    let again = exchange(world, &grant.body(user, homeserver)).await;
    findings.refused("a revoked grant", &again, 401, "Grant has been revoked");

    let grant = Grant::session(user);
    let minted = exchange(world, &grant.body(user, homeserver)).await;
    let Ok(session) = bearer(&minted) else { return findings.holds("a bearer", false) };
    for round in ["proof logout", "proof logout again"] {
        let body = grant.body(user, homeserver);
        let out = world.send("DELETE", route, &[JSON], body.as_bytes()).await;
        findings.refused(round, &out, 200, "");
    }
    findings.status("a bearer revoked by proof", &put(&session.value).await, 401);
    let unknown = Grant::session(user).body(user, homeserver);
    let out = world.send("DELETE", route, &[JSON], unknown.as_bytes()).await;
    findings.refused("proof logout of an unknown grant", &out, 404, "Not Found");
}
