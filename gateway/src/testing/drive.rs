//! A drive of one user behind a scripted node, and the operator who looks at it through `/dav`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::*;
use xml::reader::{EventReader, XmlEvent};

use super::{Client, Fixture, Reply, Script, User, failure};

const PASSWORD: &str = "correct horse";

/// Files of one user, who also has an empty collection.
pub type Files = Arc<Mutex<BTreeMap<String, Bytes>>>;

pub struct Drive {
    pub fixture: Fixture,
    pub client: Client,
    pub user: User,
    pub files: Files,
}

fn entry_of(body: &Bytes) -> Entry {
    Entry {
        hash: Bytes::copy_from_slice(blake3::hash(body).as_bytes()),
        length: body.len() as u64,
        content_type: "text/html".into(),
        modified_ms: 1_445_412_480_000,
        body: body.clone(),
        ..Entry::default()
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

pub fn account(user: &User) -> Account {
    let storage = rowhouse_proto::wire::account::user_quota::Storage::StorageMb(1);
    let quota = rowhouse_proto::wire::account::UserQuota { storage: Some(storage), ..Default::default() };
    Account {
        user: user.key.as_bytes().to_vec().into(),
        used_bytes: 576,
        quota: Some(quota),
        ..Account::default()
    }
}

pub fn answer(files: &Files, user: &Account, shard: u32, request: QueryRequest) -> query_reply::Result {
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
    pub async fn with(files: &[(&str, &str)]) -> Self {
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

    pub fn url(&self, path: &str) -> String {
        format!("/dav/{}{path}", self.user.z32)
    }

    /// By the operator, below the user's drive unless the path is a whole one.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let basic = format!("Basic {}", STANDARD.encode(format!("admin:{PASSWORD}")));
        let mut all = vec![("authorization", basic.as_str())];
        all.extend_from_slice(headers);
        let path = if path.starts_with("/dav") { path.to_owned() } else { self.url(path) };
        let reply = self.client.send(method, &path, &all, body).await;
        assert_harmless(&reply, &format!("{method} {path}"));
        reply
    }

    pub async fn propfind(&self, path: &str, depth: &str, body: &str) -> Vec<Found> {
        let reply = self.send("PROPFIND", path, &[("depth", depth)], body.as_bytes()).await;
        assert_eq!(reply.status, 207, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type").as_deref(), Some("application/xml; charset=utf-8"));
        responses(&dechunked(&reply.body).expect("the whole body"))
    }

    pub fn executed(&self) -> Vec<execute_request::Op> {
        self.fixture.node.executed().into_iter().filter_map(|request| request.op).collect()
    }
}

pub fn assert_harmless(reply: &Reply, what: &str) {
    assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"), "{what}");
    let policy = reply.header("content-security-policy");
    assert_eq!(policy.as_deref(), Some("default-src 'none'; sandbox"), "{what}");
}

/// `None`: it broke off.
pub fn dechunked(mut body: &[u8]) -> Option<Vec<u8>> {
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
pub struct Found {
    pub href: String,
    pub properties: BTreeMap<String, String>,
    pub missing: Vec<String>,
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
