//! `rowhouse ctl node drain`: all replicas of a node move elsewhere.

use rowhouse_proto::wire::meta::NodeWish;
use rowhouse_proto::wire::meta::node_wish::Fate;
use rowhouse_proto::wire::meta::operate_request::Wish;

use super::super::args::{Access, Output};
use super::super::emptying::{Watch, until_empty};
use super::super::follow::Waiting;
use super::super::observer::Observer;
use super::super::operate::operate;
use super::super::target::{Meant, find};
use super::hand_over::{HandOver, hand_over};
use crate::error::Error;

/// Flags of `rowhouse ctl node drain`.
#[derive(clap::Args, Clone, Debug)]
pub struct DrainArgs {
    /// The node's name, address, or the end of its uuid.
    #[arg(value_name = "NODE")]
    pub target: String,
    /// Only hand over what it leads, before it is stopped or looked into; its replicas stay. Waits a minute at most.
    #[arg(long)]
    pub leaders_only: bool,
    /// With --leaders-only: end that, the node may lead again.
    #[arg(long, requires = "leaders_only")]
    pub off: bool,
    #[command(flatten)]
    pub waiting: Waiting,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Returns when the node holds nothing, unless told not to wait.
pub async fn drain(args: DrainArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    let node = find(&view, &args.target, Meant::Living)?;
    if args.leaders_only {
        let how = HandOver { off: args.off, waiting: args.waiting, output: args.output };
        return hand_over(&view, &observer.dialer, &node, how).await;
    }
    let wish = Wish::Node(NodeWish { node_uuid: node.node_uuid.clone(), fate: Fate::Leave.into() });
    operate(&view, &observer.dialer, wish).await?.accepted()?;
    let over = "is empty; `rowhouse ctl node remove` lets it go, `rowhouse ctl node stay` takes it back";
    let watch = Watch::new(&view, &node, over, |life| life.leaving);
    let told = "is leaving: its replicas move elsewhere; `rowhouse ctl status` shows how far it is, `rowhouse ctl node \
                stay` ends it";
    until_empty(&mut observer, watch, args.waiting, args.output, told).await
}
