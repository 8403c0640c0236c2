//! `rowhouse ctl node drain` and `undrain`: a node gives its leaderships away and takes no more.

use std::time::{Duration, Instant};

use rowhouse_peer::Dialer;
use rowhouse_proto::wire::meta::{ClusterMap, NodeInfo};
use tokio::time::sleep;

use super::client::NodeClient;
use crate::certificates::TlsArgs;
use crate::error::Error;

/// How often the node is asked what it still leads.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Flags of `rowhouse ctl node drain`.
#[derive(clap::Args, Clone, Debug)]
pub struct DrainArgs {
    /// The node's name or address.
    pub target: String,
    /// Address of any node, host:port.
    #[arg(long)]
    pub node: String,
    /// Give up waiting after this many seconds; the node goes on draining.
    #[arg(long, default_value_t = 60)]
    pub timeout_s: u64,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Flags of `rowhouse ctl node undrain`.
#[derive(clap::Args, Clone, Debug)]
pub struct UndrainArgs {
    /// The node's name or address.
    pub target: String,
    /// Address of any node, host:port.
    #[arg(long)]
    pub node: String,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Drains the node, and returns when it leads nothing that another node could lead.
///
/// Fails if the node is unknown or does not answer, and after `--timeout-s`; the node goes on draining then.
pub async fn drain(args: DrainArgs) -> Result<(), Error> {
    let dialer = args.tls.dialer()?;
    let (map, target) = find(&args.node, &args.target, &dialer).await?;
    let mut client = NodeClient::connect(&target.address, &dialer, Some(&target.name)).await?;
    let until = Instant::now() + Duration::from_secs(args.timeout_s);
    let mut told = None;
    loop {
        let led = client.drain(&map.cluster_id, true).await?;
        if led == 0 {
            println!(
                "{} is drained: it leads nothing others could, and stays so until `ctl node undrain` or a restart",
                target.name
            );
            return Ok(());
        }
        if told != Some(led) {
            println!("{} still leads {led} groups", target.name);
            told = Some(led);
        }
        if Instant::now() >= until {
            return Err(Error::Failed(format!(
                "{} still leads {led} groups; it goes on handing them over. If this stays so, the other replicas \
                 do not answer or lag behind: see `rowhouse ctl status --node {}`",
                target.name, args.node
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Ends draining: the node may lead groups again. Fails if the node is unknown or does not answer.
pub async fn undrain(args: UndrainArgs) -> Result<(), Error> {
    let dialer = args.tls.dialer()?;
    let (map, target) = find(&args.node, &args.target, &dialer).await?;
    let mut client = NodeClient::connect(&target.address, &dialer, Some(&target.name)).await?;
    client.drain(&map.cluster_id, false).await?;
    println!("{} leads again what is given to it", target.name);
    Ok(())
}

async fn find(seed: &str, target: &str, dialer: &Dialer) -> Result<(ClusterMap, NodeInfo), Error> {
    let map = NodeClient::connect(seed, dialer, None).await?.map().await?;
    let found = map.nodes.iter().find(|node| node.name == target || node.address == target).cloned();
    match found {
        Some(node) => Ok((map, node)),
        None => {
            let names: Vec<&str> = map.nodes.iter().map(|node| node.name.as_str()).collect();
            Err(Error::Usage(format!("no node `{target}` in this cluster; there are: {}", names.join(", "))))
        }
    }
}
