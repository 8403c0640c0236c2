//! The people and files the tables speak of, and the judge of single cases.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pubky_common::crypto::PublicKey;
use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};
use rowhouse_chaos_tests::error::Error;
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{Session, User, session_cookie, signin_by_grant, signup_by_cookie};
use rowhouse_chaos_tests::request::request;

use super::case::Case;

/// Generous for a busy machine; nothing here is asserted about speed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A 503 says when to come back: `Retry-After: 1`.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const UNAVAILABLE: u16 = 503;
/// The content type of the grant routes.
pub const JSON: (&str, &str) = ("content-type", "application/json");
const EXISTING_SERVER: &str = "ROWHOUSE_CONFORMANCE";

pub struct World {
    pub cluster: Option<Arc<Cluster>>,
    /// The first gateway, and that of every request unless gateways take turns.
    pub address: SocketAddr,
    gateways: Vec<SocketAddr>,
    turn: AtomicUsize,
    /// Whether a request is sent once more after a 503 or a broken connection.
    tries_again: bool,
    pub homeserver: PublicKey,
    pub alice: User,
    pub bob: User,
    names: BTreeMap<String, String>,
}

impl World {
    pub async fn start() -> Self {
        if let Some(world) = Self::with(ClusterOptions::default()).await {
            return world;
        }
        let text = std::env::var(EXISTING_SERVER).expect("url,key");
        let (url, z32) = text.split_once(',').expect("url,key");
        let address = url.trim_start_matches("http://").parse().expect("http://ip:port");
        Self::settle(None, address, PublicKey::try_from_z32(z32).expect("a key")).await
    }

    /// A cluster of its own; None when the server that is already there is to be used.
    pub async fn with(options: ClusterOptions) -> Option<Self> {
        if std::env::var_os(EXISTING_SERVER).is_some() {
            return None;
        }
        let cluster = Cluster::start(options).await.expect("the cluster starts");
        let address = cluster.gateways().expect("gateways")[0];
        let homeserver = cluster.homeserver().expect("a key");
        Some(Self::settle(Some(Arc::new(cluster)), address, homeserver).await)
    }

    /// From now on each request goes to another gateway than the one before.
    pub fn taking_turns(mut self) -> Self {
        if let Some(cluster) = &self.cluster {
            self.gateways = cluster.gateways().expect("gateways");
        }
        self
    }

    /// From now on each request is sent once more after a 503 or a broken connection.
    pub fn trying_again(self) -> Self {
        Self { tries_again: true, ..self }
    }

    /// Other people and files on the same servers: what was done to the first ones does not matter to these.
    pub async fn anew(&self) -> Self {
        let mut world = Self {
            cluster: self.cluster.clone(),
            address: self.address,
            gateways: self.gateways.clone(),
            turn: AtomicUsize::new(0),
            tries_again: self.tries_again,
            homeserver: self.homeserver.clone(),
            alice: User::random(),
            bob: User::random(),
            names: BTreeMap::new(),
        };
        world.people().await;
        world.files().await;
        world
    }

    async fn settle(cluster: Option<Arc<Cluster>>, address: SocketAddr, homeserver: PublicKey) -> Self {
        let (alice, bob) = (User::random(), User::random());
        let mut world = Self {
            cluster,
            address,
            gateways: vec![address],
            turn: AtomicUsize::new(0),
            tries_again: false,
            homeserver,
            alice,
            bob,
            names: BTreeMap::new(),
        };
        world.people().await;
        world.files().await;
        world
    }

    async fn people(&mut self) {
        let host = self.address.to_string();
        self.name("host", &host);
        let nobody = User::random().z32;
        self.name("nobody", &nobody);
        let homeserver = self.homeserver.z32();
        self.name("homeserver", &homeserver);
        let mut connection = self.connect().await;
        let (alice, bob) = (self.alice.z32.clone(), self.bob.z32.clone());
        self.name("alice", &alice);
        self.name("bob", &bob);
        let cookie = signup_by_cookie(&mut connection, &host, &self.alice).await.expect("alice signs up");
        self.name("alice.cookie", &cookie.value);
        let cookie = signup_by_cookie(&mut connection, &host, &self.bob).await.expect("bob signs up");
        self.name("bob.cookie", &cookie.value);
        let bearer =
            signin_by_grant(&mut connection, &host, &self.alice, &self.homeserver).await.expect("alice");
        self.name("alice.bearer", &bearer.value);
        let bearer = signin_by_grant(&mut connection, &host, &self.bob, &self.homeserver).await.expect("bob");
        self.name("bob.bearer", &bearer.value);
        for (name, capabilities) in [
            ("app", "/pub/app/:rw"),
            ("reader", "/pub/app/:r,/priv/app/:r"),
            ("exact", "/pub/app/only.txt:w"),
            ("none", ""),
            ("writer", "/pub/app/:w,/priv/app/:w"),
            ("halves", "/:r,/:w"),
            ("whole", "/:rwe"),
            ("delivery", "/pub/app/:e,/priv/app/:e"),
        ] {
            let token = self.alice.auth_token_for(capabilities);
            let response = self.send("POST", "/session", &[], &token).await;
            let session = session_cookie(&response, &self.alice).expect("alice signs in with less");
            self.name(&format!("alice.{name}"), &session.value);
        }
    }

    async fn files(&mut self) {
        let files: [(&str, &[u8]); 12] = [
            ("/pub/app/a.txt", b"hello"),
            ("/pub/app/b.json", b"{}"),
            ("/pub/app/dir/c.txt", b"c"),
            ("/pub/app/dir/d.txt", b"d"),
            ("/pub/app/dir-file", b"-"),
            ("/pub/app/image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("/pub/app/unknown", b"\x01\x02"),
            ("/pub/app/sp ace.txt", b"space"),
            ("/pub/a_b/x", b"x"),
            ("/pub/axb/y", b"y"),
            ("/priv/app/secret.txt", b"secret"),
            ("/pub/bracket(/z", b"z"),
        ];
        for (path, body) in files {
            let target = format!("/storage/{}{}", self.alice.z32, path.replace(' ', "%20"));
            let cookie = self.fill("{alice.cookie}");
            let response = self.send("PUT", &target, &[("cookie", &cookie)], body).await;
            assert_eq!(response.status, 201, "{path}: {}", response.text());
        }
        let etag = format!("\"{}\"", base64_of(blake3::hash(b"hello").as_bytes()));
        self.name("a.etag", &etag);
    }

    pub fn name(&mut self, name: &str, value: &str) {
        self.names.insert(name.to_owned(), value.to_owned());
    }

    /// Replaces `{names}`.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.names {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        filled
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.address, false).await.expect("the gateway listens")
    }

    /// To the gateway whose turn it is.
    pub async fn connect_anywhere(&self) -> Result<Connection, Error> {
        let gateway = self.gateways[self.turn.fetch_add(1, Ordering::Relaxed) % self.gateways.len()];
        Connection::open(gateway, false).await
    }

    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let bytes = request(method, target, &self.address.to_string(), headers, body);
        self.exchange(&bytes, method == "HEAD").await.expect("an answer")
    }

    pub async fn exchange(&self, bytes: &[u8], to_head: bool) -> Result<Response, String> {
        match self.exchange_once(bytes, to_head).await {
            Ok(response) if response.status != UNAVAILABLE => Ok(response),
            _ if self.tries_again => {
                tokio::time::sleep(RETRY_AFTER).await;
                self.exchange_once(bytes, to_head).await
            }
            answered => answered,
        }
    }

    async fn exchange_once(&self, bytes: &[u8], to_head: bool) -> Result<Response, String> {
        let exchange = async { self.connect_anywhere().await?.exchange(bytes, to_head).await };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
        answered.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
    }

    /// The differences from the case, in words.
    pub async fn check(&self, table: &str, case: &Case) -> Vec<String> {
        let filled = self.fill(case.request);
        let (method, target) = filled.split_once(' ').expect("method and target");
        let headers: Vec<(&str, String)> =
            case.headers.iter().map(|(key, value)| (*key, self.fill(value))).collect();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let bytes = request(method, target, &self.fill(case.host), &headers, case.body);
        let answered = self.exchange(&bytes, method == "HEAD").await;
        let told = |what: String| format!("{table}: {}: {what}", case.name);
        match answered {
            Err(error) => vec![told(error)],
            Ok(response) => self.differences(case, &response).into_iter().map(told).collect(),
        }
    }

    fn differences(&self, case: &Case, response: &Response) -> Vec<String> {
        let mut differences = Vec::new();
        if response.status != case.status {
            differences.push(format!(
                "status {} ({:.80}), expected {}",
                response.status,
                response.text(),
                case.status
            ));
        }
        if let Some(text) = case.text.map(|text| self.fill(text)).filter(|text| *text != response.text()) {
            differences.push(format!("body {:?}, expected {text:?}", response.text()));
        }
        for (name, rule) in case.answer {
            let values = response.headers(name).join(", ");
            let rule = self.fill(rule);
            let (kind, wanted) = rule.split_at(1);
            let holds = match kind {
                "=" => values == wanted,
                "~" => values.to_lowercase().contains(&wanted.to_lowercase()),
                "-" => !values.to_lowercase().contains(&wanted.to_lowercase()),
                "?" => !values.is_empty(),
                "!" => values.is_empty(),
                _ => panic!("no such rule: {rule}"),
            };
            if !holds {
                differences.push(format!("{name}: {values:?}, expected {rule:?}"));
            }
        }
        differences
    }

    pub fn session(&self, name: &str) -> Session {
        let header = if name.ends_with("bearer") { "authorization" } else { "cookie" };
        Session { header, value: self.fill(&format!("{{{name}}}")) }
    }
}

pub fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Collects what differs in a flow of several requests.
#[derive(Default)]
pub struct Findings(pub Vec<String>);

impl Findings {
    pub fn status(&mut self, what: &str, response: &Response, status: u16) {
        if response.status != status {
            self.0.push(format!(
                "{what}: status {} ({:.120}), expected {status}",
                response.status,
                response.text()
            ));
        }
    }

    pub fn refused(&mut self, what: &str, response: &Response, status: u16, text: &str) {
        self.status(what, response, status);
        self.equal(&format!("{what}: body"), &response.text(), &text.to_owned());
    }

    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.0.push(format!("{what}: {found:?}, expected {expected:?}"));
        }
    }

    pub fn holds(&mut self, what: &str, holds: bool) {
        if !holds {
            self.0.push(what.to_owned());
        }
    }
}
