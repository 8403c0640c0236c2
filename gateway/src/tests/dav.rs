//! `/dav` over a scripted drive: what shards are asked, and what file managers and browsers see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::*;
use xml::reader::{EventReader, XmlEvent};

use crate::testing::{Client, Fixture, Reply, SHARDS, Script, User, failure};

const PASSWORD: &str = "correct horse";

/// Files of one user, who also has an empty collection.
type Files = Arc<Mutex<BTreeMap<String, Bytes>>>;

struct Drive {
    fixture: Fixture,
    client: Client,
    user: User,
    files: Files,
}

fn entry_of(body: &Bytes) -> Entry {
    Entry {
        hash: Bytes::copy_from_slice(blake3::hash(body).as_bytes()),
        length: body.len() as u64,
        content_type: "text/html".into(),
        modified_ms: 1_445_412_480_000,
        body: body.clone(),
        object: Bytes::new(),
    }
}

fn members(files: &BTreeMap<String, Bytes>, directory: &str) -> Vec<Member> {
    let mut members: BTreeMap<String, Option<Entry>> = BTreeMap::new();
    for (path, body) in files {
        let Some(rest) = path.strip_prefix(directory) else { continue };
        match rest.split_once('/') {
            Some((child, _)) => members.insert(format!("{child}/"), None),
            None => members.insert(rest.to_owned(), Some(Entry { body: Bytes::new(), ..entry_of(body) })),
        };
    }
    members.into_iter().map(|(name, entry)| Member { name, entry }).collect()
}

fn find(files: &BTreeMap<String, Bytes>, path: &str) -> query_reply::Result {
    let trimmed = path.trim_end_matches('/');
    if let Some(body) = files.get(trimmed) {
        let entry = Some(Entry { body: Bytes::new(), ..entry_of(body) });
        return query_reply::Result::Member(Member { name: String::new(), entry });
    }
    let below = format!("{trimmed}/");
    let there = ["/pub/", "/priv/", "/pub/empty/"].contains(&&*below)
        || files.keys().any(|path| path.starts_with(&below));
    if there {
        query_reply::Result::Member(Member::default())
    } else {
        query_reply::Result::Failure(failure(ErrorCode::NotFound))
    }
}

fn account(user: &User) -> Account {
    let storage = rowhouse_proto::wire::account::user_quota::Storage::StorageMb(1);
    let quota = rowhouse_proto::wire::account::UserQuota { storage: Some(storage), ..Default::default() };
    Account {
        user: user.key.as_bytes().to_vec().into(),
        used_bytes: 576,
        quota: Some(quota),
        ..Account::default()
    }
}

fn answer(files: &Files, user: &Account, shard: u32, request: QueryRequest) -> query_reply::Result {
    let files = files.lock().expect("files");
    let none = query_reply::Result::Failure(failure(ErrorCode::NotFound));
    let is_user = |tenant: &Bytes| *tenant == user.user;
    match request.op.expect("an operation") {
        query_request::Op::FindMember(op) if is_user(&op.tenant) => find(&files, &op.path),
        query_request::Op::GetUser(op) if is_user(&op.tenant) => query_reply::Result::Account(user.clone()),
        query_request::Op::ListUsers(_) => {
            let accounts = if request.group == shard { vec![user.clone()] } else { Vec::new() };
            query_reply::Result::AccountPage(AccountPage { accounts })
        }
        query_request::Op::ListCollection(op) if is_user(&op.tenant) => {
            let page = members(&files, &op.path).into_iter().filter(|member| member.name > op.after);
            query_reply::Result::MemberPage(MemberPage { members: page.take(op.limit as usize).collect() })
        }
        query_request::Op::ReadEntry(op) if is_user(&op.tenant) => {
            let operator = credential::Kind::Operator(true);
            assert_eq!(op.credential.and_then(|credential| credential.kind), Some(operator));
            match files.get(&op.path) {
                Some(body) => query_reply::Result::Entry(entry_of(body)),
                None => none,
            }
        }
        _ => none,
    }
}

impl Drive {
    async fn with(files: &[(&str, &str)]) -> Self {
        let user = User::random();
        let body = |body: &str| Bytes::copy_from_slice(body.as_bytes());
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), body(text))).collect();
        let files: Files = Arc::new(Mutex::new(files));
        let (asked, known, shard) = (Arc::clone(&files), account(&user), user.shard());
        let script = Script::default().and_query(move |request| Ok(answer(&asked, &known, shard, request)));
        let fixture = Fixture::with(script, |config| {
            config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
            config.admin.password = Some(PASSWORD.into());
        })
        .await;
        let client = Client::new(fixture.gateway.admin_address().expect("admin"));
        Self { fixture, client, user, files }
    }

    fn url(&self, path: &str) -> String {
        format!("/dav/{}{path}", self.user.z32)
    }

    /// By the operator, below the user's drive unless the path is a whole one.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let basic = format!("Basic {}", STANDARD.encode(format!("admin:{PASSWORD}")));
        let mut all = vec![("authorization", basic.as_str())];
        all.extend_from_slice(headers);
        let path = if path.starts_with("/dav") { path.to_owned() } else { self.url(path) };
        let reply = self.client.send(method, &path, &all, body).await;
        assert_harmless(&reply, &format!("{method} {path}"));
        reply
    }

    async fn propfind(&self, path: &str, depth: &str, body: &str) -> Vec<Found> {
        let reply = self.send("PROPFIND", path, &[("depth", depth)], body.as_bytes()).await;
        assert_eq!(reply.status, 207, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type").as_deref(), Some("application/xml; charset=utf-8"));
        responses(&dechunked(&reply.body).expect("the whole body"))
    }

    fn executed(&self) -> Vec<execute_request::Op> {
        self.fixture.node.executed().into_iter().filter_map(|request| request.op).collect()
    }
}

fn assert_harmless(reply: &Reply, what: &str) {
    assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"), "{what}");
    let policy = reply.header("content-security-policy");
    assert_eq!(policy.as_deref(), Some("default-src 'none'; sandbox"), "{what}");
}

/// `None`: it broke off.
fn dechunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|pair| pair == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?, 16).ok()?;
        body = &body[end + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(..size)?);
        body = body.get(size + 2..)?;
    }
}

/// A response of a multistatus: its href, and its properties with their status.
#[derive(Debug, Default)]
struct Found {
    href: String,
    properties: BTreeMap<String, String>,
    missing: Vec<String>,
}

/// Panics unless the document is well-formed, namespaces included.
fn responses(document: &[u8]) -> Vec<Found> {
    let text = std::str::from_utf8(document).expect("UTF-8");
    assert!(!text.contains(['\u{FFFE}', '\u{FFFF}']), "XML cannot carry them");
    let (mut found, mut open, mut properties) = (Vec::new(), Vec::new(), Vec::new());
    for event in EventReader::new(document) {
        match event.unwrap_or_else(|error| panic!("{error}: {text}")) {
            XmlEvent::StartElement { name, .. } => {
                if name.local_name == "response" {
                    found.push(Found::default());
                }
                if open.last().is_some_and(|parent| parent == "prop") {
                    properties.push((name.local_name.clone(), String::new()));
                } else if open.contains(&"prop".to_owned()) {
                    properties.last_mut().expect("a property").1.push_str(&name.local_name);
                }
                open.push(name.local_name);
            }
            XmlEvent::Characters(text) => {
                let response: Option<&mut Found> = found.last_mut();
                match open.last().map(String::as_str) {
                    Some("href") => response.expect("a response").href.push_str(&text),
                    Some("status") => {
                        let response = response.expect("a response");
                        if text.contains("404") {
                            response.missing.extend(properties.drain(..).map(|(name, _)| name));
                        } else {
                            response.properties.extend(properties.drain(..));
                        }
                    }
                    _ => properties.last_mut().expect("a property").1.push_str(&text),
                }
            }
            XmlEvent::EndElement { .. } => drop(open.pop()),
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn options_say_dav_to_everybody_and_all_else_needs_the_password() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    for path in ["/dav", "/dav/", &drive.url("/pub/a")] {
        let reply = drive.client.send("OPTIONS", path, &[], b"").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("dav").as_deref(), Some("1, 2"));
        assert_eq!(reply.header("ms-author-via").as_deref(), Some("DAV"));
        assert!(
            reply.header("allow").is_some_and(|allow| allow.contains("PROPFIND") && allow.contains("MOVE"))
        );
        assert_harmless(&reply, path);
        let preflight = [("origin", "https://dashboard"), ("access-control-request-method", "MOVE")];
        let reply = drive.client.send("OPTIONS", path, &preflight, b"").await;
        assert_eq!((reply.status, reply.header("dav")), (200, None));
        assert!(reply.header("access-control-allow-methods").is_some_and(|methods| methods.contains("MOVE")));
        for method in ["GET", "PUT", "PROPFIND", "LOCK", "BREW"] {
            for headers in [&[][..], &[("authorization", "Basic YWRtaW46YWRtaW4=")]] {
                let reply = drive.client.send(method, path, headers, b"").await;
                assert_eq!(reply.status, 401, "{method} {path}");
                assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
                assert_harmless(&reply, path);
            }
        }
    }
    // Beside it nothing says so.
    assert_eq!(drive.client.send("OPTIONS", "/davx", &[], b"").await.header("dav"), None);
    assert!(drive.executed().is_empty() && drive.fixture.node.queried().is_empty());
    assert_eq!(drive.send("BREW", "/pub/a", &[], b"").await.status, 405);
}

#[tokio::test]
async fn every_legal_name_is_told_and_its_href_gets_that_very_file() {
    let names = [
        "a&b",
        "a<b>",
        "t #:?3.txt",
        "100%25",
        "x(2).pdf",
        "é",
        "\"q\"",
        "a;b=c",
        "a b",
        "'",
        "]]>",
        "<!--",
        "&amp;",
        "\u{1F600}",
        "x\u{FFFE}y",
        "\u{FFFF}",
        "%2F",
        "+",
        "~",
        "nbsp\u{A0}x",
        "<img src=x onerror=alert(1)>",
    ];
    let paths: Vec<String> = names.iter().map(|name| format!("/pub/n/{name}")).collect();
    let mut files: Vec<(&str, &str)> =
        paths.iter().zip(names).map(|(path, name)| (path.as_str(), name)).collect();
    files.push(("/pub/n/d&<>/x", "x"));
    let drive = Drive::with(&files).await;
    let found = drive.propfind("/pub/n/", "1", "").await;
    assert_eq!(found.len(), 1 + names.len() + 1);
    assert_eq!(found[0].href, drive.url("/pub/n/"));
    let mut got = Vec::new();
    for one in &found[1..] {
        if one.properties["resourcetype"] == "collection" {
            assert!(one.href.ends_with('/') && one.properties["displayname"] == "d&<>", "{one:?}");
            assert_eq!(drive.propfind(&one.href, "1", "").await.len(), 2);
            continue;
        }
        let reply = drive.send("GET", &one.href, &[], b"").await;
        assert_eq!(reply.status, 200, "{one:?}");
        let name = reply.text();
        let shown: String = name.chars().filter(|c| !['\u{FFFE}', '\u{FFFF}'].contains(c)).collect();
        assert_eq!(one.properties["displayname"], shown);
        assert_eq!(one.properties["getcontentlength"], name.len().to_string());
        assert_eq!(reply.header("etag").as_deref(), Some(one.properties["getetag"].as_str()));
        assert_eq!(
            reply.header("last-modified").as_deref(),
            Some(one.properties["getlastmodified"].as_str())
        );
        got.push(name);
    }
    got.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn properties_that_are_missing_are_told_as_missing() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    let ask = "<propfind xmlns=\"DAV:\"><prop><quota-used-bytes/><quota-available-bytes/><getetag/>\
               <x:y xmlns:x=\"urn:&quot;&lt;\"/></prop></propfind>";
    for path in ["/", "/pub/"] {
        let found = drive.propfind(path, "0", ask).await;
        assert_eq!(found[0].properties["quota-used-bytes"], "576");
        assert_eq!(found[0].properties["quota-available-bytes"], (1024 * 1024 - 576).to_string());
        assert_eq!(found[0].missing, ["getetag", "y"]);
    }
    let found = drive.propfind("/pub/a", "0", ask).await;
    assert_eq!(found[0].missing, ["quota-used-bytes", "quota-available-bytes", "y"]);
    let names = drive.propfind("/pub/a", "0", "<propfind xmlns=\"DAV:\"><propname/></propfind>").await;
    assert!(names[0].properties["getetag"].is_empty());
    let deep = "<a>".repeat(5000);
    for body in ["<propfind/>", "<propfind xmlns=\"DAV:\">", "{}", &deep] {
        let reply = drive.send("PROPFIND", "/pub/a", &[("depth", "0")], body.as_bytes()).await;
        assert_eq!(reply.status, 400, "{body:.40}");
    }
    let reply = drive.send("PROPFIND", "/pub/a", &[("depth", "0")], &[b' '; 65 * 1024]).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn depth_is_finite_and_known() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    for path in ["/dav/", "/dav", "/", "", "/pub/", "/pub"] {
        let path = if path.starts_with("/dav") { path.to_owned() } else { drive.url(path) };
        for (depth, status) in
            [("0", 207), ("1", 207), ("infinity", 403), ("Infinity", 403), ("1,noroot", 400), ("2", 400)]
        {
            let reply = drive.send("PROPFIND", &path, &[("depth", depth)], b"").await;
            assert_eq!(reply.status, status, "{path} {depth}");
        }
        let reply = drive.send("PROPFIND", &path, &[], b"").await;
        assert_eq!(reply.status, 403);
        assert!(reply.text().contains("<D:propfind-finite-depth/>"));
        EventReader::new(&reply.body[..]).into_iter().for_each(|event| drop(event.expect("well-formed")));
    }
    let root = drive.propfind("/dav/", "1", "").await;
    let hrefs: Vec<&str> = root.iter().map(|found| found.href.as_str()).collect();
    assert_eq!(hrefs, ["/dav/", &drive.url("/")]);
    let asked = drive.fixture.node.queried().into_iter();
    let lists = asked.filter(|query| matches!(query.op, Some(query_request::Op::ListUsers(_))));
    assert_eq!(lists.count() as u32 % SHARDS, 0, "each shard is asked once a listing");
    let user: Vec<String> = drive.propfind("/", "1", "").await.into_iter().map(|found| found.href).collect();
    assert_eq!(user, [drive.url("/"), drive.url("/priv/"), drive.url("/pub/")]);
    for missing in
        ["/pub/none", "/priv/none/", "/other/", "/dav/.DS_Store", &format!("/dav/{}/", User::random().z32)]
    {
        let reply = drive.send("PROPFIND", missing, &[("depth", "0")], b"").await;
        assert_eq!(reply.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn a_large_collection_comes_in_pages_and_never_as_a_part() {
    let drive = Drive::with(&[]).await;
    let many = (0..20_000).map(|number| (format!("/pub/d/{number:05}"), Bytes::from_static(b"x")));
    drive.files.lock().expect("files").extend(many);
    assert_eq!(drive.propfind("/pub/d/", "1", "").await.len(), 20_001);
    let asked = drive.fixture.node.queried().into_iter();
    let limits: Vec<u32> = asked
        .filter_map(|query| match query.op {
            Some(query_request::Op::ListCollection(op)) => Some(op.limit),
            _ => None,
        })
        .collect();
    assert!(limits.len() >= 40 && limits.iter().all(|limit| *limit <= 500), "{limits:?}");

    let (files, known) = (Arc::clone(&drive.files), account(&drive.user));
    let mut pages = 0;
    drive.fixture.node.script(Script::default().and_query(move |request| {
        if matches!(request.op, Some(query_request::Op::ListCollection(_))) {
            pages += 1;
            if pages == 3 {
                return Ok(query_reply::Result::Failure(failure(ErrorCode::Internal)));
            }
        }
        Ok(answer(&files, &known, 0, request))
    }));
    let reply = drive.send("PROPFIND", "/pub/d/", &[("depth", "1")], b"").await;
    assert!(dechunked(&reply.body).is_none(), "a part is not taken for the whole");
}

#[tokio::test]
async fn puts_are_the_operators_and_say_what_they_did() {
    let drive = Drive::with(&[("/pub/a", "a"), ("/pub/d/x", "x")]).await;
    let tag = format!("\"{}\"", STANDARD.encode(blake3::hash(b"a").as_bytes()));
    for (path, headers, status) in [
        ("/pub/new", vec![], 201),
        ("/pub/a", vec![], 204),
        ("/pub/a", vec![("if-match", tag.as_str())], 204),
        ("/pub/a", vec![("if", "(<opaquetoken:1>)"), ("x-expected-entity-length", "5")], 204),
        ("/pub/a", vec![("if-none-match", "*")], 412),
        ("/pub/new", vec![("if-match", "*")], 412),
        ("/pub/a", vec![("content-range", "bytes 0-4/9")], 400),
        ("/pub/d", vec![], 405),
        ("/pub/new/", vec![], 405),
        ("/", vec![], 403),
        ("/dav/.DS_Store", vec![], 404),
    ] {
        let before = drive.executed().len();
        let reply = drive.send("PUT", path, &headers, b"hello").await;
        assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.text());
        let executed = drive.executed();
        assert_eq!(executed.len() - before, usize::from(status < 300), "{path}");
        if let (Some(execute_request::Op::PutEntry(put)), true) = (executed.last(), status < 300) {
            let operator = Some(credential::Kind::Operator(true));
            assert_eq!(put.credential.as_ref().and_then(|credential| credential.kind.clone()), operator);
            assert_eq!(
                (put.path.as_str(), put.content_length, &put.body[..]),
                (path, Some(5), &b"hello"[..])
            );
        }
    }
    for code in [ErrorCode::QuotaExceeded, ErrorCode::PathCollision, ErrorCode::NotFound] {
        let (files, known) = (Arc::clone(&drive.files), account(&drive.user));
        let refusing = Script::execute(move |_| Ok(execute_reply::Result::Failure(failure(code))));
        drive.fixture.node.script(refusing.and_query(move |request| Ok(answer(&files, &known, 0, request))));
        let reply = drive.send("PUT", "/pub/a", &[], b"hello").await;
        assert_eq!(reply.status, code.http_status().as_u16());
    }
}

#[tokio::test]
async fn reads_are_ranged_sandboxed_and_never_a_listing() {
    let drive = Drive::with(&[("/pub/x.html", "<script>"), ("/priv/s", "secret")]).await;
    let reply = drive.send("GET", "/pub/x.html", &[("range", "bytes=1-3")], b"").await;
    assert_eq!((reply.status, reply.text().as_str()), (206, "scr"));
    assert_eq!(reply.header("cache-control").as_deref(), Some("private, must-revalidate"));
    let reply = drive.send("HEAD", "/pub/x.html", &[], b"").await;
    assert_eq!((reply.status, reply.header("content-length").as_deref()), (200, Some("8")));
    let reply = drive.send("GET", "/priv/s", &[], b"").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "secret"));
    assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
    for path in ["/dav/", "/", "/pub/", "/pub", "/priv"] {
        let reply = drive.send("GET", path, &[("accept", "text/html")], b"").await;
        assert_eq!((reply.status, reply.body.is_empty()), (405, true), "{path}");
    }
    assert_eq!(drive.send("GET", "/pub/none", &[], b"").await.status, 404);
}

#[tokio::test]
async fn a_deletion_is_one_command() {
    let drive = Drive::with(&[("/pub/a", "a"), ("/pub/d/x", "x")]).await;
    for (path, depth, status) in [
        ("/pub/a", "0", 204),
        ("/pub/d", "infinity", 204),
        ("/pub/d/", "0", 400),
        ("/pub/none", "infinity", 404),
        ("/", "infinity", 403),
        ("/dav/", "infinity", 403),
    ] {
        assert_eq!(drive.send("DELETE", path, &[("depth", depth)], b"").await.status, status, "{path}");
    }
    let [execute_request::Op::DeleteEntry(file), execute_request::Op::RemoveCollection(collection)] =
        &drive.executed()[..]
    else {
        panic!("{:?}", drive.executed())
    };
    assert_eq!((file.path.as_str(), collection.path.as_str()), ("/pub/a", "/pub/d/"));
}

#[tokio::test]
async fn collections_are_made_by_one_command() {
    let drive = Drive::with(&[]).await;
    for (path, body, status) in [
        ("/pub/new", &b""[..], 201),
        ("/pub/new/", b"", 201),
        ("/pub/new", b"<x/>", 415),
        ("/dav/", b"", 405),
        ("/", b"", 405),
        (&format!("/dav/{}/", User::random().z32), b"", 403),
    ] {
        assert_eq!(drive.send("MKCOL", path, &[], body).await.status, status, "{path}");
    }
    for op in drive.executed() {
        let execute_request::Op::MakeCollection(op) = op else { panic!("{op:?}") };
        assert_eq!(op.path, "/pub/new/");
    }
    for (code, status) in
        [(ErrorCode::PathExists, 405), (ErrorCode::NoParent, 409), (ErrorCode::NotFound, 409)]
    {
        drive
            .fixture
            .node
            .script(Script::execute(move |_| Ok(execute_reply::Result::Failure(failure(code)))));
        assert_eq!(drive.send("MKCOL", "/pub/x", &[], b"").await.status, status);
    }
}

#[tokio::test]
async fn a_move_is_one_command_or_nothing() {
    let drive = Drive::with(&[("/pub/m/a", "a"), ("/pub/m/d/1", "1")]).await;
    let (here, other) = (drive.url(""), User::random());
    let ok = [
        ("/pub/m/a", format!("{here}/pub/m/b"), "T", 201, ("/pub/m/a", "/pub/m/b")),
        ("/pub/m/a", format!("http://localhost{here}/pub/a%20b%2525"), "F", 201, ("/pub/m/a", "/pub/a b%25")),
        ("/pub/m/a/", format!("{here}/pub/m/b/"), "T", 201, ("/pub/m/a", "/pub/m/b")),
        ("/pub/m/d", format!("{here}/priv/x"), "T", 201, ("/pub/m/d/", "/priv/x/")),
        ("/pub/m/a", format!("{here}/pub/m/d/1"), "T", 204, ("/pub/m/a", "/pub/m/d/1")),
    ];
    for (path, to, overwrite, status, expected) in &ok {
        let headers = [("destination", to.as_str()), ("overwrite", *overwrite)];
        let reply = drive.send("MOVE", path, &headers, b"").await;
        assert_eq!(reply.status, *status, "{path} {to}: {}", reply.text());
        let Some(execute_request::Op::MoveEntries(op)) = drive.executed().pop() else { panic!("{to}") };
        assert_eq!(((op.from.as_str(), op.to.as_str()), op.overwrite), (*expected, *overwrite == "T"));
    }
    for (path, to, depth, status) in [
        ("/pub/m/a", format!("http://elsewhere{here}/pub/b"), "infinity", 502),
        ("/pub/m/a", format!("/dav/{}/pub/b", other.z32), "infinity", 403),
        ("/pub/m/a", "/etc/x".to_owned(), "infinity", 403),
        ("/pub/m/a", format!("{here}/"), "infinity", 403),
        ("/pub/m/a", "nowhere at all".to_owned(), "infinity", 400),
        ("/pub/m/a", format!("{here}/pub/%ff"), "infinity", 400),
        ("/pub/m/a", format!("{here}/pub/b"), "0", 400),
        ("/pub/m/none", format!("{here}/pub/b"), "infinity", 404),
        ("/", format!("{here}/pub/b"), "infinity", 403),
    ] {
        let reply = drive.send("MOVE", path, &[("destination", &to), ("depth", depth)], b"").await;
        assert_eq!(reply.status, status, "{path} {to}: {}", reply.text());
    }
    assert_eq!(drive.send("MOVE", "/pub/m/a", &[], b"").await.status, 400);
    assert_eq!(drive.executed().len(), ok.len(), "refusals ask nobody for a change");
}

#[tokio::test]
async fn a_copy_is_a_put_of_what_was_read() {
    let drive = Drive::with(&[("/pub/a", "bytes"), ("/pub/b", "old"), ("/pub/d/1", "1")]).await;
    let here = drive.url("");
    for (path, to, overwrite, status) in [
        ("/pub/a", "/pub/new", "F", 201),
        ("/pub/a", "/pub/b", "T", 204),
        ("/pub/a", "/pub/b", "F", 412),
        ("/pub/a", "/pub/a", "T", 403),
        ("/pub/a", "/pub/d", "T", 409),
        ("/pub/d", "/pub/e", "T", 501),
        ("/pub/none", "/pub/e", "T", 404),
    ] {
        let headers = [("destination", &*format!("{here}{to}")), ("overwrite", overwrite)];
        let before = drive.executed().len();
        let reply = drive.send("COPY", path, &headers, b"").await;
        assert_eq!(reply.status, status, "{path} {to}: {}", reply.text());
        assert_eq!(drive.executed().len() - before, usize::from(status < 300));
    }
    for op in drive.executed() {
        let execute_request::Op::PutEntry(put) = op else { panic!("{op:?}") };
        assert_eq!((&put.body[..], put.content_length), (&b"bytes"[..], Some(5)));
    }
}

#[tokio::test]
async fn locks_succeed_and_a_lock_of_nothing_makes_a_file() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    let lockinfo = "<?xml version=\"1.0\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                    <D:locktype><D:write/></D:locktype><D:owner>me</D:owner></D:lockinfo>";
    let headers = [("depth", "0"), ("timeout", "Second-600")];
    for (path, status, made) in
        [("/pub/a", 200, 0), ("/pub/new", 201, 1), ("/pub/", 200, 1), ("/dav/", 200, 1)]
    {
        let reply = drive.send("LOCK", path, &headers, lockinfo.as_bytes()).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        let token = reply.header("lock-token").expect("a token");
        assert!(token.starts_with('<') && token.ends_with('>'), "{token}");
        assert_eq!(drive.executed().len(), made);
        let unlocked = drive.send("UNLOCK", path, &[("lock-token", &token)], b"").await;
        assert_eq!(unlocked.status, 204, "{path}");
    }
    let Some(execute_request::Op::PutEntry(put)) = drive.executed().pop() else { panic!("a put") };
    assert_eq!((put.path.as_str(), put.body.len()), ("/pub/new", 0));
    assert_eq!(drive.send("LOCK", "/pub/new/", &headers, lockinfo.as_bytes()).await.status, 403);
    let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
    for body in ["", "<x", &deep] {
        assert_eq!(drive.send("LOCK", "/pub/a", &headers, body.as_bytes()).await.status, 400, "{body:.20}");
    }
    let patch = "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
                 <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>";
    let reply = drive.send("PROPPATCH", "/pub/a", &[], patch.as_bytes()).await;
    assert_eq!(reply.status, 207);
    assert!(reply.text().contains("200 OK"), "{}", reply.text());
    let own = patch.replace("urn:schemas-microsoft-com:", "urn:own");
    let reply = drive.send("PROPPATCH", "/pub/a", &[], own.as_bytes()).await;
    assert_eq!(reply.status, 207);
    assert!(reply.text().contains("403 Forbidden"), "{}", reply.text());
    assert_eq!(drive.send("PROPPATCH", "/pub/none", &[], patch.as_bytes()).await.status, 404);
}
