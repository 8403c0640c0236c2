//! Questions and requests of an operator to a running cluster, over the same RPCs gateways use.

mod args;
mod certs;
mod client;
mod cluster_init;
mod emptying;
mod follow;
mod node;
mod observer;
mod operate;
mod rebalance;
mod report;
mod shard;
mod status;
mod table;
mod target;
mod units;
mod view;

use clap::Subcommand;

use crate::config_import::{self, ConfigCommand};
use crate::error::Error;

pub use args::Output;
pub use certs::{CertsCommand, CreateArgs, create as create_certs};
pub use client::NodeClient;
pub use cluster_init::{InitArgs, SignupMode, init};
pub use table::Table;

/// The commands below `rowhouse cluster`.
#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// Make one cluster of empty nodes. Done once; doing it again changes nothing.
    Init(InitArgs),
}

/// The commands below `rowhouse ctl`.
#[derive(Subcommand, Debug)]
pub enum CtlCommand {
    /// Show nodes, shards, leaders, what moves and what is wrong.
    Status(status::StatusArgs),
    /// List nodes, and say what shall become of one.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// List shards, and say where a replica or the leader of one shall be.
    #[command(subcommand)]
    Shard(shard::ShardCommand),
    /// Act on the whole cluster.
    #[command(subcommand)]
    Cluster(WholeCommand),
    /// Take over the configuration of another homeserver.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Certificates with which nodes, gateways and operators know each other.
    #[command(subcommand)]
    Certs(CertsCommand),
}

/// The commands below `rowhouse ctl node`.
#[derive(Subcommand, Debug)]
pub enum WholeCommand {
    /// Spread replicas over the nodes as evenly as they can be, now.
    Rebalance(rebalance::RebalanceArgs),
}

/// Does what was asked for.
pub async fn run(command: CtlCommand) -> Result<(), Error> {
    match command {
        CtlCommand::Status(args) => status::status(args).await,
        CtlCommand::Node(command) => node::run(command).await,
        CtlCommand::Shard(command) => shard::run(command).await,
        CtlCommand::Cluster(WholeCommand::Rebalance(args)) => rebalance::rebalance(args).await,
        CtlCommand::Config(command) => config_import::run(command),
        CtlCommand::Certs(CertsCommand::Create(args)) => create_certs(&args).map(|said| println!("{said}")),
    }
}
