//! The command line: what can be asked for, and on which runtime it is done.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::ctl::{ClusterCommand, CtlCommand};
use crate::dev::DevCommand;
use crate::error::{EXIT_USAGE, Error};
use crate::kubernetes::KubernetesCommand;
use crate::relay::{HttpRelayArgs, RelayArgs};
use crate::settings::{ConfigArgs, GatewaySettings, NodeSettings};
use crate::telemetry::{LogFormat, Telemetry};
use crate::testnet::TestnetArgs;
use crate::{ctl, dev, gateway, kubernetes, limits, node, parent_death, relay, settings, testnet};

/// A Pubky homeserver made of many machines.
#[derive(Parser, Debug)]
#[command(name = "rowhouse", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Form of the log on standard error; what is logged is chosen by RUST_LOG.
    #[arg(long, global = true, value_enum, default_value_t, env = "ROWHOUSE_LOG_FORMAT")]
    log_format: LogFormat,
    /// End at once when the process with this id, our parent, ends.
    #[arg(long, global = true, hide = true, value_name = "PID")]
    die_with_parent: Option<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a whole cluster on this machine, with the network around it.
    Dev(DevCommand),
    /// Run a storage node.
    Node(ConfigArgs<NodeSettings>),
    /// Run a gateway.
    Gateway(ConfigArgs<GatewaySettings>),
    /// Run the local network: DHT nodes, pkarr relay, HTTP relay.
    Testnet(TestnetArgs),
    /// Run a pkarr relay: packets of the DHT over HTTP, for browsers.
    Relay(RelayArgs),
    /// Run an HTTP relay: where apps and signers meet.
    HttpRelay(HttpRelayArgs),
    /// Make a cluster.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Look at a running cluster, and change it.
    #[command(subcommand)]
    Ctl(CtlCommand),
    /// Keep what a cluster on Kubernetes needs in Secrets: what the Helm chart's Jobs run.
    #[command(subcommand)]
    Kubernetes(KubernetesCommand),
    /// Print every configuration key of nodes and gateways, explained.
    ConfigReference,
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Dev(_) => "dev",
            Self::Node(_) => "node",
            Self::Gateway(_) => "gateway",
            Self::Testnet(_) => "testnet",
            Self::Relay(_) => "relay",
            Self::HttpRelay(_) => "http-relay",
            Self::Cluster(_) => "cluster",
            Self::Ctl(_) => "ctl",
            Self::Kubernetes(_) => "kubernetes",
            Self::ConfigReference => "config-reference",
        }
    }

    fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        let mut builder = match self {
            // `dev` must spawn its children from the main thread: the kernel ends a child that follows
            // its parent when the *thread* that spawned it ends.
            Self::Dev(_) | Self::Cluster(_) | Self::Ctl(_) | Self::Kubernetes(_) | Self::ConfigReference => {
                tokio::runtime::Builder::new_current_thread()
            }
            Self::Node(_) | Self::Gateway(_) | Self::Testnet(_) | Self::Relay(_) | Self::HttpRelay(_) => {
                tokio::runtime::Builder::new_multi_thread()
            }
        };
        builder.enable_all().build()
    }
}

/// Errs with the exit code: 0 for help and version, 64 for anything that cannot be understood.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(args).map_err(|error| {
        let asked = !error.use_stderr();
        // A closed standard output leaves nobody to tell.
        let _closed = error.print();
        if asked { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
    })
}

/// Does what was asked for; an error goes to standard error and into the exit code.
pub fn run(cli: Cli) -> ExitCode {
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not eprintln, which panics when nobody can be told: the exit code still says it.
            let _lost = writeln!(std::io::stderr(), "rowhouse: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(cli: Cli) -> Result<(), Error> {
    if let Some(parent) = cli.die_with_parent {
        parent_death::die_with(parent)?;
    }
    limits::raise_open_files();
    let runtime = cli.command.runtime().map_err(Error::failed("start the runtime"))?;
    runtime.block_on(async {
        let telemetry = Telemetry::start(cli.command.name(), cli.log_format)?;
        let result = command(cli.command).await;
        if let Err(error) = &result {
            tracing::debug!(%error, "the command failed");
        }
        telemetry.flush().await;
        result
    })
}

async fn command(command: Command) -> Result<(), Error> {
    match command {
        Command::Dev(args) => dev::run(args).await,
        Command::Node(args) => node::run(args).await,
        Command::Gateway(args) => gateway::run(args).await,
        Command::Testnet(args) => testnet::run(args).await,
        Command::Relay(args) => relay::run(args).await,
        Command::HttpRelay(args) => relay::run_http(args).await,
        Command::Cluster(ClusterCommand::Init(args)) => ctl::init(args).await.map(|said| println!("{said}")),
        Command::Ctl(command) => ctl::run(command).await,
        Command::Kubernetes(command) => kubernetes::run(command).await,
        Command::ConfigReference => settings::reference(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
