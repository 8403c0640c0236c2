//! Refused uploads: the refusal can always be read, also by a client that writes its whole body first, and a client
//! that asks first is never asked for its body.

use std::time::Duration;

use rowhouse_chaos_tests::identity::{User, session_cookie};
use rowhouse_chaos_tests::request::{head, request};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::raw::{Door, listener, open, write_then_read};
use super::world::{Findings, World, base64_of};

const BODY_BYTES: usize = 64 * 1024 * 1024;
/// A client on a slow line: so many pieces, a pause before each.
const SLOW_PIECES: usize = 20;
const SLOW_PIECE_BYTES: usize = 256 * 1024;
const SLOW_PAUSE: Duration = Duration::from_millis(250);
const PASSWORD: (&str, &str) = ("x-admin-password", "admin");
const JSON: (&str, &str) = ("content-type", "application/json");

/// One refusal of a PUT.
struct Refusal {
    what: &'static str,
    door: Door,
    target: String,
    credential: (&'static str, String),
    status: u16,
    text: &'static str,
}

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let refusals = refusals(world, &mut findings).await;
    for refusal in &refusals {
        let doors: &[Door] =
            if matches!(refusal.door, Door::Admin) { &[Door::Admin] } else { &[Door::Plain, Door::Tls] };
        for door in doors {
            after_the_body(world, &mut findings, refusal, *door).await;
            instead_of_the_body(world, &mut findings, refusal, *door).await;
        }
    }
    for door in [Door::Plain, Door::Tls] {
        slowly(world, &mut findings, &refusals[0], door).await;
    }
    findings.0
}

/// Every kind of refusal that a client can bring about before its body is read.
async fn refusals(world: &World, findings: &mut Findings) -> Vec<Refusal> {
    let cookie = |name: &str| ("cookie", world.fill(&format!("{{{name}}}")));
    let plain = |what, target: &str, credential, status, text| Refusal {
        what,
        door: Door::Plain,
        target: world.fill(target),
        credential,
        status,
        text,
    };
    let disabled = person(world, findings, Change::Disable).await;
    let poor = person(world, findings, Change::Quota(json!({ "storage_quota_mb": 1 }))).await;
    let bound =
        person(world, findings, Change::Quota(json!({ "allowed_write_paths": ["/pub/only/"] }))).await;
    let basic = format!("Basic {}", base64_of(b"admin:admin"));
    let dav = |what, target: &str, status, text| Refusal {
        what,
        door: Door::Admin,
        target: world.fill(target),
        credential: ("authorization", basic.clone()),
        status,
        text,
    };
    vec![
        plain(
            "no session",
            "/storage/{alice}/pub/app/x",
            ("x-none", "1".into()),
            401,
            "No authenticated session found",
        ),
        plain(
            "a dead session",
            "/storage/{alice}/pub/app/x",
            ("authorization", format!("Bearer {}", "A".repeat(43))),
            401,
            "No authenticated session found",
        ),
        plain(
            "a bad path",
            "/storage/{alice}/pub/../../x",
            cookie("alice.cookie"),
            400,
            "Invalid storage path: path traverses above root",
        ),
        plain(
            "a directory",
            "/storage/{alice}/pub/app/",
            cookie("alice.cookie"),
            400,
            "Target path must be a file",
        ),
        plain(
            "outside of the roots",
            "/storage/{alice}/other/x",
            cookie("alice.cookie"),
            403,
            "Writing to directories other than '/pub/' and '/priv/' is forbidden",
        ),
        plain(
            "another user's storage",
            "/storage/{alice}/pub/app/x",
            ("authorization", world.fill("{bob.bearer}")),
            403,
            "Session user does not match target tenant",
        ),
        plain(
            "a capability too few",
            "/storage/{alice}/pub/app/x",
            cookie("alice.reader"),
            403,
            "Session does not have write access to path",
        ),
        plain(
            "a collision",
            "/storage/{alice}/pub/app/a.txt/x",
            cookie("alice.cookie"),
            409,
            "File/folder path collision",
        ),
        plain(
            "a disabled user",
            &format!("/storage/{}/pub/x", disabled.0),
            ("cookie", disabled.1),
            403,
            "User is disabled",
        ),
        plain(
            "a quota",
            &format!("/storage/{}/pub/x", poor.0),
            ("cookie", poor.1),
            507,
            "Disk space quota exceeded",
        ),
        plain(
            "a path that may not be written",
            &format!("/storage/{}/pub/x", bound.0),
            ("cookie", bound.1),
            403,
            "Write to this path is not allowed",
        ),
        dav("an unknown owner", "/dav/{nobody}/pub/x", 404, "Not Found"),
        dav("a collection", "/dav/{alice}/pub/app/", 405, "This method is not for collections"),
        dav("the operator, over quota", &format!("/dav/{}/pub/x", poor.0), 507, "Disk space quota exceeded"),
    ]
}

/// What an operator does to a new user.
enum Change {
    Disable,
    Quota(serde_json::Value),
}

/// A new user after that: key and cookie.
async fn person(world: &World, findings: &mut Findings, change: Change) -> (String, String) {
    let user = User::random();
    let signup = world.send("POST", "/signup", &[], &user.auth_token()).await;
    let cookie = session_cookie(&signup, &user).expect("signs up").value;
    let admin = listener(world, "admin");
    let host = admin.to_string();
    let bytes = match change {
        Change::Disable => request("POST", &format!("/users/{}/disable", user.z32), &host, &[PASSWORD], b""),
        Change::Quota(patch) => {
            let path = format!("/users/{}/quota", user.z32);
            request("PATCH", &path, &host, &[PASSWORD, JSON], patch.to_string().as_bytes())
        }
    };
    let mut connection =
        rowhouse_chaos_tests::http1::Connection::open(admin, false).await.expect("it listens");
    let changed = connection.exchange(&bytes, false).await.expect("an answer");
    findings.status("a change by the operator", &changed, 200);
    (user.z32, cookie)
}

impl Refusal {
    /// The request's head, ended.
    fn head(&self, world: &World, more: &[(&str, &str)]) -> Vec<u8> {
        let length = BODY_BYTES.to_string();
        let mut headers = vec![(self.credential.0, self.credential.1.as_str()), ("content-length", &length)];
        headers.extend_from_slice(more);
        let mut bytes = head("PUT", &self.target, &world.address.to_string(), &headers);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// The difference of an answer from the refusal alone.
    fn judge(&self, findings: &mut Findings, how: &str, answered: Result<Vec<u8>, String>) {
        let what = format!("{}, {how}", self.what);
        let answer = match answered {
            Ok(answer) => String::from_utf8_lossy(&answer).into_owned(),
            Err(error) => return findings.holds(&format!("{what}: {error}"), false),
        };
        let begins = answer.starts_with(&format!("HTTP/1.1 {} ", self.status));
        let ends = answer.split_once("\r\n\r\n").is_some_and(|(_, body)| body == self.text);
        findings.holds(&format!("{what}: {answer:.400}"), begins && ends);
    }
}

async fn after_the_body(world: &World, findings: &mut Findings, refusal: &Refusal, door: Door) {
    let mut stream = open(world, door).await;
    let answered = write_then_read(&mut *stream, &refusal.head(world, &[]), BODY_BYTES).await;
    refusal.judge(findings, &format!("{door:?}, after the whole body"), answered);
}

/// No 100 comes, and the connection ends.
async fn instead_of_the_body(world: &World, findings: &mut Findings, refusal: &Refusal, door: Door) {
    let mut stream = open(world, door).await;
    let asks = refusal.head(world, &[("expect", "100-continue")]);
    let answered = write_then_read(&mut *stream, &asks, 0).await;
    refusal.judge(findings, &format!("{door:?}, instead of 100"), answered);
}

async fn slowly(world: &World, findings: &mut Findings, refusal: &Refusal, door: Door) {
    let mut stream = open(world, door).await;
    let mut written = stream.write_all(&refusal.head(world, &[])).await;
    for _ in 0..SLOW_PIECES {
        tokio::time::sleep(SLOW_PAUSE).await;
        if written.is_ok() {
            written = stream.write_all(&[b'x'; SLOW_PIECE_BYTES]).await;
        }
    }
    let answered = match written {
        Ok(()) => write_then_read(&mut *stream, b"", 0).await,
        Err(error) => Err(format!("writing: {error}")),
    };
    refusal.judge(findings, &format!("{door:?}, on a slow line"), answered);
}
