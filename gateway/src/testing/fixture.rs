//! A gateway over one scripted node, on loopback ports from the system.

use pubky_common::crypto::{Keypair, PublicKey};
use rowhouse_proto::domain::secret::{Bearer, CookieSecret};
use rowhouse_proto::domain::slot::Slot;

use super::{Client, FakeNode, Script, map_of};
use crate::{Gateway, GatewayConfig};

pub const SHARDS: u32 = 16;
pub const SECRET: [u8; 32] = [7; 32];

pub struct Fixture {
    pub node: FakeNode,
    pub gateway: Gateway,
    pub client: Client,
}

impl Fixture {
    pub async fn start(script: Script) -> Self {
        Self::with(script, |_| {}).await
    }

    pub async fn with(script: Script, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::over(FakeNode::start(script).await, change).await
    }

    pub async fn over(node: FakeNode, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        node.publish(map_of(1, SHARDS, &[node.address], "open"));
        let mut config = GatewayConfig::new(SECRET, vec![node.address.to_string()]);
        config.announce = false;
        change(&mut config);
        let gateway = Gateway::start(config).await.expect("loopback");
        let client = Client::new(gateway.http_address());
        Self { node, gateway, client }
    }
}

/// A user and what they may present.
pub struct User {
    pub keypair: Keypair,
    pub key: PublicKey,
    pub z32: String,
    pub cookie: String,
    pub secret: CookieSecret,
    pub bearer: Bearer,
    pub authorization: String,
}

impl User {
    pub fn random() -> Self {
        let keypair = Keypair::random();
        let key = keypair.public_key();
        let (z32, secret) = (key.z32(), CookieSecret::generate());
        let cookie = format!("{z32}={}", secret.as_str());
        let bearer = Bearer::generate(Slot::of_user(&key));
        let authorization = format!("Bearer {}", bearer.as_str());
        Self { keypair, key, z32, cookie, secret, bearer, authorization }
    }

    pub fn shard(&self) -> u32 {
        Slot::of_user(&self.key).shard(SHARDS)
    }

    /// A user of another shard.
    pub fn elsewhere(&self) -> Self {
        (0..10_000).map(|_| Self::random()).find(|user| user.shard() != self.shard()).expect("16 shards")
    }

    pub fn storage(&self, path: &str) -> String {
        format!("/storage/{}{path}", self.z32)
    }
}
