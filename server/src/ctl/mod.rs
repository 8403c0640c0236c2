//! Questions and requests of an operator to a running cluster, over the same RPCs gateways use.

mod certs;
mod client;
mod cluster_init;
mod drain;
mod objects;
mod status;
mod table;

use clap::Subcommand;

pub use certs::{CertsCommand, CreateArgs, create as create_certs};
pub use client::NodeClient;
pub use cluster_init::{InitArgs, SignupMode, init};
pub use drain::{DrainArgs, UndrainArgs, drain, undrain};
pub use status::{StatusArgs, status};
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
    /// Show nodes, shards, leaders, lag and the age of the PKARR record.
    Status(StatusArgs),
    /// Act on one node.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Certificates with which nodes, gateways and operators know each other.
    #[command(subcommand)]
    Certs(CertsCommand),
}

/// The commands below `rowhouse ctl node`.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// Have a node hand over what it leads, before it is stopped or looked into.
    Drain(DrainArgs),
    /// End that.
    Undrain(UndrainArgs),
}
