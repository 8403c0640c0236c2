//! A gateway over one scripted node, or three, on loopback ports from the system.

use pubky_common::crypto::{Keypair, PublicKey};
use rowhouse_proto::domain::secret::{Bearer, CookieSecret};
use rowhouse_proto::domain::slot::Slot;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::limits::take_reply;
use rowhouse_proto::wire::shard::{Failure, execute_reply, query_reply};

use super::{Client, FakeNode, Script, failure, map_of};
use crate::{Gateway, GatewayConfig};

pub const SHARDS: u32 = 16;
pub const SECRET: [u8; 32] = [7; 32];

pub struct Fixture {
    pub node: FakeNode,
    /// The other replicas of every shard.
    pub others: Vec<FakeNode>,
    pub gateway: Gateway,
    pub client: Client,
}

impl Fixture {
    pub async fn start(script: Script) -> Self {
        Self::with(script, |_| {}).await
    }

    pub async fn with(script: Script, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::over(FakeNode::start(script).await, Vec::new(), change).await
    }

    /// Three replicas; the first one leads, by script.
    pub async fn three(script: Script, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let leader = FakeNode::start(script).await;
        let others = vec![FakeNode::start(following()).await, FakeNode::start(following()).await];
        Self::over(leader, others, change).await
    }

    pub async fn over(
        node: FakeNode,
        others: Vec<FakeNode>,
        change: impl FnOnce(&mut GatewayConfig),
    ) -> Self {
        let addresses: Vec<_> = std::iter::once(&node).chain(&others).map(|node| node.address).collect();
        for (index, other) in others.iter().enumerate() {
            other.disk.belongs_to(index as u64 + 2);
            other.feed.leads([]);
        }
        node.publish(map_of(1, SHARDS, &addresses, "open"));
        let mut config = GatewayConfig::new(SECRET, vec![node.address.to_string()]);
        config.gateway.announce = false;
        change(&mut config);
        let gateway = Gateway::start(config).await.expect("loopback");
        let client = Client::new(gateway.http_address());
        Self { node, others, gateway, client }
    }

    pub fn nodes(&self) -> impl Iterator<Item = &FakeNode> {
        std::iter::once(&self.node).chain(&self.others)
    }
}

/// Names the first node.
fn following() -> Script {
    let elsewhere = || Failure { leader_node: vec![1; 16].into(), ..failure(ErrorCode::NotLeader) };
    let following = Script::execute(move |_| Ok(execute_reply::Result::Failure(elsewhere())))
        .and_query(move |_| Ok(query_reply::Result::Failure(elsewhere())));
    Script { take: Box::new(move |_| Ok(take_reply::Result::Failure(elsewhere()))), ..following }
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
