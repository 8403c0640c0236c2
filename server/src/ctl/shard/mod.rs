//! `rowhouse ctl shard`: where the replicas of a shard are, and which of them leads.

mod list;
mod number;
mod recover;
mod relocate;
mod transfer;

use clap::Subcommand;

use crate::error::Error;

/// The commands below `rowhouse ctl shard`.
#[derive(Subcommand, Debug)]
pub enum ShardCommand {
    /// Show the shards: who leads them, where their replicas are, and what moves.
    List(list::ListArgs),
    /// Move a replica of a shard from one node to another.
    Move(relocate::MoveArgs),
    /// Have the replica on a node lead its shard. The cluster may even leaders out again later.
    TransferLeader(transfer::TransferArgs),
    /// The last resort where a majority is gone for good: go on with one replica, and lose what it never received.
    Recover(recover::RecoverArgs),
}

/// Does what was asked for.
pub async fn run(command: ShardCommand) -> Result<(), Error> {
    match command {
        ShardCommand::List(args) => list::list(args).await,
        ShardCommand::Move(args) => relocate::relocate(args).await,
        ShardCommand::TransferLeader(args) => transfer::transfer(args).await,
        ShardCommand::Recover(args) => recover::recover(args).await,
    }
}
