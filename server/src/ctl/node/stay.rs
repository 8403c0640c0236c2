//! `rowhouse ctl node stay`: ends a drain, and takes back that a node is lost.

use rowhouse_proto::wire::meta::NodeWish;
use rowhouse_proto::wire::meta::node_wish::Fate;
use rowhouse_proto::wire::meta::operate_request::Wish;
use serde_json::json;

use super::super::args::{Access, Output};
use super::super::observer::Observer;
use super::super::operate::operate;
use super::super::target::{Meant, find};
use crate::error::Error;

/// Flags of `rowhouse ctl node stay`.
#[derive(clap::Args, Clone, Debug)]
pub struct StayArgs {
    /// The node's name, address, or the end of its uuid.
    #[arg(value_name = "NODE")]
    pub target: String,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Returns at once. What moves already goes on.
pub async fn stay(args: StayArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    let node = find(&view, &args.target, Meant::Living)?;
    let wish = Wish::Node(NodeWish { node_uuid: node.node_uuid.clone(), fate: Fate::Stay.into() });
    operate(&view, &observer.dialer, wish).await?.accepted()?;
    let text = format!("{} stays and takes replicas", view.label(&node.node_uuid));
    args.output.print_line(&text, &json!({ "node_uuid": hex::encode(&node.node_uuid), "stays": true }))
}
