//! `rowhouse cluster init`: consensus.md §4. Explicit and once, never by ordinal or emptiness.
//!
//! All named nodes must be empty, or already hold the same cluster id (an earlier try cut short, which is
//! taken up again). The id is written to every node before the meta group starts on one of them.

use std::collections::BTreeSet;

use rowhouse_proto::wire::meta::{CommitInitRequest, NodeInfo, PrepareInitReply, Settings};
use uuid::Uuid;

use super::client::NodeClient;
use crate::error::Error;

/// Event ids spend 12 bits on the shard.
const SHARDS_MAX: u32 = 4_096;

#[derive(clap::Args, Clone, Debug)]
pub struct InitArgs {
    /// Address of a node, host:port; once for each, at least three (or one, for trying things out).
    #[arg(long = "node", required = true)]
    pub nodes: Vec<String>,
    /// Number of shards, a power of two; fixed for the cluster's life.
    #[arg(long, default_value_t = 16)]
    pub shards: u32,
    /// Who may sign up.
    #[arg(long, value_enum, default_value_t = SignupMode::TokenRequired)]
    pub signup_mode: SignupMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SignupMode {
    Open,
    #[value(name = "token_required", alias = "token-required")]
    TokenRequired,
}

impl SignupMode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::TokenRequired => "token_required",
        }
    }
}

/// Answers a line for people.
pub async fn init(args: InitArgs) -> Result<String, Error> {
    check(&args)?;
    let mut clients = Vec::with_capacity(args.nodes.len());
    let mut replies = Vec::with_capacity(args.nodes.len());
    for address in &args.nodes {
        let mut client = NodeClient::connect(address).await?;
        replies.push(client.prepare_init().await?);
        clients.push(client);
    }
    let cluster_id = cluster_id(&replies)?;
    let request = |start: bool| CommitInitRequest {
        cluster_id: cluster_id.to_vec().into(),
        shard_count: args.shards,
        nodes: replies.iter().map(node_info).collect(),
        start,
        settings: Some(Settings { signup_mode: args.signup_mode.name().to_owned() }),
        ..CommitInitRequest::default()
    };
    for client in &mut clients {
        client.commit_init(request(false)).await?;
    }
    if let Some(first) = clients.first_mut() {
        first.commit_init(request(true)).await?;
    }
    let id = Uuid::from_bytes(cluster_id);
    Ok(format!("cluster {id}: {} nodes, {} shards, signup {}", replies.len(), args.shards, args.signup_mode.name()))
}

fn check(args: &InitArgs) -> Result<(), Error> {
    let distinct: BTreeSet<&String> = args.nodes.iter().collect();
    if distinct.len() != args.nodes.len() {
        return Err(Error::Usage("a node is named twice".into()));
    }
    if args.nodes.len() == 2 {
        return Err(Error::Usage("two nodes survive no loss: name one, or at least three".into()));
    }
    if !args.shards.is_power_of_two() || args.shards > SHARDS_MAX {
        return Err(Error::Usage(format!("--shards must be a power of two up to {SHARDS_MAX}")));
    }
    Ok(())
}

fn node_info(reply: &PrepareInitReply) -> NodeInfo {
    NodeInfo { node_uuid: reply.node_uuid.clone(), address: reply.address.clone(), name: reply.name.clone() }
}

/// A new id for empty nodes, or the one an earlier try has left on some of them.
fn cluster_id(replies: &[PrepareInitReply]) -> Result<[u8; 16], Error> {
    let uuids: BTreeSet<&[u8]> = replies.iter().map(|reply| reply.node_uuid.as_ref()).collect();
    if uuids.len() != replies.len() {
        return Err(Error::Usage("two addresses lead to the same node".into()));
    }
    let held: BTreeSet<&[u8]> =
        replies.iter().map(|reply| reply.cluster_id.as_ref()).filter(|id: &&[u8]| !id.is_empty()).collect();
    let mut held = held.into_iter();
    match (held.next(), held.next()) {
        (None, _) => Ok(Uuid::now_v7().into_bytes()),
        (Some(id), None) => {
            id.try_into().map_err(|_| Error::Failed("a node answered a cluster id of a wrong length".into()))
        }
        (Some(_), Some(_)) => Err(Error::Failed("the nodes belong to different clusters".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(nodes: &[&str], shards: u32) -> InitArgs {
        InitArgs {
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            shards,
            signup_mode: SignupMode::Open,
        }
    }

    fn reply(uuid: u8, cluster: &[u8]) -> PrepareInitReply {
        PrepareInitReply {
            node_uuid: vec![uuid; 16].into(),
            cluster_id: cluster.to_vec().into(),
            address: format!("127.0.0.1:{uuid}"),
            name: format!("n{uuid}"),
        }
    }

    #[test]
    fn senseless_clusters_are_refused() {
        assert!(check(&args(&["a:1", "b:1", "c:1"], 16)).is_ok());
        assert!(check(&args(&["a:1"], 1)).is_ok());
        assert!(check(&args(&["a:1", "b:1"], 16)).is_err());
        assert!(check(&args(&["a:1", "a:1", "c:1"], 16)).is_err());
        for shards in [0, 3, 8_192] {
            assert!(check(&args(&["a:1"], shards)).is_err(), "{shards}");
        }
    }

    #[test]
    fn an_earlier_try_is_taken_up_and_foreign_nodes_are_refused() {
        assert!(cluster_id(&[reply(1, &[]), reply(2, &[])]).is_ok());
        assert_eq!(cluster_id(&[reply(1, &[]), reply(2, &[5; 16])]).ok(), Some([5; 16]));
        assert!(cluster_id(&[reply(1, &[4; 16]), reply(2, &[5; 16])]).is_err());
        assert!(cluster_id(&[reply(1, &[]), reply(1, &[])]).is_err());
    }
}
