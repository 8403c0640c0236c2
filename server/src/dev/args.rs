//! The flags of `rowhouse dev`. Port 0 everywhere means: choose a free one.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use crate::testnet::TestnetPorts;

/// Where a cluster keeps everything unless told otherwise.
pub const DATA_DIR: &str = ".rowhouse/dev";
/// More processes than these overwhelm a person's machine.
pub const NODES_MAX: u8 = 9;

/// `rowhouse dev`, and what is done to a cluster that it runs.
#[derive(clap::Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DevCommand {
    #[command(flatten)]
    pub run: DevArgs,
    #[command(subcommand)]
    pub then: Option<DevChange>,
}

/// A change of a cluster that runs in another terminal.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum DevChange {
    /// Add a storage node to the cluster that runs in another terminal.
    AddNode(AddNodeArgs),
}

/// Flags of `rowhouse dev add-node`.
#[derive(clap::Args, Clone, Debug)]
pub struct AddNodeArgs {
    /// Folder of the running cluster.
    #[arg(long, default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Give up waiting until the node has joined after this many seconds.
    #[arg(long, default_value_t = 60)]
    pub timeout_s: u64,
}

#[derive(clap::Args, Clone, Debug)]
pub struct DevArgs {
    /// Folder for everything the cluster keeps.
    #[arg(long, default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Number of storage nodes, at most nine: three, or as many as the folder has. More than it has join as new ones.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX)))]
    pub nodes: Option<u8>,
    /// Start empty, in a temporary folder that is removed at the end.
    #[arg(long, conflicts_with = "data_dir")]
    pub ephemeral: bool,
    /// Mutual TLS between nodes and gateways, with certificates made in the data folder.
    #[arg(long)]
    pub mtls: bool,
    /// Pause before a component that ended is started again.
    #[arg(long, default_value_t = 1000)]
    pub restart_delay_ms: u64,
    /// Addresses of the gateways, one gateway each. They share the ports below.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1,127.0.0.2")]
    pub gateway_ips: Vec<Ipv4Addr>,
    /// Plain HTTP port of the gateways.
    #[arg(long, default_value_t = 6286)]
    pub http_port: u16,
    /// Pubky TLS port of the gateways.
    #[arg(long, default_value_t = 6287)]
    pub tls_port: u16,
    /// Admin port of the first gateway (password: admin).
    #[arg(long, default_value_t = 6288)]
    pub admin_port: u16,
    #[command(flatten)]
    pub testnet: TestnetPorts,
    /// Port of the first storage node; the others follow it.
    #[arg(long, default_value_t = 6301)]
    pub node_port: u16,
    /// Port of the first node's probes; the other nodes' and the gateways' follow it.
    #[arg(long, default_value_t = 6311)]
    pub probe_port: u16,
    /// Port of the first gateway's metrics; the other gateways' and the nodes' follow it.
    #[arg(long, default_value_t = 6289)]
    pub metrics_port: u16,
    /// Number of shards, when the cluster is made.
    #[arg(long, default_value_t = 16)]
    pub shards: u32,
    /// A further flag for each node, as `rowhouse node` takes it; may be given several times.
    #[arg(long = "node-flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub node_flags: Vec<String>,
    /// A further flag for each gateway, as `rowhouse gateway` takes it; may be given several times.
    #[arg(long = "gateway-flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub gateway_flags: Vec<String>,
    /// Give up if the cluster does not serve after this many seconds.
    #[arg(long, default_value_t = 120)]
    pub ready_timeout_s: u64,
}

impl DevArgs {
    /// Pause before a component that ended is started again.
    pub fn restart_delay(&self) -> Duration {
        Duration::from_millis(self.restart_delay_ms)
    }

    /// Time until a cluster that does not serve is given up.
    pub fn ready_timeout(&self) -> Duration {
        Duration::from_secs(self.ready_timeout_s)
    }
}
