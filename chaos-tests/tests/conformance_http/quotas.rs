//! What a user may keep, and what is counted: the same through the client API however a body is sent
//! (docs/rules/protocol.md#quotas).

use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{User, session_cookie};
use rowhouse_chaos_tests::request::{head, request};
use serde_json::{Value, json};

use super::raw::listener;
use super::world::{Findings, World};

const MIB: u64 = 1024 * 1024;
/// What the quota counts for a file beside its bytes.
const FILE: u64 = 256;
const PASSWORD: (&str, &str) = ("x-admin-password", "admin");
const JSON: (&str, &str) = ("content-type", "application/json");
const TOO_MUCH: &str = "Disk space quota exceeded";

/// A user of one MB.
struct Saver<'a> {
    world: &'a World,
    user: User,
    cookie: String,
}

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    for chunked in [false, true] {
        // What was sent in vain counts on the disks until it expires: a user for each flow.
        Saver::sign_up(world).await.counts(&mut findings, chunked).await;
        Saver::sign_up(world).await.misses(&mut findings, chunked).await;
        Saver::sign_up(world).await.fills(&mut findings, chunked).await;
        Saver::sign_up(world).await.overwrites(&mut findings, chunked).await;
        Saver::sign_up(world).await.shrinks(&mut findings, chunked).await;
    }
    findings.0
}

impl<'a> Saver<'a> {
    async fn sign_up(world: &'a World) -> Self {
        let user = User::random();
        let signup = world.send("POST", "/signup", &[], &user.auth_token()).await;
        let cookie = session_cookie(&signup, &user).expect("signs up").value;
        Self { world, user, cookie }
    }

    /// A file of so many bytes; with a length that is declared, or in chunks without one.
    async fn put(&self, path: &str, length: u64, chunked: bool) -> Response {
        let body = vec![b'x'; usize::try_from(length).expect("it fits")];
        let target = format!("/storage/{}{path}", self.user.z32);
        if !chunked {
            return self.world.send("PUT", &target, &[("cookie", &self.cookie)], &body).await;
        }
        let headers = [("cookie", self.cookie.as_str()), ("transfer-encoding", "chunked")];
        let mut bytes = head("PUT", &target, &self.world.address.to_string(), &headers);
        bytes.extend_from_slice(b"\r\n");
        for piece in body.chunks(100_000) {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        self.world.exchange(&bytes, false).await.expect("an answer")
    }

    async fn send(&self, method: &str, path: &str) -> Response {
        let target = format!("/storage/{}{path}", self.user.z32);
        self.world.send(method, &target, &[("cookie", &self.cookie)], b"").await
    }

    async fn operate(&self, method: &str, path: &str, body: &[u8]) -> Value {
        let admin = listener(self.world, "admin");
        let path = format!("/users/{}{path}", self.user.z32);
        let bytes = request(method, &path, &admin.to_string(), &[PASSWORD, JSON], body);
        let mut connection = Connection::open(admin, false).await.expect("it listens");
        let told = connection.exchange(&bytes, false).await.expect("an answer");
        assert_eq!(told.status, 200, "{}", told.text());
        serde_json::from_slice(&told.body).unwrap_or_default()
    }

    async fn limit(&self, mb: Value) {
        self.operate("PATCH", "/quota", json!({ "storage_quota_mb": mb }).to_string().as_bytes()).await;
    }

    async fn uses(&self, findings: &mut Findings, what: &str, bytes: u64) {
        let told = self.operate("GET", "", b"").await;
        findings.equal(&format!("used after {what}"), &told["used_bytes"], &json!(bytes));
    }

    async fn refused(&self, findings: &mut Findings, what: &str, path: &str, length: u64, chunked: bool) {
        let put = self.put(path, length, chunked).await;
        findings.refused(&format!("{what}, chunked: {chunked}"), &put, 507, TOO_MUCH);
    }

    async fn stored(&self, findings: &mut Findings, what: &str, path: &str, length: u64, chunked: bool) {
        let put = self.put(path, length, chunked).await;
        findings.status(&format!("{what}, chunked: {chunked}"), &put, 201);
    }

    /// A new file, one that grows, one that shrinks, and a deleted one.
    async fn counts(&self, findings: &mut Findings, chunked: bool) {
        self.uses(findings, "nothing", 0).await;
        for length in [10, 200_000, 3, 0] {
            self.stored(findings, "a file", "/pub/counted", length, chunked).await;
            self.uses(findings, &format!("a file of {length}"), length + FILE).await;
        }
        findings.status("a collision", &self.put("/pub/counted/x", 5, chunked).await, 409);
        self.uses(findings, "a refusal", FILE).await;
        findings.status("a delete", &self.send("DELETE", "/pub/counted").await, 204);
        findings.status("a delete in vain", &self.send("DELETE", "/pub/counted").await, 404);
        self.uses(findings, "a delete", 0).await;
    }

    async fn misses(&self, findings: &mut Findings, chunked: bool) {
        self.limit(json!(1)).await;
        self.refused(findings, "a byte too many", "/pub/file", MIB - FILE + 1, chunked).await;
        findings.status("no file", &self.send("HEAD", "/pub/file").await, 404);
        self.uses(findings, "a refusal", 0).await;
    }

    /// To the last byte, and what was there stays.
    async fn fills(&self, findings: &mut Findings, chunked: bool) {
        self.limit(json!(1)).await;
        self.stored(findings, "all of it", "/pub/file", MIB - FILE, chunked).await;
        self.uses(findings, "all of it", MIB).await;
        self.refused(findings, "an empty file", "/pub/empty", 0, chunked).await;
        self.refused(findings, "a byte more of the same", "/pub/file", MIB - FILE + 1, chunked).await;
        let old = self.send("HEAD", "/pub/file").await;
        findings.equal("the old file", &old.header("content-length"), &Some((MIB - FILE).to_string()));
        self.uses(findings, "refusals", MIB).await;
    }

    async fn overwrites(&self, findings: &mut Findings, chunked: bool) {
        self.limit(json!(1)).await;
        for _ in 0..2 {
            self.stored(findings, "all of it", "/pub/file", MIB - FILE, chunked).await;
            self.uses(findings, "all of it", MIB).await;
        }
    }

    /// Over the quota only a shrink that suffices is taken, and deletes always are.
    async fn shrinks(&self, findings: &mut Findings, chunked: bool) {
        self.stored(findings, "a file", "/pub/file", MIB - FILE, chunked).await;
        self.stored(findings, "without a quota", "/pub/second", MIB, chunked).await;
        self.limit(json!(1)).await;
        self.refused(findings, "a shrink that leaves too much", "/pub/second", 1, chunked).await;
        findings.status("a delete", &self.send("DELETE", "/pub/second").await, 204);
        self.stored(findings, "a shrink that suffices", "/pub/file", 1, chunked).await;
        self.limit(json!(0)).await;
        self.refused(findings, "nothing may be kept", "/pub/file", 0, chunked).await;
        findings.status("the last delete", &self.send("DELETE", "/pub/file").await, 204);
        self.uses(findings, "the last delete", 0).await;
    }
}
