//! The DHT as a vantage point. Its client is opened when it is first needed, and anew when nobody answers any more: the
//! names of bootstrap nodes may not have been known, or its routing table ran empty.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use pkarr::dht::{DhtClient, DhtConfig, PublishError, ResolveError};
use pkarr::{PublicKey, SignedPacket};
use rowhouse_proto::wire::meta::VantagePoint;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::health::Health;
use super::look::{Look, Published};

/// A look-up asks a few rounds of nodes, which have two seconds each.
const LOOK_MAX: Duration = Duration::from_secs(12);
/// A put behind a look-up is one round.
const PUBLISH_MAX: Duration = Duration::from_secs(12);
/// Names of bootstrap nodes are found, or not, within this.
const NAMES_MAX: Duration = Duration::from_secs(5);
/// A look has up to a hundred datagrams under way, and the buffer of a socket holds the answers of few looks: with more,
/// some are lost, and each costs two seconds.
const IN_FLIGHT_MAX: usize = 3;
/// One key's nodes may all be silent, or a moment's datagrams lost.
const FAILURES_BORNE: u32 = 8;
/// A client that nobody answers is given up no sooner: it may just have begun.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// A few DHT clients: each is one socket and one thread, and looks after the keys that fall to it.
pub struct Dht {
    bootstrap: Vec<String>,
    clients: Vec<Client>,
    health: Health,
}

/// Opened when it is first needed.
struct Client {
    opened: Mutex<Option<(DhtClient, Instant)>>,
    slots: Semaphore,
}

impl Dht {
    /// Opens nothing yet. `bootstrap` are host:port; there will be at most `sockets`, at least one.
    pub fn new(bootstrap: Vec<String>, sockets: usize) -> Self {
        let client = || Client { opened: Mutex::default(), slots: Semaphore::new(IN_FLIGHT_MAX) };
        let clients = std::iter::repeat_with(client).take(sockets.max(1)).collect();
        Self { bootstrap, clients, health: Health::new("dht", FAILURES_BORNE) }
    }

    /// Another client with the same bootstrap nodes, which remembers nothing.
    pub fn fresh(&self) -> Self {
        Self::new(self.bootstrap.clone(), 1)
    }

    /// For operators.
    pub fn told(&self) -> VantagePoint {
        self.health.told()
    }

    /// Nothing heard while it is left alone, or nobody answers.
    pub async fn look(&self, key: &PublicKey) -> Look {
        let own = self.of(key);
        let Ok(_slot) = own.slots.acquire().await else { return Look::default() };
        let Some(visit) = self.health.visit() else { return Look::default() };
        let client = match self.open(own).await {
            Ok(client) => client,
            Err(problem) => {
                visit.failed(problem, None);
                return Look::default();
            }
        };
        let asked = async { client.resolve(key, None).await.complete().await.most_recent };
        let look = match timeout(LOOK_MAX, asked).await {
            Ok(Ok(packet)) => Ok(Look::found(packet)),
            Ok(Err(ResolveError::NotFound)) => Ok(Look::nothing()),
            // Newer than anything that can be read, and just as binding.
            Ok(Err(ResolveError::InvalidSignedPacket { seq })) => Ok(Look::unreadable(seq)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        match look {
            Ok(look) => {
                visit.answered();
                look
            }
            Err(problem) => {
                visit.failed(problem, None);
                own.give_up().await;
                Look::default()
            }
        }
    }

    /// To be called behind a look-up, whose nodes and tokens it uses.
    pub async fn publish(&self, packet: &SignedPacket) -> Published {
        let away = || Published::failed("the DHT does not answer");
        let own = self.of(&packet.public_key());
        let Ok(_slot) = own.slots.acquire().await else { return away() };
        let Some(visit) = self.health.visit() else { return away() };
        let client = match self.open(own).await {
            Ok(client) => client,
            Err(problem) => {
                visit.failed(problem.clone(), None);
                return Published::failed(problem);
            }
        };
        match timeout(PUBLISH_MAX, client.publish(packet)).await {
            Ok(Ok(stored)) => {
                visit.answered();
                Published::stored(stored as usize)
            }
            Ok(Err(PublishError::NotMostRecent)) => {
                visit.answered();
                Published::refused()
            }
            // Nodes answered, and none took it: that is no sign that the DHT is away.
            Ok(Err(error @ PublishError::ErrorResponse { .. })) => {
                visit.answered();
                Published::failed(format!("the DHT: {error}"))
            }
            Ok(Err(error)) => {
                visit.failed(error.to_string(), None);
                own.give_up().await;
                Published::failed(format!("the DHT: {error}"))
            }
            Err(_) => {
                visit.failed("no answer in time", None);
                Published::failed("the DHT: no answer in time")
            }
        }
    }

    /// Always the same one for a key: it remembers the nodes that a look found, and a publication needs them.
    fn of(&self, key: &PublicKey) -> &Client {
        &self.clients[usize::from(key.as_bytes()[0]) % self.clients.len()]
    }

    async fn open(&self, own: &Client) -> Result<DhtClient, String> {
        let mut opened = own.opened.lock().await;
        if let Some((client, _)) = opened.as_ref() {
            return Ok(client.clone());
        }
        let mut config = DhtConfig::default();
        config.bootstrap = Some(found(&self.bootstrap).await?);
        // Left to itself the client takes the well-known port of DHT nodes whenever that is free.
        config.port = Some(0);
        let building = tokio::task::spawn_blocking(move || DhtClient::build(config));
        let client = building.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        *opened = Some((client.clone(), Instant::now()));
        Ok(client)
    }
}

impl Client {
    async fn give_up(&self) {
        let mut opened = self.opened.lock().await;
        if opened.as_ref().is_some_and(|(_, since)| since.elapsed() >= REOPEN_AFTER) {
            *opened = None;
        }
    }
}

/// The IPv4 addresses of those whose names are found. The DHT that clients use has no others.
async fn found(bootstrap: &[String]) -> Result<Vec<SocketAddrV4>, String> {
    let mut addresses = Vec::new();
    let mut problem = "no DHT node is configured".to_owned();
    for node in bootstrap {
        match timeout(NAMES_MAX, tokio::net::lookup_host(node)).await {
            Ok(Ok(known)) => addresses.extend(known.filter_map(|address| match address {
                SocketAddr::V4(address) => Some(address),
                SocketAddr::V6(_) => None,
            })),
            Ok(Err(error)) => problem = format!("{node}: {error}"),
            Err(_) => problem = format!("{node}: its name is not found in time"),
        }
    }
    if addresses.is_empty() { Err(problem) } else { Ok(addresses) }
}
