//! `/dav` of a real cluster, as file managers and browsers use it: the cases of WebDAV, one function each.

use std::time::Duration;

use rowhouse_chaos_tests::http1::Response;
use rowhouse_chaos_tests::request::{head, request};
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::account::{QuotaPatch, UserQuota, user_quota::Storage};
use rowhouse_proto::wire::shard::{ChangeQuota, execute_request};

use super::dav_drive::{Dav, multistatus};
use super::world::{Findings, World};

const PAUSE: Duration = Duration::from_millis(50);
/// More than two pages of a listing.
const MANY: usize = 1_100;
const MIB: usize = 1024 * 1024;
const LOCKINFO: &[u8] =
    b"<?xml version=\"1.0\" encoding=\"utf-8\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope>\
    <D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>";

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let dav = Dav::of(world);
    finder(&dav, &mut findings).await;
    names(&dav, &mut findings).await;
    depth(&dav, &mut findings).await;
    browser(&dav, &mut findings).await;
    options(&dav, &mut findings).await;
    collections(&dav, &mut findings).await;
    moves(&dav, &mut findings).await;
    copies(&dav, &mut findings).await;
    quota(&dav, &mut findings).await;
    killed_moves(&dav, &mut findings).await;
    findings.0
}

/// What Finder does to upload a file, and then its own file beside it.
async fn finder(dav: &Dav<'_>, findings: &mut Findings) {
    const LENGTH: usize = 4 * MIB;
    for (path, length) in [("/pub/f.bin", LENGTH), ("/pub/._f.bin", 4096)] {
        findings.status("options", &dav.send("OPTIONS", path, &[], b"").await, 200);
        let depth = [("depth", "0")];
        findings.status("nothing yet", &dav.send("PROPFIND", path, &depth, b"").await, 404);
        findings.status("an empty file", &dav.send("PUT", path, &[], b"").await, 201);
        let lock = [("timeout", "Second-600"), ("depth", "0")];
        let locked = dav.send("LOCK", path, &lock, LOCKINFO).await;
        findings.status("lock", &locked, 200);
        let token = locked.header("lock-token").unwrap_or_default();
        findings.holds("a lock has a token", token.len() > 2);
        findings.status("the empty file", &dav.send("PROPFIND", path, &depth, b"").await, 207);
        let body: Vec<u8> = (0..length).map(|at| (at % 253) as u8).collect();
        let condition = format!("({token})");
        let headers = [
            ("authorization", dav.basic.as_str()),
            ("transfer-encoding", "chunked"),
            ("x-expected-entity-length", &length.to_string()),
            ("if", &condition),
            ("user-agent", "WebDAVFS/3.0.0 (03008000) Darwin/23.4.0"),
        ];
        let mut bytes = head("PUT", &dav.url(path), &dav.address.to_string(), &headers);
        bytes.extend_from_slice(b"\r\n");
        for piece in body.chunks(60_000) {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        findings.status("the body", &dav.exchange(&bytes, false).await.expect("an answer"), 204);
        findings.status("unlock", &dav.send("UNLOCK", path, &[("lock-token", &token)], b"").await, 204);
        findings.holds("everybody gets the body", dav.public(path).await.body == body);
        let events = dav.events().await;
        let told = events.iter().filter(|event| **event == format!("PUT {path}")).count();
        findings.equal("an event for each put", &told, &2);
    }
}

async fn names(dav: &Dav<'_>, findings: &mut Findings) {
    let names = [
        ("a%26b", "a&b"),
        ("a%3Cb%3E", "a<b>"),
        ("t%20%23%3A%3F3.txt", "t #:?3.txt"),
        ("100%2525", "100%25"),
        ("x(2).pdf", "x(2).pdf"),
        ("%C3%A9", "é"),
        ("%22q%22", "\"q\""),
        ("a;b=c", "a;b=c"),
        ("a%20b", "a b"),
        ("%F0%9F%98%80", "\u{1F600}"),
        ("x%EF%BF%BEy%EF%BF%BF", "x\u{FFFE}y\u{FFFF}"),
    ];
    for (encoded, name) in names {
        let put = dav.send("PUT", &format!("/pub/n/{encoded}"), &[], name.as_bytes()).await;
        findings.status(encoded, &put, 201);
    }
    findings.status("below", &dav.send("PUT", "/pub/n/d%26/x", &[], b"x").await, 201);
    let mut told: Vec<String> = Vec::new();
    for (href, properties) in dav.list("/pub/n/").await {
        if properties.get("resourcetype").is_some_and(|kind| kind == "collection") {
            findings.holds("a collection ends in a slash", href.ends_with('/'));
            continue;
        }
        let get = dav.send("GET", &href, &[], b"").await;
        findings.status(&href, &get, 200);
        findings.equal("its length", &properties.get("getcontentlength"), &Some(&get.body.len().to_string()));
        told.push(format!("pubky://{}/pub/n/{}", dav.world.alice.z32, get.text()));
    }
    told.push(format!("pubky://{}/pub/n/d&/x", dav.world.alice.z32));
    told.sort();
    let listed = dav.public("/pub/n/").await.text();
    findings.equal("both protocols list the same", &told.join("\n"), &listed);
}

async fn depth(dav: &Dav<'_>, findings: &mut Findings) {
    let session = dav.world.session("alice.cookie");
    let mut connection = dav.world.connect().await;
    for number in 0..MANY {
        let target = format!("/storage/{}/pub/many/{number}", dav.world.alice.z32);
        let credentials = [(session.header, session.value.as_str())];
        let bytes = request("PUT", &target, &dav.world.address.to_string(), &credentials, b"x");
        let put = connection.exchange(&bytes, false).await.expect("an answer");
        findings.status("one of many", &put, 201);
    }
    for target in ["/dav/".to_owned(), dav.url("/"), dav.url("/pub/many/")] {
        for (depth, status) in [("infinity", 403), ("0", 207), ("1", 207), ("1,noroot", 400), ("2", 400)] {
            let response = dav.send("PROPFIND", &target, &[("depth", depth)], b"").await;
            findings.status(&format!("{target} {depth}"), &response, status);
        }
        let response = dav.send("PROPFIND", &target, &[], b"").await;
        findings.status(&target, &response, 403);
        findings.holds("it says why", response.text().contains("propfind-finite-depth"));
    }
    findings.equal("all of many", &dav.list("/pub/many/").await.len(), &(MANY + 1));
    let root = dav.list("/dav/").await;
    findings.holds("users are listed", root.contains_key(&dav.url("/")));
    findings.holds("and Bob too", root.contains_key(&format!("/dav/{}/", dav.world.bob.z32)));
    let hers: Vec<String> = dav.list("/").await.into_keys().collect();
    findings.equal("roots", &hers, &vec![dav.url("/"), dav.url("/priv/"), dav.url("/pub/")]);
    findings.status("private ones too", &dav.send("GET", "/priv/app/secret.txt", &[], b"").await, 200);
}

/// Names and pages of users, in a browser that knows the password.
async fn browser(dav: &Dav<'_>, findings: &mut Findings) {
    let session = dav.world.session("alice.cookie");
    let credentials = [(session.header, session.value.as_str())];
    for path in ["%3Cimg%20src=x%20onerror=alert(1)%3E", "%22%3E%3Csvg%20onload=alert(1)%3E/x", "x.html"] {
        let target = format!("/storage/{}/pub/html/{path}", dav.world.alice.z32);
        let put = dav.world.send("PUT", &target, &credentials, b"<script>fetch('/users')</script>").await;
        findings.status(path, &put, 201);
    }
    let harmless = |findings: &mut Findings, response: &Response| {
        findings.equal("nosniff", &response.header("x-content-type-options").as_deref(), &Some("nosniff"));
        let policy = response.header("content-security-policy");
        findings.equal("policy", &policy.as_deref(), &Some("default-src 'none'; sandbox"));
    };
    let index = dav.send("GET", "/pub/html/", &[("accept", "text/html")], b"").await;
    findings.status("no index", &index, 405);
    harmless(findings, &index);
    let page = dav.send("GET", "/pub/html/x.html", &[], b"").await;
    findings.status("a page", &page, 200);
    findings.equal("its type", &page.header("content-type").as_deref(), &Some("text/html"));
    harmless(findings, &page);
    let listing = dav.send("PROPFIND", "/pub/html/", &[("depth", "1")], b"").await;
    findings.holds("names are escaped", !listing.text().contains("<img"));
    harmless(findings, &listing);
    let elsewhere = dav.public("/pub/html/x.html").await;
    findings.equal("storage is as it was", &elsewhere.header("content-security-policy"), &None);
}

async fn options(dav: &Dav<'_>, findings: &mut Findings) {
    let host = dav.address.to_string();
    let probe = dav.exchange(&request("OPTIONS", "/dav/", &host, &[], b""), false).await.expect("an answer");
    findings.status("the probe of a file manager", &probe, 200);
    findings.equal("DAV", &probe.header("dav").as_deref(), &Some("1, 2"));
    findings.holds("Allow", probe.header("allow").is_some_and(|allow| allow.contains("PROPFIND")));
    let preflight = [("origin", "https://dashboard"), ("access-control-request-method", "PROPFIND")];
    let bytes = request("OPTIONS", "/dav/", &host, &preflight, b"");
    let answer = dav.exchange(&bytes, false).await.expect("an answer");
    findings.status("a browser's preflight", &answer, 200);
    findings.holds("is CORS", answer.header("access-control-allow-origin").is_some());
    let anonymous = dav.exchange(&request("PROPFIND", "/dav/", &host, &[("depth", "0")], b""), false).await;
    let anonymous = anonymous.expect("an answer");
    findings.status("all else needs the password", &anonymous, 401);
    let challenge = anonymous.header("www-authenticate").unwrap_or_default();
    findings.holds("and says how", challenge.starts_with("Basic"));
}

async fn collections(dav: &Dav<'_>, findings: &mut Findings) {
    for (target, status) in [
        ("/pub/col", 201),
        ("/pub/col", 405),
        ("/pub/col/deep/er", 409),
        ("/pub/f.bin", 405),
        ("/pub/f.bin/x", 409),
        ("/other", 403),
    ] {
        findings.status(target, &dav.send("MKCOL", target, &[], b"").await, status);
    }
    findings.holds("an empty one is listed", dav.list("/pub/").await.contains_key(&dav.url("/pub/col/")));
    findings.status("not to everybody", &dav.public("/pub/col/").await, 404);
    findings.status("a file in it", &dav.send("PUT", "/pub/col/x", &[], b"x").await, 201);
    findings.status(
        "unknown user",
        &dav.send("PUT", &format!("/dav/{}/pub/x", dav.world.fill("{nobody}")), &[], b"x").await,
        404,
    );
    let before = dav.events().await.len();
    findings.status("all of it goes", &dav.send("DELETE", "/pub/col", &[], b"").await, 204);
    findings.equal(
        "with an event",
        &dav.events().await[before..].to_vec(),
        &vec!["DEL /pub/col/x".to_owned()],
    );
    findings.status("and is gone", &dav.send("DELETE", "/pub/col/", &[], b"").await, 404);
    findings.status("a root stays", &dav.send("DELETE", "/pub/", &[], b"").await, 403);
    findings.status("too much at once", &dav.send("DELETE", "/pub/many/", &[], b"").await, 403);
    findings.equal("without effect", &dav.list("/pub/many/").await.len(), &(MANY + 1));
}

async fn moves(dav: &Dav<'_>, findings: &mut Findings) {
    findings.status("a", &dav.send("PUT", "/pub/m/a", &[], b"alpha").await, 201);
    for number in 1..=50 {
        let put = dav.send("PUT", &format!("/pub/m/d/{number:02}"), &[], number.to_string().as_bytes()).await;
        findings.status("a member", &put, 201);
    }
    let large = vec![7; 3 * MIB];
    findings.status("a large member", &dav.send("PUT", "/pub/m/d/large", &[], &large).await, 201);
    let (host, bob) = (dav.address.to_string(), dav.world.bob.z32.clone());
    let before = dav.events().await.len();
    for (from, to, overwrite, status) in [
        ("/pub/m/a", "http://elsewhere.example/x".to_owned(), "T", 502),
        ("/pub/m/a", "/etc/x".to_owned(), "T", 403),
        ("/pub/m/a", dav.url("/etc/x"), "T", 403),
        ("/pub/m/a", format!("/dav/{bob}/pub/x"), "T", 403),
        ("/pub/m/a", dav.url("/pub/m/d"), "T", 409),
        ("/pub/m/a", dav.url("/pub/m/a"), "T", 403),
        ("/pub/m/a", dav.url("/pub/f.bin"), "F", 412),
        ("/pub/m/a", dav.url("/pub/f.bin/below"), "T", 409),
        ("/pub/m/d/", dav.url("/pub/m/d/inner/"), "T", 403),
        ("/pub/m/none", dav.url("/pub/m/b"), "T", 404),
        ("/pub/many/", dav.url("/pub/more/"), "T", 403),
    ] {
        let headers = [("destination", to.as_str()), ("overwrite", overwrite)];
        findings.status(&format!("{from} to {to}"), &dav.send("MOVE", from, &headers, b"").await, status);
    }
    findings.equal("refusals have no effect", &dav.events().await.len(), &before);

    let to = format!("http://{host}{}", dav.url("/pub/m/b%20%2525"));
    findings.status("a file", &dav.send("MOVE", "/pub/m/a", &[("destination", &to)], b"").await, 201);
    findings.status("is gone", &dav.public("/pub/m/a").await, 404);
    findings.equal("and is there", &dav.public("/pub/m/b%20%2525").await.text().as_str(), &"alpha");
    let to = dav.url("/pub/m/e");
    findings.status("a collection", &dav.send("MOVE", "/pub/m/d", &[("destination", &to)], b"").await, 201);
    findings.status("is gone", &dav.public("/pub/m/d/").await, 404);
    findings.holds("large members too", dav.public("/pub/m/e/large").await.body == large);
    findings.equal("on both protocols", &dav.list("/pub/m/e/").await.len(), &52);
    findings.equal("small ones too", &dav.public("/pub/m/e/07").await.text().as_str(), &"7");
    let events = dav.events().await;
    let mut expected = vec!["DEL /pub/m/a".to_owned(), "PUT /pub/m/b %25".to_owned()];
    for name in (1..=50).map(|number| format!("{number:02}")).chain(["large".to_owned()]) {
        expected.extend([format!("DEL /pub/m/d/{name}"), format!("PUT /pub/m/e/{name}")]);
    }
    findings.equal("two events for each file", &events[before..].to_vec(), &expected);
}

async fn copies(dav: &Dav<'_>, findings: &mut Findings) {
    let to = dav.url("/pub/m/copy");
    findings.status("a copy", &dav.send("COPY", "/pub/m/e/large", &[("destination", &to)], b"").await, 201);
    let bodies = (dav.public("/pub/m/copy").await.body, dav.public("/pub/m/e/large").await.body);
    findings.holds("is the same", bodies.0 == bodies.1 && bodies.0.len() == 3 * MIB);
    let headers = [("destination", to.as_str()), ("overwrite", "F")];
    findings.status("kept", &dav.send("COPY", "/pub/m/e/01", &headers, b"").await, 412);
    findings.status("replaced", &dav.send("COPY", "/pub/m/e/01", &headers[..1], b"").await, 204);
    let before = dav.events().await.len();
    findings.status(
        "a collection",
        &dav.send("COPY", "/pub/m/e", &[("destination", &dav.url("/pub/z"))], b"").await,
        501,
    );
    findings.equal("without effect", &dav.events().await.len(), &before);
}

/// Bob may store one megabyte.
async fn quota(dav: &Dav<'_>, findings: &mut Findings) {
    let bob = dav.world.bob.public_key();
    let set = UserQuota { storage: Some(Storage::StorageMb(1)), ..UserQuota::default() };
    let patch = QuotaPatch { set: Some(set), reset: Vec::new() };
    let op = ChangeQuota { tenant: bob.as_bytes().to_vec().into(), patch: Some(patch) };
    let mut changed = false;
    for node in dav.nodes() {
        let shard = Slot::of_user(&bob).shard(16);
        changed |= node.execute(shard, execute_request::Op::ChangeQuota(op.clone())).await.unwrap_or(false);
    }
    findings.holds("the quota is set", changed);
    let url = |path: &str| format!("/dav/{}{path}", dav.world.bob.z32);
    findings.status("fits", &dav.send("PUT", &url("/pub/q"), &[], &vec![1; 1000]).await, 201);
    let too_much = vec![2; 2 * MIB];
    for target in [url("/pub/q"), url("/pub/new")] {
        findings.status("by its length", &dav.send("PUT", &target, &[], &too_much).await, 507);
        let headers = [("authorization", dav.basic.as_str()), ("transfer-encoding", "chunked")];
        let mut bytes = head("PUT", &target, &dav.address.to_string(), &headers);
        bytes.extend_from_slice(format!("\r\n{:x}\r\n", too_much.len()).as_bytes());
        bytes.extend_from_slice(&too_much);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        findings.status("without one", &dav.exchange(&bytes, false).await.expect("an answer"), 507);
    }
    let old = dav.send("GET", &url("/pub/q"), &[], b"").await;
    findings.holds("the old file is intact", old.body == vec![1; 1000]);
    findings.status("no new one", &dav.send("GET", &url("/pub/new"), &[], b"").await, 404);
    findings.status("600 kB", &dav.send("PUT", &url("/pub/c"), &[], &vec![3; 600_000]).await, 201);
    for number in 0..5 {
        let to = url(&format!("/pub/c{number}"));
        findings.status(
            "a copy counts",
            &dav.send("COPY", &url("/pub/c"), &[("destination", &to)], b"").await,
            507,
        );
    }
    let ask = b"<propfind xmlns=\"DAV:\"><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>";
    let asked = dav.send("PROPFIND", &url("/"), &[("depth", "0")], ask).await;
    let told = multistatus(&asked.body).remove(&url("/")).unwrap_or_default();
    let used = 1000 + 600_000 + 2 * 256;
    findings.equal("used", &told.get("quota-used-bytes"), &Some(&used.to_string()));
    findings.equal("available", &told.get("quota-available-bytes"), &Some(&(MIB - used).to_string()));
}

/// The leader of the shard dies while a collection moves: it is in one of both places, and whole.
async fn killed_moves(dav: &Dav<'_>, findings: &mut Findings) {
    let cluster = dav.world.cluster.as_ref().expect("a cluster");
    let (mut from, mut to) = ("/pub/m/e", "/pub/m/x");
    for round in 0..3 {
        let Some(leader) = leader(dav).await else { return findings.holds("somebody leads", false) };
        let destination = dav.url(to);
        let headers = [("destination", destination.as_str())];
        let moving = dav.try_send("MOVE", from, &headers, b"");
        let killing = async {
            tokio::time::sleep(Duration::from_millis(round)).await;
            cluster.kill(&leader).expect("it ran")
        };
        let (moved, killed) = tokio::join!(moving, killing);
        let (here, there) = (members(dav, from).await, members(dav, to).await);
        findings.holds(
            &format!("whole in one place: {here:?} {there:?}"),
            matches!((here, there), (Some(51), None) | (None, Some(51))),
        );
        if moved.is_ok_and(|moved| moved.status == 201) {
            findings.equal("what was promised", &there, &Some(51));
        }
        if there.is_some() {
            (from, to) = (to, from);
        }
        cluster.wait_ready_again(&leader, killed).await.expect("it comes back");
    }
}

/// How many files are there, once somebody says; `None` for no such collection.
async fn members(dav: &Dav<'_>, path: &str) -> Option<usize> {
    for _ in 0..200 {
        if let Ok(response) = dav.try_send("PROPFIND", path, &[("depth", "1")], b"").await {
            match response.status {
                207 => return Some(multistatus(&response.body).len() - 1),
                404 => return None,
                _ => {}
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("nobody says what is at {path}");
}

async fn leader(dav: &Dav<'_>) -> Option<String> {
    for _ in 0..200 {
        for node in dav.nodes() {
            if matches!(node.events(dav.shard(), 0, 1).await, Ok(Some(_))) {
                return Some(node.name);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}
