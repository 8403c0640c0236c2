//! Starts the testnet's parts in order, says when they are ready, and waits for the signal to stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dht::Nodes;
use super::observe::Observer;
use super::ports::TestnetPorts;
use super::relay::PkarrRelay;
use super::restore::restore;
use crate::error::Error;
use crate::files;
use crate::records::Records;
use crate::relay::{self, HttpRelayArgs};
use crate::signals::Stop;

/// Where the relay crate puts its cache, which it never removes: ours is emptied at each start.
const TEMPORARY_FOLDER_VARIABLE: &str = "TMPDIR";

/// Flags of `rowhouse testnet`.
#[derive(clap::Args, Clone, Debug)]
pub struct TestnetArgs {
    /// Folder for the records to put back at the next start.
    #[arg(long, default_value = ".rowhouse/testnet")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub ports: TestnetPorts,
    /// File to write the addresses to, as JSON, once everything answers.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// The content of the ready file. Addresses are host:port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TestnetReady {
    /// Process id of the testnet.
    pub pid: u32,
    /// The DHT nodes; clients bootstrap from the first.
    pub dht: Vec<String>,
    /// The pkarr relay.
    pub pkarr_relay: String,
    /// The HTTP relay.
    pub http_relay: String,
    /// Records of earlier runs that were put into the DHT again.
    pub records_restored: usize,
}

/// Runs until a signal asks it to stop. Fails if a port is taken or the folder is of no use.
pub async fn run(args: TestnetArgs) -> Result<(), Error> {
    let folder = args.data_dir.clone();
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    claim_temporary_folder(&folder)?;
    let mut stop = Stop::listen()?;
    let records_path = folder.join("records.log");
    let records = Records::open(&records_path).map_err(Error::io(&records_path))?;
    tracing::info!(records = records.len(), "records kept from earlier runs");
    let observer = Observer::start(records).map_err(Error::failed("start the record keeper"))?;
    let kept = observer.all();
    let nodes = Nodes::start(args.ports.dht_port, &folder.join("dht-ports.json"), &observer)
        .await
        .map_err(Error::failed("start the DHT nodes"))?;
    let records_restored =
        restore(kept, &nodes.addresses).await.map_err(Error::failed("put records back"))?;
    let pkarr_relay = PkarrRelay::start(args.ports.pkarr_relay_port, &nodes.addresses)
        .await
        .map_err(Error::failed("start the pkarr relay"))?;
    let http_relay = start_http_relay(args.ports.http_relay_port).await?;
    let ready = TestnetReady {
        pid: std::process::id(),
        dht: nodes.addresses.iter().map(ToString::to_string).collect(),
        pkarr_relay: pkarr_relay.address.to_string(),
        http_relay: http_relay.http_address().to_string(),
        records_restored,
    };
    announce(&ready, args.ready_file.as_deref())?;
    tokio::select! {
        () = pkarr_relay.serve() => {}
        () = stop.requested() => {}
    }
    http_relay.shutdown().await.map_err(|error| Error::Failed(format!("cannot stop the HTTP relay: {error}")))
}

/// The relay crate caches in the system's temporary folder and leaves it behind. Starting this program
/// anew with a folder of our own is the only way to move it without touching a running process's
/// environment.
fn claim_temporary_folder(folder: &Path) -> Result<(), Error> {
    let own = folder.join("tmp");
    let own = std::path::absolute(&own).map_err(Error::io(&own))?;
    if std::env::var_os(TEMPORARY_FOLDER_VARIABLE).is_some_and(|current| Path::new(&current) == own) {
        return Ok(());
    }
    if own.exists() {
        std::fs::remove_dir_all(&own).map_err(Error::io(&own))?;
    }
    std::fs::create_dir_all(&own).map_err(Error::io(&own))?;
    let program = std::env::current_exe().map_err(Error::failed("find this program's file"))?;
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(TEMPORARY_FOLDER_VARIABLE, own)
        .exec();
    Err(Error::Failed(format!("cannot start anew: {error}")))
}

async fn start_http_relay(port: u16) -> Result<http_relay::HttpRelay, Error> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let args = HttpRelayArgs { listen, body_bytes_max: 2048, messages_max: 10_000 };
    relay::start_http(&args).await.map_err(|why| {
        Error::Failed(format!("port {port} of the HTTP relay: {why}; choose another with --http-relay-port"))
    })
}

fn announce(ready: &TestnetReady, file: Option<&Path>) -> Result<(), Error> {
    println!("testnet ready: pid {}", ready.pid);
    println!("  DHT          {}", ready.dht.join(" "));
    println!("  pkarr relay  http://{}", ready.pkarr_relay);
    println!("  HTTP relay   http://{}", ready.http_relay);
    println!("  records put back: {}", ready.records_restored);
    match file {
        Some(path) => files::write_json(path, ready),
        None => Ok(()),
    }
}
