//! `rowhouse ctl node remove`: a node that holds nothing leaves the map for good.

use rowhouse_proto::wire::meta::NodeWish;
use rowhouse_proto::wire::meta::node_wish::Fate;
use rowhouse_proto::wire::meta::operate_request::Wish;
use serde_json::json;

use super::super::args::{Access, Output};
use super::super::observer::Observer;
use super::super::operate::{Verdict, operate};
use super::super::target::{Meant, find};
use crate::error::Error;

#[derive(clap::Args, Clone, Debug)]
pub struct RemoveArgs {
    /// The node's name, address, or the beginning of its uuid. Of two with one name: the one that does not answer.
    #[arg(value_name = "NODE")]
    pub target: String,
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
    if let Verdict::Refused(why) = operate(&view, &observer.dialer, wish).await? {
        // A first attempt may have been heard although its answer was lost.
        if observer.look().await?.find(&node.node_uuid).is_some() {
            return Err(Error::Failed(why));
        }
    }
    let text = format!(
        "{} left the cluster for good; stop its process. Its data folder is of no use any more: with an empty one the \
         machine joins as a new node",
        view.label(&node.node_uuid)
    );
    args.output.print_line(&text, &json!({ "node_uuid": hex::encode(&node.node_uuid), "removed": true }))
}
