//! The operator's API on a real cluster, and `rowhouse ctl` beside it. What an operator changes through one gateway, or
//! through none, holds in the next request through any other.

use std::net::SocketAddr;

use rowhouse_chaos_tests::cluster::{Cluster, Kind};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{User, session_cookie};
use rowhouse_chaos_tests::request::request;
use serde_json::{Value, json};

use super::world::{Findings, World};

const PASSWORD: (&str, &str) = ("x-admin-password", "admin");
const JSON: (&str, &str) = ("content-type", "application/json");

/// The operator of a cluster of our own.
struct Operator<'a> {
    cluster: &'a Cluster,
    admin: SocketAddr,
    /// Client listeners; requests take turns.
    gateways: Vec<SocketAddr>,
}

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    // The operators of a server that is already there are not ours.
    let Some(cluster) = &world.cluster else { return findings.0 };
    let file = cluster.file().expect("a cluster file");
    let mut listeners = file.of_kind(Kind::Gateway).filter_map(|gateway| gateway.address("admin").ok());
    let admin = listeners.next().expect("an admin listener");
    let operator = Operator { cluster, admin, gateways: cluster.gateways().expect("gateways") };
    operator.doors(&mut findings).await;
    operator.dashboard(world, &mut findings).await;
    operator.disabling(&mut findings).await;
    operator.quotas(&mut findings).await;
    operator.tokens(&mut findings).await;
    operator.lists(&mut findings).await;
    operator.records(&mut findings).await;
    findings.0
}

impl Operator<'_> {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        exchange(self.admin, method, path, &[&[PASSWORD], headers].concat(), body).await
    }

    async fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], b"").await
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).await.body).unwrap_or_default()
    }

    /// A client's request through the gateway of this number.
    async fn client(&self, number: usize, method: &str, path: &str, cookie: &str, body: &[u8]) -> Response {
        let headers: &[(&str, &str)] = if cookie.is_empty() { &[] } else { &[("cookie", cookie)] };
        exchange(self.gateways[number % self.gateways.len()], method, path, headers, body).await
    }

    /// Signs up through the gateway of this number; the cookie.
    async fn signup(&self, number: usize, user: &User, token: &str) -> (Response, String) {
        let query = if token.is_empty() { String::new() } else { format!("?signup_token={token}") };
        let reply = self.client(number, "POST", &format!("/signup{query}"), "", &user.auth_token()).await;
        let cookie = session_cookie(&reply, user).map(|session| session.value).unwrap_or_default();
        (reply, cookie)
    }

    /// What `rowhouse ctl` prints with `--output json`.
    async fn ctl(&self, findings: &mut Findings, args: &[&str]) -> Vec<Value> {
        let said = self.cluster.ctl(&[args, &["--output=json"]].concat()).await.expect("ctl runs");
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        if !said.status.success() {
            findings.0.push(format!("ctl {args:?}: {}", String::from_utf8_lossy(&said.stderr)));
        }
        serde_json::Deserializer::from_str(&text).into_iter::<Value>().map_while(Result::ok).collect()
    }

    /// What is open, and what is not.
    async fn doors(&self, findings: &mut Findings) {
        let greeting = exchange(self.admin, "GET", "/", &[], b"").await;
        findings.refused("the greeting", &greeting, 200, "Homeserver - Admin Endpoint");
        for path in ["/info", "/users", "/users/disabled", "/signup_tokens", "/generate_signup_token"] {
            let missing = exchange(self.admin, "GET", path, &[], b"").await;
            findings.refused(&format!("{path} without a password"), &missing, 401, "Missing admin password");
            findings.holds(&format!("{path}: 401 has no type"), missing.header("content-type").is_none());
        }
        let wrong = exchange(self.admin, "GET", "/info", &[("x-admin-password", "wrong")], b"").await;
        findings.refused("a wrong password", &wrong, 401, "Invalid admin password");
        for number in 0..self.gateways.len() {
            let path = "/admin/generate_signup_token";
            let asked = exchange(self.gateways[number], "GET", path, &[PASSWORD], b"").await;
            findings.status("the operator's API on a client port", &asked, 400);
        }
    }

    /// What the homeserver's dashboard asks for, and how.
    async fn dashboard(&self, world: &World, findings: &mut Findings) {
        let info = self.json("/info").await;
        let ports = self.cluster.file().expect("a cluster file").ports;
        findings.equal("info: key", &info["public_key"], &json!(world.homeserver.z32()));
        // The first address of the record, which both gateways share.
        let first = self.gateways.iter().map(SocketAddr::ip).min().expect("gateways");
        findings.equal(
            "info: address",
            &info["pkarr_pubky_address"],
            &json!(format!("{first}:{}", ports.tls)),
        );
        findings.equal(
            "info: domain",
            &info["pkarr_icann_domain"],
            &json!(format!("localhost:{}", ports.http)),
        );
        for field in [
            "num_users",
            "num_disabled_users",
            "total_disk_used_mb",
            "num_signup_codes",
            "num_unused_signup_codes",
        ] {
            findings.holds(&format!("info: {field} is a number"), info[field].is_u64());
        }
        findings.holds("info: version", info["version"].is_string());
        let origin = [("origin", "http://dashboard.example")];
        let from_page = self.send("GET", "/info", &origin, b"").await;
        let allowed = from_page.headers("access-control-allow-origin");
        findings.equal("info: CORS", &allowed, &vec!["http://dashboard.example".to_owned()]);

        let token = self.get("/generate_signup_token").await;
        findings.status("a token", &token, 200);
        findings.equal(
            "a token: type",
            &token.header("content-type").unwrap_or_default().as_str(),
            &"text/plain; charset=utf-8",
        );
        findings.equal("a token: length", &token.text().len(), &14);
        let after = self.json("/info").await;
        for field in ["num_signup_codes", "num_unused_signup_codes"] {
            let (before, after) = (info[field].as_u64(), after[field].as_u64());
            findings.equal(&format!("info: {field} is fresh"), &after, &before.map(|count| count + 1));
        }

        let user = User::random();
        let (_, cookie) = self.signup(1, &user, "").await;
        let path = format!("/storage/{}/pub/a%20b", user.z32);
        findings.status("a file", &self.client(0, "PUT", &path, &cookie, b"hello").await, 201);
        let deleted = self.send("DELETE", &format!("/webdav/{}/pub/a%20b", user.z32), &[], b"").await;
        findings.refused("its deletion", &deleted, 204, "");
        findings.status("the file afterwards", &self.client(1, "GET", &path, "", b"").await, 404);
        let again = self.send("DELETE", &format!("/webdav/{}/pub/a%20b", user.z32), &[], b"").await;
        findings.refused("its deletion again", &again, 404, "Not Found");
        let private = self.send("DELETE", &format!("/webdav/{}/priv/a", user.z32), &[], b"").await;
        findings.status("deletion of a private file", &private, 400);
        let item = self.json(&format!("/users/{}", user.z32)).await;
        findings.equal("a user without files", &item["used_bytes"], &json!(0));
    }

    /// The home page of a user's website, through the gateway of this number.
    async fn website(&self, number: usize, user: &User) -> Response {
        let bytes = request("GET", "/", &user.z32, &[], b"");
        let mut connection = self.gateway(number).await;
        connection.exchange(&bytes, false).await.expect("an answer")
    }

    async fn gateway(&self, number: usize) -> Connection {
        let address = self.gateways[number % self.gateways.len()];
        Connection::open(address, false).await.expect("it listens")
    }

    async fn disabling(&self, findings: &mut Findings) {
        let user = User::random();
        let (_, cookie) = self.signup(0, &user, "").await;
        let file = format!("/storage/{}/pub/a", user.z32);
        findings.status("before", &self.client(0, "PUT", &file, &cookie, b"a").await, 201);
        let home = format!("/storage/{}/pub/website/_/index.html", user.z32);
        findings.status("a website", &self.client(1, "PUT", &home, &cookie, b"home").await, 201);
        for round in 0..2 {
            let said = self.send("POST", &format!("/users/{}/disable", user.z32), &[], b"").await;
            findings.refused("disabling", &said, 200, "Ok");
            for number in 0..self.gateways.len() {
                let put = self.client(number, "PUT", &file, &cookie, b"b").await;
                findings.refused(
                    &format!("a put of a disabled user, {number}"),
                    &put,
                    403,
                    "User is disabled",
                );
                findings.status("a read", &self.client(number, "GET", &file, "", b"").await, 200);
                let site = self.website(number, &user).await;
                findings.refused("the website of a disabled user", &site, 403, "User is disabled");
            }
            let disabled = self.json("/users/disabled").await;
            findings.equal(
                "the disabled",
                &disabled,
                &json!({ "items": [{ "pubkey": user.z32 }], "next_cursor": null }),
            );
            if round == 0 {
                let said = self.send("POST", &format!("/users/{}/enable", user.z32), &[], b"").await;
                findings.refused("enabling", &said, 200, "Ok");
            } else {
                let said = self.ctl(findings, &["user", "enable", &user.z32]).await;
                findings.equal("ctl enables", &said, &vec![json!({ "pubky": user.z32, "disabled": false })]);
            }
            for number in 0..self.gateways.len() {
                let put = self.client(number, "PUT", &file, &cookie, b"c").await;
                findings.status(&format!("a put of an enabled user, {number}"), &put, 201);
                findings.status("the website of an enabled user", &self.website(number, &user).await, 200);
            }
        }
    }

    async fn quotas(&self, findings: &mut Findings) {
        let user = User::random();
        let (_, cookie) = self.signup(1, &user, "").await;
        let quota = format!("/users/{}/quota", user.z32);
        let patch =
            async |patch: Value| self.send("PATCH", &quota, &[JSON], patch.to_string().as_bytes()).await;
        let put = async |number: usize, path: &str| {
            self.client(number, "PUT", &format!("/storage/{}{path}", user.z32), &cookie, b"abc").await
        };
        let patched = patch(json!({ "storage_quota_mb": 0, "allowed_write_paths": ["/pub/ok/"] })).await;
        findings.refused("a patch", &patched, 200, "");
        for number in 0..self.gateways.len() {
            findings.status("a put over the quota", &put(number, "/pub/ok/a").await, 507);
        }
        findings.refused("another patch", &patch(json!({ "storage_quota_mb": null })).await, 200, "");
        for number in 0..self.gateways.len() {
            findings.status("a put within the quota", &put(number, "/pub/ok/a").await, 201);
            findings.status("a put beside the paths", &put(number, "/pub/a").await, 403);
        }
        let changed = self
            .ctl(findings, &["user", "quota", "set", &user.z32, "--write-path=default", "--storage-mb=7"])
            .await;
        findings.equal(
            "ctl shows the overrides",
            &changed.first().map(|quota| quota["overrides"].clone()),
            &Some(json!({ "storage_quota_mb": 7 })),
        );
        findings.status("a put anywhere", &put(0, "/pub/a").await, 201);
        let shown = self.json(&quota).await;
        findings.equal(
            "effective",
            &shown["effective"],
            &json!({ "storage_quota_mb": 7, "rate_read": "unlimited", "rate_write": "unlimited" }),
        );
        findings.status("a burst without a rate", &patch(json!({ "rate_read_burst": 1 })).await, 422);
        findings.status("no JSON", &self.send("PATCH", &quota, &[], b"{}").await, 415);

        let defaults = self.ctl(findings, &["cluster", "settings", "set", "--storage-mb=0"]).await;
        findings.equal(
            "the default quota",
            &defaults.first().map(|it| it["defaults"].clone()),
            &Some(json!({ "storage_quota_mb": 0 })),
        );
        let other = User::random();
        let (_, cookie) = self.signup(0, &other, "").await;
        let path = format!("/storage/{}/pub/a", other.z32);
        // Every node goes by the default when the command ends.
        let put_again = async || self.client(1, "PUT", &path, &cookie, b"a").await;
        findings.status("a put over the default quota", &put_again().await, 507);
        findings.status("a put within one's own", &put(1, "/pub/b").await, 201);
        self.ctl(findings, &["cluster", "settings", "set", "--storage-mb=default"]).await;
        findings.status("a put without a default quota", &put_again().await, 201);
    }

    /// From `open` to `token_required` and back, while the cluster runs.
    async fn tokens(&self, findings: &mut Findings) {
        let unasked = self.client(0, "GET", "/signup_tokens/AAAA-BBBB-CCCC", "", b"").await;
        findings.status("a token's state while signup is open", &unasked, 400);
        self.ctl(findings, &["cluster", "settings", "set", "--signup-mode=token_required"]).await;
        let user = User::random();
        for number in 0..self.gateways.len() {
            let (refused, _) = self.signup(number, &user, "").await;
            findings.refused("signup without a token", &refused, 400, "Token required");
            let (refused, _) = self.signup(number, &user, "AAAA-BBBB-CCCC").await;
            findings.refused("signup with a token nobody made", &refused, 401, "Invalid token");
        }
        let quota = json!({ "storage_quota_mb": 2, "rate_write": "1mb/s", "rate_write_burst": 10 });
        let token =
            self.send("POST", "/generate_signup_token", &[JSON], quota.to_string().as_bytes()).await.text();
        let before = self.json("/info").await;
        let shown = self.client(1, "GET", &format!("/signup_tokens/{token}"), "", b"").await;
        findings.holds("the token is valid", shown.text().contains("\"status\":\"valid\""));
        let (done, cookie) = self.signup(1, &user, &token).await;
        findings.status("signup with a token", &done, 200);
        let shown = self.client(0, "GET", &format!("/signup_tokens/{token}"), "", b"").await;
        findings.holds("the token is used", shown.text().contains("\"status\":\"used\""));
        let after = self.json("/info").await;
        let unused = |info: &Value| info["num_unused_signup_codes"].as_u64();
        findings.equal(
            "a dashboard sees it at once",
            &unused(&after),
            &unused(&before).map(|count| count - 1),
        );
        let (late, _) = self.signup(0, &User::random(), &token).await;
        findings.refused("a second user with it", &late, 401, "Token already used");
        let item = self.json(&format!("/users/{}", user.z32)).await;
        findings.equal("the token's quota is the user's", &item["quota"]["overrides"], &quota);
        let put = self.client(0, "PUT", &format!("/storage/{}/pub/a", user.z32), &cookie, b"a").await;
        findings.status("a put of the new user", &put, 201);
        let listed = self.json("/signup_tokens?state=used").await;
        findings.equal("used tokens", &listed["items"].as_array().map(Vec::len), &Some(1));
        findings.equal("who used it", &listed["items"][0]["used_by"], &json!(user.z32));

        let made = self.ctl(findings, &["token", "create", "--storage-mb=unlimited"]).await;
        let token = made.first().and_then(|made| made["token"].as_str()).unwrap_or_default().to_owned();
        let other = User::random();
        let (done, _) = self.signup(0, &other, &token).await;
        findings.status("signup with a token of ctl", &done, 200);
        let shown = self.ctl(findings, &["token", "show", &token]).await;
        findings.equal(
            "ctl shows who used it",
            &shown.first().map(|it| it["used_by"].clone()),
            &Some(json!(other.z32)),
        );
        let unused = self.ctl(findings, &["token", "list", "--state=unused"]).await;
        let mine = unused.first().and_then(|page| page["items"].as_array());
        findings.holds(
            "it is not unused",
            mine.is_some_and(|items| items.iter().all(|item| item["token"] != json!(token))),
        );

        self.ctl(findings, &["cluster", "settings", "set", "--signup-mode=open"]).await;
        for number in 0..self.gateways.len() {
            let (open, _) = self.signup(number, &User::random(), "").await;
            findings.status("signup without a token again", &open, 200);
        }
    }

    /// Pages of all shards are one list.
    async fn lists(&self, findings: &mut Findings) {
        let whole = self.json("/users?sort_by=used_bytes&reverse=true&limit=1000").await;
        let whole = whole["items"].as_array().cloned().unwrap_or_default();
        let counted = self.json("/info").await["num_users"].as_u64();
        findings.equal("all users are listed", &u64::try_from(whole.len()).ok(), &counted);
        let bytes = |item: &Value| item["used_bytes"].as_u64().unwrap_or_default();
        findings
            .holds("in the order of usage", whole.is_sorted_by_key(|item| std::cmp::Reverse(bytes(item))));
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..=whole.len() {
            let page = self.json(&format!("/users?sort_by=used_bytes&reverse=true&limit=3{cursor}")).await;
            seen.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        findings.holds("pages are the whole", seen == whole);
        let listed =
            self.ctl(findings, &["user", "list", "--sort-by=used_bytes", "--reverse", "--limit=1000"]).await;
        findings
            .holds("ctl lists the same", listed.first().is_some_and(|page| page["items"] == json!(whole)));
        let unknown = self.get(&format!("/users?cursor={}", User::random().z32)).await;
        findings.refused("an unknown cursor", &unknown, 400, "Unknown cursor");
        let head = self.send("HEAD", "/generate_signup_token", &[], b"").await;
        findings.status("a HEAD of what makes tokens", &head, 405);
        findings.equal("its methods", &head.headers("allow"), &vec!["GET, POST".to_owned()]);
    }

    /// All of the above is recorded.
    async fn records(&self, findings: &mut Findings) {
        let verdict = self.ctl(findings, &["audit", "--verify"]).await;
        findings.equal("the chain", &verdict.first().map(|it| it["whole"].clone()), &Some(json!(true)));
        let records = self.ctl(findings, &["audit"]).await;
        let by = |who: &str, action: &str| {
            let mine = records.iter().filter(|record| record["action"] == json!(action));
            mine.filter(|record| record["who"].as_str().is_some_and(|name| name.starts_with(who))).count()
        };
        for (who, action, count) in [
            ("admin@127.0.0.1", "POST /users/{pubkey}/disable", 4),
            ("ctl@", "ctl user enable", 2),
            ("ctl@", "ctl cluster settings set", 8),
            ("admin@127.0.0.1", "DELETE /webdav/{*entry_path}", 4),
        ] {
            findings.equal(&format!("records of {action}"), &by(who, action), &count);
        }
        let open = records.iter().filter(|record| record["result"] == json!("")).count();
        findings.equal("each that began has ended", &(2 * open), &records.len());
    }
}

async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let bytes = request(method, path, &address.to_string(), headers, body);
    let mut connection = Connection::open(address, false).await.expect("it listens");
    connection.exchange(&bytes, method == "HEAD").await.expect("an answer")
}
