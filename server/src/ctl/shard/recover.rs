//! `rowhouse ctl shard recover`: the last resort for a shard that has lost its majority for good.

use std::time::{Duration, Instant};

use rowhouse_gateway::overview::View;
use rowhouse_proto::wire::meta::operate_request::Wish;
use rowhouse_proto::wire::meta::{NodeInfo, RecoverWish};
use serde_json::json;
use tokio::time::sleep;

use super::super::args::{Access, Output};
use super::super::client::NodeClient;
use super::super::observer::Observer;
use super::super::operate::{Verdict, operate};
use super::super::target::find_holder;
use super::number::ShardNumber;
use crate::error::Error;

/// Time for the replica to elect itself, and for the map to say so.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Flags of `rowhouse ctl shard recover`.
#[derive(clap::Args, Clone, Debug)]
pub struct RecoverArgs {
    /// The shard's number, or `meta`.
    pub shard: ShardNumber,
    /// The node whose replica shall go on alone: its name, address, or the end of its uuid.
    #[arg(long, value_name = "NODE")]
    pub on: String,
    /// Say that you know: what this replica never received is lost, although clients were told that it was written.
    #[arg(long = "unsafe")]
    pub accepts_loss: bool,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Returns when the replica leads alone and the map says so. Refused while a quorum answers, and where another replica
/// that answers has more.
pub async fn recover(args: RecoverArgs) -> Result<(), Error> {
    let shard = args.shard;
    if !args.accepts_loss {
        return Err(Error::Usage(format!(
            "{shard} would go on with one replica, and what that one never received would be lost although clients were \
             told that it was written: pass --unsafe to say that this is what you want"
        )));
    }
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    let node = find_holder(&view, &args.on, shard.0)?;
    // Where it has a leader nothing is lost, and the node refuses.
    let better = view.leader(shard.0).is_none().then(|| better(&view, shard.0, &node)).flatten();
    if let Some(better) = better {
        return Err(Error::Failed(format!("{better} has more of {shard}: recover it there")));
    }
    let mut client = NodeClient::connect(&node.address, &observer.dialer, Some(&node.name)).await?;
    let reply = client.recover(&view.map.cluster_id, shard.0).await?;
    if !reply.refused.is_empty() {
        return Err(Error::Failed(reply.refused));
    }
    let wish = Wish::Recover(RecoverWish { group: shard.0, replica: reply.replica });
    let until = Instant::now() + PATIENCE;
    // It elects itself first; if it is the meta group's, nobody could decide before.
    while let Verdict::Refused(why) = operate(&observer.look().await?, &observer.dialer, wish.clone()).await?
    {
        if Instant::now() >= until {
            return Err(Error::Failed(format!(
                "the replica is the only voter of {shard}, but the map does not say so: {why}. Give the command again"
            )));
        }
        sleep(PAUSE).await;
    }
    let name = view.label(&node.node_uuid);
    let text = format!(
        "{shard} goes on with the replica on {name} alone; it gets others as soon as nodes can take them"
    );
    args.output.print_line(&text, &json!({ "group": shard.0, "replica_id": reply.replica, "node": name }))
}

/// Another node whose replica answers and knows more to be committed.
fn better(view: &View, group: u32, than: &NodeInfo) -> Option<String> {
    let last = |info: &NodeInfo| {
        let status = view.reply(&info.node_uuid)?.groups.iter().find(|it| it.group == group)?;
        Some(status.committed)
    };
    let own = last(than);
    let best = view.map.nodes.iter().filter(|info| last(info) > own).max_by_key(|info| last(info))?;
    Some(view.label(&best.node_uuid))
}
