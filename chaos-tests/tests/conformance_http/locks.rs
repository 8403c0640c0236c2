//! LOCK and UNLOCK, and what locks mean for writes (docs/rules/protocol.md#locks).

use std::time::Duration;

use rowhouse_chaos_tests::http1::Response;
use rowhouse_chaos_tests::request::head;

use super::world::{Findings, World};

const LOCK_INFO: &[u8] =
    b"<?xml version=\"1.0\" encoding=\"utf-8\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope>\
    <D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>";
const MISMATCH: &str = "The If header does not name the live lock on this path";
const LARGE: usize = 256 * 1024;
/// A slow body takes longer than its lock was to live.
const HELD_S: u64 = 8;
const PIECES: usize = 16;
const PIECE_PAUSE: Duration = Duration::from_millis(600);

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    bytes(world, &mut findings).await;
    refusals(world, &mut findings).await;
    writes(world, &mut findings).await;
    refreshed(world, &mut findings).await;
    given_up(world, &mut findings).await;
    expired(world, &mut findings).await;
    slow_writes(world, &mut findings).await;
    findings.0
}

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn send(world: &World, method: &str, path: &str, headers: Headers<'_>, body: &[u8]) -> Response {
    let cookie = world.fill("{alice.cookie}");
    let headers = [&[("cookie", cookie.as_str())], headers].concat();
    world.send(method, &world.fill(&format!("/storage/{{alice}}{path}")), &headers, body).await
}

/// Takes the path's lock, and answers its token within its brackets.
async fn lock(world: &World, findings: &mut Findings, path: &str, timeout: &str) -> String {
    let answer = send(world, "LOCK", path, &[("timeout", timeout)], LOCK_INFO).await;
    findings.status(&format!("LOCK {path}"), &answer, 200);
    answer.header("lock-token").unwrap_or_default()
}

async fn bytes(world: &World, findings: &mut Findings) {
    let path = "/pub/lock/sp%20ace&";
    let answer = send(world, "LOCK", path, &[("timeout", "Second-7")], LOCK_INFO).await;
    findings.status("LOCK", &answer, 200);
    let token = answer.header("lock-token").unwrap_or_default();
    let url = token.trim_start_matches('<').trim_end_matches('>');
    findings.holds(&format!("a token: {token}"), url.starts_with("opaquelocktoken:") && url.len() == 52);
    for (name, value) in [("content-type", "application/xml; charset=utf-8"), ("timeout", "Second-7")] {
        findings.equal(name, &answer.headers(name), &vec![value.to_owned()]);
    }
    let root = world.fill("/storage/{alice}/pub/lock/sp%20ace&amp;");
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:prop xmlns:D=\"DAV:\"><D:lockdiscovery><D:activelock>\
         <D:locktype><D:write/></D:locktype><D:lockscope><D:exclusive/></D:lockscope><D:depth>0</D:depth>\
         <D:timeout>Second-7</D:timeout><D:locktoken><D:href>{url}</D:href></D:locktoken>\
         <D:lockroot><D:href>{root}</D:href></D:lockroot></D:activelock></D:lockdiscovery></D:prop>"
    );
    findings.equal("its body", &answer.text(), &xml);
    for (timeout, granted) in [("Infinite", 60), ("Second-0", 1), ("x, Second-9999", 60), ("", 30)] {
        let path = format!("/pub/lock/{granted}{}", timeout.len());
        let answer = send(world, "LOCK", &path, &[("timeout", timeout)], b"").await;
        findings.equal(timeout, &answer.header("timeout"), &Some(format!("Second-{granted}")));
    }
    let private = send(world, "LOCK", "/priv/lock/a", &[], b"").await;
    findings.equal("a private path", &private.headers("cache-control"), &vec!["no-store".to_owned()]);
    let none = send(world, "GET", path, &[], b"").await;
    findings.status("a lock makes no file", &none, 404);
    let info = world.send("GET", "/info", &[], b"").await.text();
    findings.holds(&format!("the feature is told: {info}"), info.contains("\"webdav-locks\""));
}

async fn refusals(world: &World, findings: &mut Findings) {
    let target = world.fill("/storage/{alice}/pub/lock/refused");
    for method in ["LOCK", "UNLOCK"] {
        let anonymous = world.send(method, &target, &[], b"").await;
        findings.refused("without a session", &anonymous, 401, "Unauthorized");
        let directory = send(world, method, "/pub/lock/dir/", &[], b"").await;
        findings.refused("a directory", &directory, 400, "Target path must be a file");
        let bearer = world.fill("{bob.bearer}");
        let foreign = world.send(method, &target, &[("authorization", &bearer)], b"").await;
        findings.refused("another user", &foreign, 403, "Session user does not match target tenant");
        let outside = send(world, method, "/other/x", &[], b"").await;
        findings.status("outside of the roots", &outside, 403);
        let legacy = world.fill("/pub/lock/refused");
        let (cookie, alice) = (world.fill("{alice.cookie}"), world.fill("{alice}"));
        let legacy = world.send(method, &legacy, &[("cookie", &cookie), ("pubky-host", &alice)], b"").await;
        findings.status("the legacy route has no locks", &legacy, 405);
    }
    let shared = String::from_utf8_lossy(LOCK_INFO).replace("exclusive", "shared");
    for (body, status, text) in [
        (shared.as_bytes(), 400, "Only exclusive write locks are supported"),
        (&b"no xml"[..], 400, "Only exclusive write locks are supported"),
        (&vec![b' '; 16 * 1024 + 1], 413, "lockinfo body too large"),
    ] {
        let answer = send(world, "LOCK", "/pub/lock/refused", &[], body).await;
        findings.refused("another kind of lock", &answer, status, text);
        let outside = send(world, "LOCK", "/other/x", &[], body).await;
        findings.status("who may not lock hears that first", &outside, 403);
    }
    let other = send(world, "PATCH", "/pub/lock/refused", &[], b"").await;
    findings.status("another method", &other, 405);
    let allow = vec!["GET, HEAD, PUT, DELETE, LOCK, UNLOCK".to_owned()];
    findings.equal("what is allowed", &other.headers("allow"), &allow);
}

async fn writes(world: &World, findings: &mut Findings) {
    let path = "/pub/lock/written";
    let token = lock(world, findings, path, "Second-60").await;
    let named = format!("({token})");
    let other = format!("({})", token.replace("opaquelocktoken:", "opaquelocktoken:0"));
    let large = vec![1; LARGE];
    for body in [&b"x"[..], &large] {
        let without = send(world, "PUT", path, &[], body).await;
        findings.refused("a PUT without the token", &without, 423, "Resource is locked");
        for wrong in [other.as_str(), "([\"etag\"])", "(<urn:other>)", "(Not <DAV:no-lock>)"] {
            let wrong = send(world, "PUT", path, &[("if", wrong)], body).await;
            findings.refused("a PUT with another If", &wrong, 412, MISMATCH);
        }
    }
    let without = send(world, "DELETE", path, &[], b"").await;
    findings.refused("a DELETE without the token, before existence", &without, 423, "Resource is locked");
    let (cookie, alice) = (world.fill("{alice.cookie}"), world.fill("{alice}"));
    let legacy = [("cookie", cookie.as_str()), ("pubky-host", alice.as_str())];
    let without = world.send("PUT", path, &legacy, b"x").await;
    findings.refused("the legacy route", &without, 423, "Resource is locked");
    findings.status("with the token", &send(world, "PUT", path, &[("if", &named)], b"one").await, 201);
    let legacy = [&legacy[..], &[("if", named.as_str())]].concat();
    findings.status("legacy with the token", &world.send("PUT", path, &legacy, b"two").await, 201);
    findings.status("a large body", &send(world, "PUT", path, &[("if", &named)], &large).await, 201);
    let again = send(world, "LOCK", path, &[], b"").await;
    findings.refused("a second lock", &again, 423, "Resource is locked");
    let unlocked = send(world, "PUT", "/pub/lock/unlocked", &[("if", &named)], b"x").await;
    findings.refused("a token for a path without a lock", &unlocked, 412, MISMATCH);
    findings.status("a DELETE", &send(world, "DELETE", path, &[("if", &named)], b"").await, 204);
    let without = send(world, "PUT", path, &[], b"x").await;
    findings.refused("a DELETE leaves the lock", &without, 423, "Resource is locked");
}

async fn refreshed(world: &World, findings: &mut Findings) {
    let path = "/pub/lock/refreshed";
    let token = lock(world, findings, path, "Second-5").await;
    let named = format!("<http://x/y> (<opaquelocktoken:x>) ({token})");
    let answer =
        send(world, "LOCK", path, &[("if", &named), ("timeout", "Second-50")], b"not looked at").await;
    findings.status("a refresh", &answer, 200);
    findings.equal("its time", &answer.header("timeout"), &Some("Second-50".into()));
    findings.equal("no token of its own", &answer.header("lock-token"), &None);
    let url = token.trim_matches(['<', '>']).to_owned();
    findings.holds("the lock's token", answer.text().contains(&format!("<D:href>{url}</D:href>")));
    let free = send(world, "LOCK", "/pub/lock/free", &[("if", &named)], b"").await;
    findings.refused("a path without a lock", &free, 412, MISMATCH);
}

async fn given_up(world: &World, findings: &mut Findings) {
    let path = "/pub/lock/given-up";
    let token = lock(world, findings, path, "Second-60").await;
    for bad in ["", "<urn:uuid:x>", "x"] {
        let answer = send(world, "UNLOCK", path, &[("lock-token", bad)], b"").await;
        findings.refused(bad, &answer, 400, "Missing or malformed Lock-Token header");
    }
    findings.status("no header", &send(world, "UNLOCK", path, &[], b"").await, 400);
    for (path, other) in [(path, "<opaquelocktoken:x>"), ("/pub/lock/elsewhere", token.as_str())] {
        let answer = send(world, "UNLOCK", path, &[("lock-token", other)], b"").await;
        findings.refused(other, &answer, 409, "No lock with this token on this path");
    }
    let bare = token.trim_matches(['<', '>']).to_owned();
    let answer = send(world, "UNLOCK", path, &[("lock-token", &bare)], b"").await;
    findings.refused("UNLOCK", &answer, 204, "");
    let answer = send(world, "UNLOCK", path, &[("lock-token", &token)], b"").await;
    findings.status("a second time", &answer, 409);
    findings.status("a PUT afterwards", &send(world, "PUT", path, &[], b"x").await, 201);
}

/// A lock that its holder forgot ends by itself, and its holder hears of it.
async fn expired(world: &World, findings: &mut Findings) {
    let path = "/pub/lock/expired";
    let token = lock(world, findings, path, "Second-1").await;
    let mut second = String::new();
    for _ in 0..100 {
        let answer = send(world, "LOCK", path, &[("timeout", "Second-60")], b"").await;
        if let Some(token) = answer.header("lock-token") {
            second = token;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    findings.holds("the next one gets it", !second.is_empty());
    let late = send(world, "PUT", path, &[("if", &format!("({token})"))], b"late").await;
    findings.refused("the first holder", &late, 412, MISMATCH);
    findings.status(
        "the second holder",
        &send(world, "PUT", path, &[("if", &format!("({second})"))], b"x").await,
        201,
    );
}

/// A write keeps its lock until its body is there, however long the lock was to live, whatever the size of the body.
async fn slow_writes(world: &World, findings: &mut Findings) {
    let (small, large) = tokio::join!(
        slow_write(world, "/pub/lock/slow-small", 4_000),
        slow_write(world, "/pub/lock/slow-large", 400_000),
    );
    findings.0.extend(small);
    findings.0.extend(large);
}

async fn slow_write(world: &World, path: &str, length: usize) -> Vec<String> {
    let mut findings = Findings::default();
    let token = lock(world, &mut findings, path, &format!("Second-{HELD_S}")).await;
    let (cookie, length_text) = (world.fill("{alice.cookie}"), length.to_string());
    let named = format!("({token})");
    let target = world.fill(&format!("/storage/{{alice}}{path}"));
    let headers = [("cookie", cookie.as_str()), ("if", &named), ("content-length", &length_text)];
    let mut connection = world.connect().await;
    let mut bytes = head("PUT", &target, &world.address.to_string(), &headers);
    bytes.extend_from_slice(b"\r\n");
    connection.send(&bytes).await.expect("sent");
    let piece = vec![b'x'; length / PIECES];
    for _ in 0..PIECES {
        if connection.send(&piece).await.is_err() {
            break;
        }
        tokio::time::sleep(PIECE_PAUSE).await;
        let rival = send(world, "LOCK", path, &[], b"").await;
        findings.status("a rival's LOCK", &rival, 423);
        let rival = send(world, "DELETE", path, &[], b"").await;
        findings.status("a rival's DELETE", &rival, 423);
    }
    let mut answer = Response::default();
    let received = connection.receive(&mut answer, false).await;
    findings.holds(&format!("an answer to a slow body of {length}: {received:?}"), received.is_ok());
    findings.status(&format!("a slow body of {length}"), &answer, 201);
    let answer = send(world, "UNLOCK", path, &[("lock-token", &token)], b"").await;
    findings.status("UNLOCK", &answer, 204);
    findings.status("a rival then", &send(world, "LOCK", path, &[], b"").await, 200);
    findings.0
}
