//! Cookie sessions beside bearers, the bytes of tokens and records, and how many sessions a user has
//! (docs/rules/protocol.md#cookie-sessions).

use std::net::{IpAddr, Ipv4Addr};

use pubky_common::capabilities::Capability;
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{Grant, User, bearer, session_cookie, unix_now_s};
use rowhouse_chaos_tests::request::request;

use super::world::{Findings, JSON, World};

/// docs/decisions/012-sessions-are-bounded.md.
const SESSIONS_MAX: usize = 1_024;
/// Attempts are counted by address; the world's own come from 127.0.0.1.
const BUSY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 78));
/// Sign-ins under way at once.
const LANES: usize = 16;
/// Times a lane waits for its address's budget of attempts.
const WAITS_MAX: usize = 60;
const NO_SESSION: &str = "No authenticated session found";
/// Tokens and records of a new session count them.
const MICROS: u64 = 1_000_000;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    record_bytes(world, &mut findings).await;
    token_bytes(world, &mut findings).await;
    beside_bearers(world, &mut findings).await;
    findings.0
}

/// A session record: version, key, time, two empty names, capabilities as the token has them.
async fn record_bytes(world: &World, findings: &mut Findings) {
    let user = &world.alice;
    // Not in canonical order, and one within the other: stored as they are.
    let signin =
        world.send("POST", "/session", &[], &user.auth_token_for("/pub/b/:w,/pub/:rw,/pub/a/:r")).await;
    findings.status("record: sign-in", &signin, 200);
    let Ok(session) = session_cookie(&signin, user) else { return findings.holds("record: a cookie", false) };
    let headers = [("pubky-host", user.z32.as_str()), ("cookie", session.value.as_str())];
    let read = world.send("GET", "/session", &headers, b"").await;
    let mut times = Vec::new();
    for (what, answer) in [("POST", &signin), ("GET", &read)] {
        let body = &answer.body;
        let key = user.public_key();
        findings.equal(&format!("record of {what}: version"), &body.first(), &Some(&0));
        findings.equal(&format!("record of {what}: key"), &body.get(1..33), &Some(&key.as_bytes()[..]));
        let rest = body.get(33..).unwrap_or_default();
        let length = rest.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
        times.push(rest[..length].iter().rev().fold(0_u64, |sum, byte| sum << 7 | u64::from(byte & 0x7F)));
        let expected = b"\0\0\x03\x09/pub/b/:w\x08/pub/:rw\x09/pub/a/:r";
        findings.equal(
            &format!("record of {what}: names and capabilities"),
            &&rest[length..],
            &&expected[..],
        );
    }
    findings.equal("record: micros in POST, seconds in GET", &(times[0] / MICROS), &times[1]);
}

/// An AuthToken, byte by byte. Its signature begins at the second letter of the namespace.
fn auth_token(user: &User, version: u8, micros: u64, capabilities: &str) -> Vec<u8> {
    let mut token = vec![0; 64];
    token.extend_from_slice(b"PUBKY:AUTH");
    token.push(version);
    token.extend_from_slice(&micros.to_be_bytes());
    token.extend_from_slice(user.public_key().as_bytes());
    token.push(u8::try_from(capabilities.len()).expect("a short list"));
    token.extend_from_slice(capabilities.as_bytes());
    let signature = user.keypair.sign(&token[65..]);
    token[..64].copy_from_slice(&signature.to_bytes());
    token
}

async fn token_bytes(world: &World, findings: &mut Findings) {
    let user = &world.alice;
    let mut micros = unix_now_s() * MICROS;
    let mut signin = async |capabilities: &str| {
        micros += 1;
        world.send("POST", "/session", &[], &auth_token(user, 0, micros, capabilities)).await
    };
    for good in
        ["", "/:rw", "/pub/app/:wr", "/pub/app/:rrw", "/pub/app/:e", "/pub/a/:r,/pub/a/:r", "/pub/x:w"]
    {
        findings.status(&format!("capabilities {good:?}"), &signin(good).await, 200);
    }
    for bad in [
        "/pub/app/",
        "/pub/app/:",
        "/pub/app/:x",
        "pub/app/:r",
        "/pub/../x/:r",
        "/pub//x/:r",
        "/a:b/:r",
        ":r",
        ",",
        "/pub/app/:rw,",
        "/pub/app/:r,,/pub/b/:r",
        "/pub/app/:R",
        "/pub/app/ :r,nonsense",
        "/pub/a/:r /pub/b/:r",
    ] {
        let refused = signin(bad).await;
        findings.status(&format!("capabilities {bad:?}"), &refused, 400);
        findings.holds(&format!("capabilities {bad:?}: no cookie"), refused.header("set-cookie").is_none());
    }
    for (age_s, text) in [
        (190_i64, "AuthToken has a timestamp that is more than 3 minutes in the past"),
        (-240, "AuthToken has a timestamp that is more than 3 minutes in the future"),
    ] {
        let at = unix_now_s().saturating_add_signed(-age_s) * MICROS + 7;
        let refused = world.send("POST", "/session", &[], &auth_token(user, 0, at, "/:rw")).await;
        findings.refused(&format!("a token {age_s} s old"), &refused, 400, text);
    }
    let never = world.send("POST", "/session", &[], &auth_token(user, 0, u64::MAX, "/:rw")).await;
    let text = "AuthToken has a timestamp that is more than 3 minutes in the future";
    findings.refused("a token of the last moment of all", &never, 400, text);
    // The version is looked at first: this token is old and forged, too.
    let newer = world.send("POST", "/session", &[], &auth_token(&User::random(), 1, 0, "/:rw")).await;
    findings.refused("a token of a newer version", &newer, 400, "Unknown version");
    let at = unix_now_s() * MICROS + 11;
    let token = auth_token(user, 0, at, "/pub/:r");
    findings.status("a token", &world.send("POST", "/session", &[], &token).await, 200);
    // Its time and key are its identity, whatever else it says.
    let other = auth_token(user, 0, at, "/pub/:w");
    let again = world.send("POST", "/session", &[], &other).await;
    findings.refused("another token of that time and key", &again, 400, "AuthToken already used");
    let elsewhere = world.send("POST", "/session", &[], &auth_token(&world.bob, 0, at, "/pub/:r")).await;
    findings.status("another user's token of that time", &elsewhere, 200);
}

/// A bearer that lives decides alone; the cookie beside it is not looked at.
async fn beside_bearers(world: &World, findings: &mut Findings) {
    let user = &world.alice;
    let grant = Grant::new(
        user,
        "beside.test",
        3600,
        vec![Capability::read_write("/pub/app/").expect("well formed")],
    );
    let body = grant.body(user, &world.homeserver);
    let minted = world.send("POST", "/auth/grant/session", &[JSON], body.as_bytes()).await;
    let signin = world.send("POST", "/session", &[], &user.auth_token()).await;
    let (Ok(scoped), Ok(cookie)) = (bearer(&minted), session_cookie(&signin, user)) else {
        return findings.holds("beside: a bearer and a cookie", false);
    };
    let both = [
        ("pubky-host", user.z32.as_str()),
        ("authorization", scoped.value.as_str()),
        ("cookie", cookie.value.as_str()),
    ];
    let outside = world.fill("/storage/{alice}/pub/other/beside.txt");
    let refused = world.send("PUT", &outside, &both, b"1").await;
    findings.refused("the bearer decides", &refused, 403, "Session does not have write access to path");
    findings.status("the cookie alone may", &world.send("PUT", &outside, &both[2..], b"1").await, 201);
    let who = world.send("GET", "/session", &both, b"").await;
    findings.refused("GET /session by a bearer", &who, 401, "Unauthorized");
    let list = world.send("GET", "/auth/grant/sessions", &both, b"").await;
    findings.refused("the cookie's root is not looked at", &list, 403, "Root capability required");
    let foreign = world.session("bob.bearer");
    let stranger = [("authorization", foreign.value.as_str()), both[2]];
    let refused = world.send("PUT", &outside, &stranger, b"1").await;
    findings.refused(
        "another user's bearer beside the cookie",
        &refused,
        403,
        "Session user does not match target tenant",
    );

    let out = world.send("DELETE", "/session", &both, b"").await;
    findings.status("sign-out with both", &out, 200);
    findings.holds(
        "it removes the cookie",
        out.header("set-cookie").is_some_and(|line| line.contains("Max-Age=0")),
    );
    let alive = world.send("GET", "/session", &[both[0], both[2]], b"").await;
    findings.status("and ends neither session: the cookie's", &alive, 200);
    let alive = world.send("GET", "/auth/grant/session", &both[1..2], b"").await;
    findings.status("and the bearer's", &alive, 200);
    let out = world.send("DELETE", "/auth/grant/session", &both, b"").await;
    findings.refused("bearer sign-out", &out, 200, "");
    findings.status("the cookie takes over", &world.send("PUT", &outside, &both, b"1").await, 201);
}

/// A phone signs in anew for each write and never signs out: the oldest session makes room.
pub async fn bounded(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let user = User::random();
    let host = world.address.to_string();
    let signup = world.send("POST", "/signup", &[], &user.auth_token()).await;
    let oldest = session_cookie(&signup, &user).expect("a session");
    let signin = world.send("POST", "/session", &[], &user.auth_token()).await;
    let second = session_cookie(&signin, &user).expect("a session");
    // The two above are of these; one more than fits.
    let more = SESSIONS_MAX - 1;
    let lanes = (0..LANES).map(|lane| sign_ins(world, &host, &user, (lane..more).step_by(LANES).count()));
    let newest = futures::future::join_all(lanes).await.pop().flatten();
    let alive = async |cookie: &str| {
        let headers = [("pubky-host", user.z32.as_str()), ("cookie", cookie)];
        world.send("GET", "/session", &headers, b"").await
    };
    findings.refused("the oldest of too many sessions", &alive(&oldest.value).await, 401, NO_SESSION);
    findings.status("the second oldest", &alive(&second.value).await, 200);
    match newest {
        Some(newest) => findings.status("the newest", &alive(&newest).await, 200),
        None => findings.holds("sign-ins succeed", false),
    }
    findings.0
}

/// The cookie of the last of `count` sign-ins over one connection.
async fn sign_ins(world: &World, host: &str, user: &User, count: usize) -> Option<String> {
    let mut connection = Connection::open_from(BUSY, world.address).await.ok()?;
    let mut last = None;
    for _ in 0..count {
        let bytes = request("POST", "/session", host, &[], &user.auth_token());
        let mut waits = 0;
        let answer: Response = loop {
            let answer = connection.exchange(&bytes, false).await.ok()?;
            if answer.status != 429 || waits == WAITS_MAX {
                break answer;
            }
            waits += 1;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        };
        last = Some(session_cookie(&answer, user).ok()?.value);
    }
    last
}
