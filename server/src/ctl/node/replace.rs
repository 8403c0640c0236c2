//! `rowhouse ctl node replace`: a node does not come back, so that its replicas are rebuilt on the others at once.

use rowhouse_proto::wire::meta::NodeWish;
use rowhouse_proto::wire::meta::node_wish::Fate;
use rowhouse_proto::wire::meta::operate_request::Wish;

use super::super::args::{Access, Output};
use super::super::emptying::{Watch, until_empty};
use super::super::follow::Waiting;
use super::super::observer::Observer;
use super::super::operate::{Verdict, operate};
use super::super::target::{Meant, find};
use crate::error::Error;

/// Flags of `rowhouse ctl node replace`.
#[derive(clap::Args, Clone, Debug)]
pub struct ReplaceArgs {
    /// The node's name, address, or the end of its uuid. Of two with one name: the one that does not answer.
    #[arg(value_name = "NODE")]
    pub target: String,
    #[command(flatten)]
    pub waiting: Waiting,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Returns when all replicas of the node are rebuilt, unless told not to wait.
pub async fn replace(args: ReplaceArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    let node = find(&view, &args.target, Meant::Silent)?;
    let wish = Wish::Node(NodeWish { node_uuid: node.node_uuid.clone(), fate: Fate::Lost.into() });
    if let Verdict::Refused(why) = operate(&view, &observer.dialer, wish).await? {
        // A first attempt may have been heard although its answer was lost: a lost node that held nothing is gone.
        if observer.look().await?.find(&node.node_uuid).is_some() {
            return Err(Error::Failed(why));
        }
    }
    let over = "holds nothing that is not rebuilt on other nodes; the cluster forgets it";
    let watch = Watch::new(&view, &node, over, |life| life.lost);
    let told = "is lost: its replicas are rebuilt on other nodes; `rowhouse ctl status` shows how far it is";
    until_empty(&mut observer, watch, args.waiting, args.output, told).await
}
