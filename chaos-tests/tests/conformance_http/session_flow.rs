//! Cookie sessions from signup to sign-out (docs/rules/protocol.md#cookie-sessions).

use pubky_common::session::CookieSessionRecord;
use rowhouse_chaos_tests::identity::{User, session_cookie, unix_now_s};
use rowhouse_chaos_tests::request::request;

use super::world::{Findings, World};

/// 26 letters of Crockford's base32 hold 16 bytes.
const SECRET_LETTERS: usize = 26;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    tokens(world, &mut findings).await;
    cookies(world, &mut findings).await;
    signout(world, &mut findings).await;
    findings.0
}

async fn tokens(world: &World, findings: &mut Findings) {
    let user = User::random();
    let token = user.auth_token();
    let unknown = world.send("POST", "/session", &[], &token).await;
    findings.refused("sign-in of an unknown user", &unknown, 404, "Not Found");
    let reused = world.send("POST", "/signup", &[], &token).await;
    findings.refused("a token is consumed even then", &reused, 400, "AuthToken already used");

    let mut forged = user.auth_token();
    forged[0] ^= 1;
    let refused = world.send("POST", "/signup", &[], &forged).await;
    findings.refused("a forged token", &refused, 400, "Invalid Signature");
    let mut newer = user.auth_token();
    newer[74] = 1;
    let refused = world.send("POST", "/signup", &[], &newer).await;
    findings.refused("a token of another version", &refused, 400, "Unknown version");
    let mut old = user.auth_token();
    old[75..83].copy_from_slice(&((unix_now_s() - 400) * 1_000_000).to_be_bytes());
    let refused = world.send("POST", "/signup", &[], &old).await;
    let text = "AuthToken has a timestamp that is more than 3 minutes in the past";
    findings.refused("an old token", &refused, 400, text);
    let cut = &user.auth_token()[..100];
    findings.status("a token cut short", &world.send("POST", "/signup", &[], cut).await, 400);

    let taken = world.send("POST", "/signup", &[], &world.alice.auth_token()).await;
    findings.refused("signup of a known user", &taken, 409, "User already exists");
    let token = world.alice.auth_token();
    let badly = world.send("POST", "/signup?signup_token=x", &[], &token).await;
    findings.refused(
        "a bad signup token",
        &badly,
        400,
        "Invalid signup token format: Invalid signup code id",
    );
    let taken = world.send("POST", "/signup", &[], &token).await;
    findings.refused("is refused before the token is consumed", &taken, 409, "User already exists");
}

async fn cookies(world: &World, findings: &mut Findings) {
    let user = User::random();
    let before = unix_now_s();
    let signup = world.send("POST", "/signup", &[], &user.auth_token()).await;
    findings.status("signup", &signup, 200);
    let content_type = signup.header("content-type").unwrap_or_default();
    findings.equal("signup: content-type", &content_type.as_str(), &"application/octet-stream");
    let record = CookieSessionRecord::deserialize(&signup.body);
    let micros = record.as_ref().map(CookieSessionRecord::created_at).unwrap_or_default();
    findings.holds("signup: created_at in microseconds", micros >= before * 1_000_000);
    findings.equal("signup: one cookie", &signup.headers("set-cookie").len(), &1);
    let cookie = signup.header("set-cookie").unwrap_or_default();
    let value = cookie.split(['=', ';']).nth(1).unwrap_or_default();
    findings.equal("cookie: letters", &value.len(), &SECRET_LETTERS);
    let crockford =
        |letter: char| letter.is_ascii_digit() || (letter.is_ascii_uppercase() && !"ILOU".contains(letter));
    findings.holds("cookie: alphabet", value.chars().all(crockford));
    let attributes = cookie.split_once("; ").map(|(_, attributes)| attributes).unwrap_or_default();
    let (attributes, expires) = attributes.split_once("Expires=").unwrap_or_default();
    findings.equal("cookie: attributes for an address", &attributes, &"HttpOnly; Path=/; Max-Age=31536000; ");
    findings.holds("cookie: Expires", expires.ends_with(" GMT"));

    for (host, secure) in [
        ("example.com", true),
        ("example.com:6286", true),
        (world.homeserver.z32().as_str(), true),
        ("localhost:6286", false),
        ("single", false),
        ("[::1]:6286", false),
        ("192.168.1.1", false),
    ] {
        let bytes = request("POST", "/session", host, &[], &user.auth_token());
        let Ok(signin) = world.exchange(&bytes, false).await else {
            findings.holds(&format!("sign-in with host {host}: an answer"), false);
            continue;
        };
        findings.status(&format!("sign-in with host {host}"), &signin, 200);
        let cookie = signin.header("set-cookie").unwrap_or_default();
        findings.equal(
            &format!("host {host}: Secure"),
            &cookie.contains("; SameSite=None; Secure; Path=/"),
            &secure,
        );
        findings.equal(&format!("host {host}: SameSite"), &cookie.contains("SameSite"), &secure);
    }

    let Ok(session) = session_cookie(&signup, &user) else { return };
    let headers = [("pubky-host", user.z32.as_str()), (session.header, session.value.as_str())];
    let whoami = world.send("GET", "/session", &headers, b"").await;
    findings.status("GET /session", &whoami, 200);
    let record = CookieSessionRecord::deserialize(&whoami.body);
    let seconds = record.as_ref().map(CookieSessionRecord::created_at).unwrap_or_default();
    findings
        .holds("GET /session: created_at in seconds", seconds >= before - 5 && seconds <= unix_now_s() + 5);
}

async fn signout(world: &World, findings: &mut Findings) {
    let user = User::random();
    let signup = world.send("POST", "/signup", &[], &user.auth_token()).await;
    let signin = world.send("POST", "/session", &[], &user.auth_token()).await;
    let (Ok(first), Ok(second)) = (session_cookie(&signup, &user), session_cookie(&signin, &user)) else {
        return findings.holds("two sessions", false);
    };
    let target = format!("/storage/{}/pub/x", user.z32);
    let put = async |cookie: &str| world.send("PUT", &target, &[("cookie", cookie)], b"1").await;
    findings.status("before sign-out", &put(&first.value).await, 201);
    for round in ["sign-out", "sign-out again"] {
        let headers = [("pubky-host", user.z32.as_str()), ("cookie", first.value.as_str())];
        let out = world.send("DELETE", "/session", &headers, b"").await;
        findings.status(round, &out, 200);
        let cookie = out.header("set-cookie").unwrap_or_default();
        let removes = cookie.starts_with(&format!("{}=;", user.z32)) && cookie.contains("Max-Age=0");
        findings.holds(&format!("{round}: removes the cookie"), removes);
    }
    findings.refused("after sign-out", &put(&first.value).await, 401, "No authenticated session found");
    findings.status("the other session lives", &put(&second.value).await, 201);
}
