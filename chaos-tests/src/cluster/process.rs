//! Starting, waiting for, wounding and ending a cluster's processes.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pubky_common::crypto::PublicKey;
use tempfile::TempDir;

use super::disk::{self, Disk, SmallDisk};
use super::file::{ClusterFile, Component, Kind};
use super::nodes::NodeClient;
use crate::error::Error;
use crate::http1::Connection;
use crate::request::request;

/// Names the binary under test; otherwise it is looked for beside the test's own executable.
const BINARY_VARIABLE: &str = "ROWHOUSE_BIN";
/// Set to keep the folder (logs and data) of each cluster.
const KEEP_VARIABLE: &str = "ROWHOUSE_KEEP";
/// Set to 1, nodes and gateways use mutual TLS.
const MTLS_VARIABLE: &str = "ROWHOUSE_MTLS";
/// Seven processes, a DHT and 17 elections on a busy two-core machine.
const READY_TIMEOUT: Duration = Duration::from_secs(240);
/// A restart replays a log and elects.
const RESTART_TIMEOUT: Duration = Duration::from_secs(120);
/// Clean end of all children, then the rest is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// The cluster file's name for a probe listener.
const PROBES: &str = "probes";
const POLL: Duration = Duration::from_millis(50);
/// How much of a log is shown when a start fails.
const TAIL_BYTES: usize = 4000;

/// How a cluster of processes is started.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Pause before a killed component is started again.
    pub restart_delay: Duration,
    pub shards: u32,
    /// The ports of the Pubky testnet instead of free ones.
    pub testnet_ports: bool,
    pub mtls: bool,
    /// Further environment of the processes.
    pub environment: Vec<(String, String)>,
    /// Further flags of each node and of each gateway.
    pub node_flags: Vec<String>,
    pub gateway_flags: Vec<String>,
    /// Components whose folder is a small filesystem; see `mountable`.
    pub disks: Vec<SmallDisk>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        // Long enough that a kill is felt as a lost leader, short enough for many kills in a run.
        Self {
            restart_delay: Duration::from_millis(300),
            shards: 16,
            testnet_ports: false,
            mtls: std::env::var_os(MTLS_VARIABLE).is_some_and(|value| value == "1"),
            environment: Vec::new(),
            node_flags: Vec::new(),
            gateway_flags: Vec::new(),
            disks: Vec::new(),
        }
    }
}

/// A cluster of real processes, ended when it is dropped.
pub struct Cluster {
    folder: Option<TempDir>,
    data_dir: PathBuf,
    parent: Child,
    options: ClusterOptions,
}

/// Where the binary under test is.
pub fn binary() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let found =
        own.ancestors().skip(1).take(3).map(|folder| folder.join("rowhouse")).find(|path| path.is_file());
    found.ok_or_else(|| {
        Error::Cluster(format!("build the binary first (cargo build -p rowhouse), or set {BINARY_VARIABLE}"))
    })
}

impl Cluster {
    /// Starts a cluster and waits until it serves and can be found through PKARR.
    pub async fn start(options: ClusterOptions) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("rowhouse-test-").tempdir()?;
        let data_dir = folder.path().to_path_buf();
        let parent = spawn(&data_dir, &options)?;
        let mut cluster = Self { folder: Some(folder), data_dir, parent, options };
        match cluster.wait_ready().await {
            Ok(()) => Ok(cluster),
            Err(error) => Err(Error::Cluster(format!("{error}\n{}", cluster.logs()))),
        }
    }

    /// Its components as they are now; processes change with every restart.
    pub fn file(&self) -> Result<ClusterFile, Error> {
        ClusterFile::read(&self.data_dir.join("cluster.json"))
    }

    /// Folder of all data, logs and `cluster.json`.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Public key of the homeserver.
    pub fn homeserver(&self) -> Result<PublicKey, Error> {
        let z32 = self.file()?.homeserver;
        PublicKey::try_from_z32(&z32).map_err(|_| Error::Cluster(format!("not a key: {z32}")))
    }

    /// Plain HTTP listeners.
    pub fn gateways(&self) -> Result<Vec<SocketAddr>, Error> {
        self.file()?.of_kind(Kind::Gateway).map(Component::first_address).collect()
    }

    /// A client for each node whose machine is there.
    pub fn nodes(&self) -> Result<Vec<NodeClient>, Error> {
        let file = self.file()?;
        file.of_kind(Kind::Node)
            .filter(|node| self.has_disk(&node.name))
            .map(|node| NodeClient::new(&node.name, node.first_address()?, file.certs.as_deref()))
            .collect()
    }

    /// The component of this name; fails if there is none.
    pub fn component(&self, name: &str) -> Result<Component, Error> {
        let components = self.file()?.components;
        let found = components.into_iter().find(|component| component.name == name);
        found.ok_or_else(|| Error::Cluster(format!("no component {name}")))
    }

    /// Whether the component has a folder; see `Cluster::lose`.
    pub fn has_disk(&self, component: &str) -> bool {
        !self.data_dir.join(component).is_file()
    }

    /// The small disk that `ClusterOptions` gave a component.
    pub fn disk(&self, component: &str) -> Disk {
        Disk::of(self.parent.id(), &self.data_dir.join(component))
    }

    /// SIGKILL; answers the pid that is gone.
    pub fn kill(&self, name: &str) -> Result<u32, Error> {
        self.signal(name, Signal::SIGKILL)
    }

    /// SIGTERM, as an orchestrator stops a process; answers the pid.
    pub fn terminate(&self, name: &str) -> Result<u32, Error> {
        self.signal(name, Signal::SIGTERM)
    }

    /// Answers the pid that was signalled.
    pub fn signal(&self, name: &str, which: Signal) -> Result<u32, Error> {
        let pid = self.component(name)?.pid.ok_or_else(|| Error::Cluster(format!("{name} does not run")))?;
        signal(pid, which)?;
        Ok(pid)
    }

    /// Waits until the component runs under another pid and its readiness probe says so.
    pub async fn wait_ready_again(&self, name: &str, old: u32) -> Result<(), Error> {
        wait_until(RESTART_TIMEOUT, &format!("{name} to be ready again"), async || {
            let Ok(component) = self.component(name) else { return false };
            if component.pid.is_none_or(|pid| pid == old) {
                return false;
            }
            let Ok(address) = component.address(PROBES) else { return false };
            is_ready(address).await
        })
        .await
    }

    /// Waits until the component runs under another pid than the killed one and its listener answers.
    pub async fn wait_restarted(&self, name: &str, killed: u32) -> Result<(), Error> {
        wait_until(RESTART_TIMEOUT, &format!("{name} to run again"), async || {
            let Ok(component) = self.component(name) else { return false };
            if component.pid.is_none_or(|pid| pid == killed) {
                return false;
            }
            let Ok(address) = component.first_address() else { return false };
            Connection::open(address, false).await.is_ok()
        })
        .await
    }

    /// Ends everything by SIGTERM, as a person would, keeping the data; `start_again` continues.
    pub fn stop(&mut self) -> Result<(), Error> {
        end(&mut self.parent)
    }

    /// Starts the cluster in the folder it had, and waits until it is ready.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.parent = spawn(&self.data_dir, &self.options)?;
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<(), Error> {
        let file = self.data_dir.join("cluster.json");
        let parent = &mut self.parent;
        let mut ended = None;
        wait_until(READY_TIMEOUT, "the cluster to serve", async || {
            ended = parent.try_wait().ok().flatten();
            let file = ClusterFile::read(&file);
            ended.is_some() || file.is_ok_and(|file| file.ready && file.supervisor_pid == parent.id())
        })
        .await?;
        ended.map_or(Ok(()), |status| Err(Error::Cluster(format!("rowhouse dev ended: {status}"))))
    }

    /// The ends of all components' logs, for a person.
    fn logs(&self) -> String {
        let mut files = vec![self.data_dir.join("dev.log")];
        files.extend(
            self.file()
                .map(|file| file.components)
                .unwrap_or_default()
                .into_iter()
                .map(|component| component.output),
        );
        let mut text = String::new();
        for file in files {
            // As the processes see it: a small disk is mounted for them alone.
            let seen = PathBuf::from(format!("/proc/{}/root{}", self.parent.id(), file.display()));
            let bytes = std::fs::read(seen).or_else(|_| std::fs::read(&file)).unwrap_or_default();
            let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
            text.push_str(&format!("---- {}\n{}\n", file.display(), String::from_utf8_lossy(tail)));
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let kept = std::env::var_os(KEEP_VARIABLE).is_some() || std::thread::panicking();
        let logs = kept.then(|| self.logs());
        if let Err(error) = end(&mut self.parent) {
            eprintln!("the cluster did not end: {error}");
        }
        if let Some(logs) = logs {
            eprintln!("{logs}");
            if let Some(folder) = self.folder.take() {
                eprintln!("kept {}", folder.keep().display());
            }
        }
    }
}

async fn is_ready(probes: SocketAddr) -> bool {
    let asked = async {
        let mut connection = Connection::open(probes, false).await.ok()?;
        let asked = request("GET", "/readyz", "probes", &[], &[]);
        connection.exchange(&asked, false).await.ok()
    };
    asked.await.is_some_and(|response| response.status == 200)
}

/// From the caller's own thread: the kernel ends the child when that thread ends.
fn spawn(data_dir: &Path, options: &ClusterOptions) -> Result<Child, Error> {
    let log = File::options().create(true).append(true).open(data_dir.join("dev.log"))?;
    let mut command = disk::command(&binary()?, data_dir, &options.disks)?;
    command.arg("dev").arg("--data-dir").arg(data_dir);
    command.arg(format!("--restart-delay-ms={}", options.restart_delay.as_millis()));
    command.arg(format!("--shards={}", options.shards));
    command.arg(format!("--ready-timeout-s={}", READY_TIMEOUT.as_secs()));
    command.arg(format!("--die-with-parent={}", std::process::id()));
    if options.mtls {
        command.arg("--mtls");
    }
    if !options.testnet_ports {
        for port in ["http", "tls", "admin", "dht", "pkarr-relay", "http-relay", "node", "probe", "metrics"] {
            command.arg(format!("--{port}-port=0"));
        }
    }
    command.args(options.node_flags.iter().map(|flag| format!("--node-flag={flag}")));
    command.args(options.gateway_flags.iter().map(|flag| format!("--gateway-flag={flag}")));
    command.envs(options.environment.iter().cloned());
    Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
}

fn end(parent: &mut Child) -> Result<(), Error> {
    if parent.try_wait()?.is_some() {
        return Ok(());
    }
    signal(parent.id(), Signal::SIGTERM)?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    while Instant::now() < deadline {
        if parent.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    // Its children die with it.
    parent.kill()?;
    parent.wait()?;
    Err(Error::Timeout(STOP_TIMEOUT, "a clean end".into()))
}

fn signal(pid: u32, signal: Signal) -> Result<(), Error> {
    kill(Pid::from_raw(pid.cast_signed()), signal)
        .map_err(|error| Error::Cluster(format!("signal {pid}: {error}")))
}

/// Asks until it holds or the time is over.
pub async fn wait_until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> bool,
) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if holds().await {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Error::Timeout(limit, what.to_owned()))
}
