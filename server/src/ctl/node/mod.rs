//! `rowhouse ctl node`: what shall become of one node.

mod drain;
mod hand_over;
mod list;
mod remove;
mod replace;
mod stay;

use clap::Subcommand;

use crate::error::Error;

/// The commands below `rowhouse ctl node`.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// Show the nodes: what they hold and how they are.
    List(list::ListArgs),
    /// Move all replicas of a node elsewhere, before it leaves; or only have it hand over what it leads, before a restart.
    Drain(drain::DrainArgs),
    /// End a drain, or take back that a node is lost: it takes replicas again.
    Stay(stay::StayArgs),
    /// Forget a node that holds nothing, for good.
    Remove(remove::RemoveArgs),
    /// Say that a node does not come back: its replicas are rebuilt on the others at once.
    Replace(replace::ReplaceArgs),
}

/// Does what was asked for.
pub async fn run(command: NodeCommand) -> Result<(), Error> {
    match command {
        NodeCommand::List(args) => list::list(args).await,
        NodeCommand::Drain(args) => drain::drain(args).await,
        NodeCommand::Stay(args) => stay::stay(args).await,
        NodeCommand::Remove(args) => remove::remove(args).await,
        NodeCommand::Replace(args) => replace::replace(args).await,
    }
}
