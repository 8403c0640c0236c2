//! The way to the DHT and the relays.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use pkarr::errors::{PublishError, ResolveError};
use pkarr::{Client, PublicKey, ResolvePolicy, SignedPacket};

use crate::Error;
use crate::settings::PkarrConfig;

/// Where packets are published and looked up; a fake one in tests.
pub trait Publisher: Send + Sync + 'static {
    /// Number of DHT nodes that stored it.
    fn publish(&self, packet: SignedPacket) -> BoxFuture<'_, Result<usize, PublishError>>;

    /// Timestamp of the newest packet the network knows, if it knows one.
    fn newest_us(&self, key: PublicKey) -> BoxFuture<'_, Result<Option<u64>, ResolveError>>;
}

/// Publishes to the Mainline DHT, to relays, or to both.
pub struct NetworkPublisher(Client);

impl NetworkPublisher {
    /// `None` when neither DHT nodes nor relays are configured.
    pub fn open(config: &PkarrConfig) -> Result<Option<Arc<dyn Publisher>>, Error> {
        if config.dht_bootstrap.is_empty() && config.relays.is_empty() {
            return Ok(None);
        }
        let mut builder = Client::builder();
        builder.no_default_network();
        if !config.dht_bootstrap.is_empty() {
            builder.bootstrap(&config.dht_bootstrap);
            // Left to itself the client takes the well-known port of DHT nodes whenever that is free.
            builder.dht(|dht| {
                dht.port = Some(0);
                dht
            });
        }
        if !config.relays.is_empty() {
            builder.relays(&config.relays).map_err(|error| Error::Pkarr(error.to_string()))?;
        }
        let client = builder.build().map_err(|error| Error::Pkarr(error.to_string()))?;
        Ok(Some(Arc::new(Self(client))))
    }
}

impl Publisher for NetworkPublisher {
    fn publish(&self, packet: SignedPacket) -> BoxFuture<'_, Result<usize, PublishError>> {
        async move { self.0.publish(&packet).await.map(|stored| stored as usize) }.boxed()
    }

    fn newest_us(&self, key: PublicKey) -> BoxFuture<'_, Result<Option<u64>, ResolveError>> {
        async move {
            match self.0.resolve(&key, ResolvePolicy::NetworkOnly).await {
                Ok(packet) => Ok(Some(packet.timestamp().as_u64())),
                // Newer than anything valid, and just as binding.
                Err(ResolveError::InvalidSignedPacket { seq }) => Ok(u64::try_from(seq).ok()),
                Err(ResolveError::NotFound) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}
