//! `rowhouse dev`: a whole cluster for a person or a test, each component its own process.
//!
//! This process is only the parent. It picks ports, starts the children and brings the cluster to life. It starts a
//! killed child again, and takes all children down with it. It holds no data.

mod add_node;
mod args;
mod certs;
mod child;
mod cluster_file;
mod control;
mod plan;
mod ports;
mod ready;
mod report;
mod start;
mod supervisor;
mod tail;

use crate::error::Error;

pub use args::DevCommand;

/// Does what was asked for.
pub async fn run(command: DevCommand) -> Result<(), Error> {
    match command.then {
        Some(args::DevChange::AddNode(args)) => add_node::add_node(args).await,
        None => start::run(command.run).await,
    }
}
