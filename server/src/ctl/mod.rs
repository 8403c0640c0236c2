//! Questions and requests of an operator to a running cluster, over the same RPCs gateways use.

mod acting;
mod args;
mod audit;
mod certs;
mod client;
mod cluster_init;
mod doctor;
mod emptying;
mod follow;
mod node;
mod observer;
mod operate;
mod pkarr;
mod quota_flags;
mod rebalance;
mod secrets;
mod settings;
mod shard;
mod status;
mod target;
mod token;
mod top;
mod user;

use clap::Subcommand;

use crate::config_import::{self, ConfigCommand};
use crate::error::Error;

pub use args::Output;
pub use certs::{CertsCommand, CreateArgs, create as create_certs};
pub use client::NodeClient;
pub use cluster_init::{InitArgs, SignupMode, init};
use secrets::SecretsCommand;

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
    /// Say what is wrong, what would die if something died, and what to do next.
    Doctor(doctor::DoctorArgs),
    /// Show nodes live: leaders, commits, lag, repair, space, clocks.
    Top(top::TopArgs),
    /// List nodes, and say what shall become of one.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// List shards, and say where a replica or the leader of one shall be.
    #[command(subcommand)]
    Shard(shard::ShardCommand),
    /// Show how the records of the homeserver and its users are on the network, and who left.
    Pkarr(pkarr::PkarrArgs),
    /// Act on the whole cluster.
    #[command(subcommand)]
    Cluster(WholeCommand),
    /// Make and list signup tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// List users, and say what they may do.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Show what operators changed.
    Audit(audit::AuditArgs),
    /// Take over the configuration of another homeserver.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Certificates with which nodes, gateways and operators know each other.
    #[command(subcommand)]
    Certs(CertsCommand),
    /// The homeserver's key and the admin password.
    #[command(subcommand)]
    Secrets(SecretsCommand),
}

/// The commands below `rowhouse ctl cluster`.
#[derive(Subcommand, Debug)]
pub enum WholeCommand {
    /// Spread replicas over the nodes as evenly as they can be, now.
    Rebalance(rebalance::RebalanceArgs),
    /// Show or change who may sign up, and the default quota.
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
}

/// Does what was asked for.
pub async fn run(command: CtlCommand) -> Result<(), Error> {
    match command {
        CtlCommand::Status(args) => status::status(args).await,
        CtlCommand::Doctor(args) => doctor::doctor(args).await,
        CtlCommand::Top(args) => top::top(args).await,
        CtlCommand::Node(command) => node::run(command).await,
        CtlCommand::Shard(command) => shard::run(command).await,
        CtlCommand::Pkarr(args) => pkarr::pkarr(args).await,
        CtlCommand::Cluster(WholeCommand::Rebalance(args)) => rebalance::rebalance(args).await,
        CtlCommand::Cluster(WholeCommand::Settings(command)) => settings::run(command).await,
        CtlCommand::Token(command) => token::run(command).await,
        CtlCommand::User(command) => user::run(command).await,
        CtlCommand::Audit(args) => audit::audit(args).await,
        CtlCommand::Config(command) => config_import::run(command),
        CtlCommand::Certs(CertsCommand::Create(args)) => create_certs(&args).map(|said| println!("{said}")),
        CtlCommand::Secrets(SecretsCommand::Create(args)) => {
            secrets::create(&args).map(|said| println!("{said}"))
        }
    }
}
