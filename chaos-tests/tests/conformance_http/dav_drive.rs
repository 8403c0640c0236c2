//! The operator's way to a drive, and what it answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Kind, NodeClient};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::request::request;
use rowhouse_proto::domain::slot::Slot;
use xml::reader::{EventReader, XmlEvent};

use super::world::{World, base64_of};

/// Generous for a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// The operator on Alice's drive.
pub struct Dav<'a> {
    pub world: &'a World,
    pub address: SocketAddr,
    pub basic: String,
}

impl<'a> Dav<'a> {
    pub fn of(world: &'a World) -> Self {
        let file =
            world.cluster.as_ref().and_then(|cluster| cluster.file().ok()).expect("a cluster of its own");
        let gateway = file.of_kind(Kind::Gateway).next().expect("a gateway");
        let address = gateway.address("admin").expect("an admin listener");
        Self { world, address, basic: format!("Basic {}", base64_of(b"admin:admin")) }
    }

    /// A URL on Alice's drive.
    pub fn url(&self, path: &str) -> String {
        format!("/dav/{}{path}", self.world.alice.z32)
    }

    pub async fn try_send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, String> {
        let target = if target.starts_with("/dav") { target.to_owned() } else { self.url(target) };
        let mut all = vec![("authorization", self.basic.as_str())];
        all.extend_from_slice(headers);
        let bytes = request(method, &target, &self.address.to_string(), &all, body);
        self.exchange(&bytes, method == "HEAD").await
    }

    pub async fn exchange(&self, bytes: &[u8], to_head: bool) -> Result<Response, String> {
        let exchange = async { Connection::open(self.address, false).await?.exchange(bytes, to_head).await };
        let answered = tokio::time::timeout(PATIENCE, exchange).await;
        answered.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
    }

    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.try_send(method, target, headers, body).await.expect("an answer")
    }

    /// The members of a collection and itself, by href, with the text of their properties.
    pub async fn list(&self, target: &str) -> BTreeMap<String, BTreeMap<String, String>> {
        let response = self.send("PROPFIND", target, &[("depth", "1")], b"").await;
        assert_eq!(response.status, 207, "{target}: {}", response.text());
        multistatus(&response.body)
    }

    /// A file as everybody gets it.
    pub async fn public(&self, path: &str) -> Response {
        self.world.send("GET", &format!("/storage/{}{path}", self.world.alice.z32), &[], b"").await
    }

    pub fn shard(&self) -> u32 {
        Slot::of_user(&self.world.alice.public_key()).shard(16)
    }

    pub fn nodes(&self) -> Vec<NodeClient> {
        self.world.cluster.as_ref().expect("a cluster").nodes().expect("nodes")
    }

    /// The events of Alice's public files in order, as words.
    pub async fn events(&self) -> Vec<String> {
        for _ in 0..100 {
            for node in self.nodes() {
                if let Some(events) = self.events_of(&node).await {
                    return events;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("nobody leads Alice's shard");
    }

    async fn events_of(&self, node: &NodeClient) -> Option<Vec<String>> {
        let (mut told, mut after) = (Vec::new(), 0);
        loop {
            let page = node.events(self.shard(), after, 1000).await.ok()??;
            let Some(last) = page.events.last() else { return Some(told) };
            after = last.id;
            let alice = self.world.alice.public_key();
            let hers = page.events.iter().filter(|event| event.user[..] == alice.as_bytes()[..]);
            told.extend(
                hers.map(|event| format!("{} {}", if event.deleted { "DEL" } else { "PUT" }, event.path)),
            );
        }
    }
}

/// Panics unless the document is well-formed; answers each response's properties.
pub fn multistatus(document: &[u8]) -> BTreeMap<String, BTreeMap<String, String>> {
    let (mut all, mut open, mut href) = (BTreeMap::new(), Vec::<String>::new(), String::new());
    let mut properties = BTreeMap::<String, String>::new();
    for event in EventReader::new(document) {
        match event.expect("a well-formed multistatus") {
            XmlEvent::StartElement { name, .. } => {
                if open.last().is_some_and(|parent| parent == "prop") {
                    properties.insert(name.local_name.clone(), String::new());
                } else if open.last().is_some_and(|parent| parent == "resourcetype") {
                    properties.insert("resourcetype".into(), name.local_name.clone());
                }
                open.push(name.local_name);
            }
            XmlEvent::Characters(text) => match open.last().map(String::as_str) {
                Some("href") => href.push_str(&text),
                Some("status") | None => {}
                Some(name) => properties.entry(name.to_owned()).or_default().push_str(&text),
            },
            XmlEvent::EndElement { name } => {
                open.pop();
                if name.local_name == "response" {
                    all.insert(std::mem::take(&mut href), std::mem::take(&mut properties));
                }
            }
            _ => {}
        }
    }
    all
}
