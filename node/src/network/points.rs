//! All vantage points together.

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use pkarr::{PublicKey, SignedPacket};
use rowhouse_proto::wire::meta::VantagePoint;

use super::dht::Dht;
use super::look::{FIRST, Look, Published};
use super::relay::{Relay, http};
use crate::Error;
use crate::settings::PkarrConfig;

/// Where packets are published and looked up; a fake one in tests.
pub trait Network: Send + Sync + 'static {
    /// Asks every vantage point at this moment, none of their memories.
    fn look<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Look>;

    /// The same through a DHT client of its own, which had no part in any publication.
    fn look_afresh<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Look>;

    /// Publishes to those who answered a look-up of the same key just before: who did not may have something newer, and
    /// the DHT's nodes that lack it would take this.
    fn publish<'a>(&'a self, packet: &'a SignedPacket, behind: &'a Look) -> BoxFuture<'a, Published>;

    /// For operators.
    fn told(&self) -> Vec<VantagePoint>;
}

/// The Mainline DHT, relays, or both.
pub struct PkarrNetwork {
    dht: Option<Dht>,
    relays: Vec<Relay>,
}

impl PkarrNetwork {
    /// Reaches nobody yet: DHT clients are opened when they are first needed, at most `sockets`. `None` when neither DHT
    /// nodes nor relays are configured.
    pub fn with_sockets(config: &PkarrConfig, sockets: usize) -> Result<Option<Self>, Error> {
        if config.dht_bootstrap.is_empty() && config.relays.is_empty() {
            return Ok(None);
        }
        let dht = (!config.dht_bootstrap.is_empty()).then(|| Dht::new(config.dht_bootstrap.clone(), sockets));
        let mut relays = Vec::new();
        if !config.relays.is_empty() {
            let http = http()?;
            for url in &config.relays {
                relays.push(Relay::new(url, http.clone())?);
            }
        }
        Ok(Some(Self { dht, relays }))
    }

    /// The same with one socket.
    pub fn new(config: &PkarrConfig) -> Result<Option<Self>, Error> {
        Self::with_sockets(config, 1)
    }

    async fn look_with(&self, dht: Option<&Dht>, key: &PublicKey) -> Look {
        let by_dht = async {
            match dht {
                Some(dht) => dht.look(key).await,
                None => Look::default(),
            }
        };
        let by_relays = join_all(self.relays.iter().map(|relay| relay.look(key)));
        let (mut look, others) = tokio::join!(by_dht, by_relays);
        for (place, other) in (FIRST + 1..).zip(others) {
            look.merge(other.at(place));
        }
        look
    }
}

impl Network for PkarrNetwork {
    fn look<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Look> {
        self.look_with(self.dht.as_ref(), key).boxed()
    }

    fn look_afresh<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Look> {
        async move {
            let fresh = self.dht.as_ref().map(Dht::fresh);
            self.look_with(fresh.as_ref(), key).await
        }
        .boxed()
    }

    fn publish<'a>(&'a self, packet: &'a SignedPacket, behind: &'a Look) -> BoxFuture<'a, Published> {
        async move {
            let by_dht = async {
                match &self.dht {
                    Some(dht) if behind.heard.contains(&FIRST) => dht.publish(packet).await,
                    Some(_) => Published::failed("the DHT did not answer the look-up before"),
                    None => Published::default(),
                }
            };
            let by_relays = join_all((FIRST + 1..).zip(&self.relays).map(async |(place, relay)| {
                if behind.heard.contains(&place) { relay.publish(packet).await } else { relay.left_out() }
            }));
            let (mut published, others) = tokio::join!(by_dht, by_relays);
            others.into_iter().for_each(|other| published.merge(other));
            published
        }
        .boxed()
    }

    fn told(&self) -> Vec<VantagePoint> {
        self.dht.iter().map(Dht::told).chain(self.relays.iter().map(Relay::told)).collect()
    }
}
