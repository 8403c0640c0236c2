//! `rowhouse ctl node remove`: a node that holds nothing leaves the map for good.

use std::time::{Duration, Instant};

use rowhouse_proto::wire::meta::NodeWish;
use rowhouse_proto::wire::meta::node_wish::Fate;
use rowhouse_proto::wire::meta::operate_request::Wish;
use serde_json::json;
use tokio::time::sleep;

use super::super::args::{Access, Output};
use super::super::observer::Observer;
use super::super::operate::{Verdict, operate};
use super::super::target::{Meant, find};
use crate::error::Error;

/// Nodes learn of a new map within a second or two.
const MAP_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Flags of `rowhouse ctl node remove`.
#[derive(clap::Args, Clone, Debug)]
pub struct RemoveArgs {
    /// The node's name, address, or the end of its uuid. Of two with one name: the one that does not answer.
    #[arg(value_name = "NODE")]
    pub target: String,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Fails with what to do if the node still holds replicas.
pub async fn remove(args: RemoveArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    let node = find(&view, &args.target, Meant::Silent)?;
    let wish = Wish::Node(NodeWish { node_uuid: node.node_uuid.clone(), fate: Fate::Remove.into() });
    let verdict = operate(&view, &observer.dialer, wish).await?;
    // Maps follow within a moment. A refused wish may have been heard before, when its answer was lost.
    let until = Instant::now() + MAP_WITHIN;
    while observer.look().await?.find(&node.node_uuid).is_some() {
        if let Verdict::Refused(why) = verdict {
            return Err(Error::Failed(why));
        }
        if Instant::now() >= until {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    let text = format!(
        "{} left the cluster for good; stop its process. Its data folder is of no use any more: with an empty one the \
         machine joins as a new node",
        view.label(&node.node_uuid)
    );
    args.output.print_line(&text, &json!({ "node_uuid": hex::encode(&node.node_uuid), "removed": true }))
}
