//! `rowhouse ctl shard transfer-leader`: the replica on a node leads its shard.

use rowhouse_gateway::overview::View;
use rowhouse_proto::wire::meta::TransferWish;
use rowhouse_proto::wire::meta::operate_request::Wish;
use serde::Serialize;

use super::super::args::{Access, Output};
use super::super::follow::{Sight, Waiting, follow};
use super::super::observer::Observer;
use super::super::operate::operate;
use super::super::target::find_holder;
use super::number::ShardNumber;
use crate::error::Error;

/// A transfer takes milliseconds; one that was not obeyed is forgotten by the cluster.
const WAIT_MAX_S: u64 = 15;

/// Flags of `rowhouse ctl shard transfer-leader`.
#[derive(clap::Args, Clone, Debug)]
pub struct TransferArgs {
    /// The shard's number, or `meta`.
    pub shard: ShardNumber,
    /// The node that shall lead: its name, address, or the end of its uuid.
    #[arg(long, value_name = "NODE")]
    pub to: String,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

#[derive(Debug, Serialize)]
struct Led {
    shard: String,
    leader_uuid: Option<String>,
    done: bool,
}

/// Returns when the node leads. Fails if the cluster refuses, or if it does not lead soon.
pub async fn transfer(args: TransferArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    let to = find_holder(&view, &args.to, args.shard.0)?;
    let wish = Wish::Transfer(TransferWish { group: args.shard.0, to_node: to.node_uuid.clone() });
    operate(&view, &observer.dialer, wish).await?.accepted()?;
    let waiting = Waiting { no_wait: false, timeout_s: WAIT_MAX_S };
    follow(&mut observer, waiting, args.output, |view| Ok(sight(view, args.shard, &to.node_uuid))).await
}

fn sight(view: &View, shard: ShardNumber, to: &[u8]) -> Sight<Led> {
    let leader = view.leader(shard.0).map(|(info, _)| info.node_uuid.clone());
    let done = leader.as_ref().is_some_and(|leader| *leader == to);
    let name = leader.as_ref().map_or_else(|| "nobody".to_owned(), |leader| view.label(leader));
    Sight {
        done,
        line: format!("{name} leads {shard}"),
        detail: String::new(),
        json: Led { shard: shard.to_string(), leader_uuid: leader.map(hex::encode), done },
    }
}
