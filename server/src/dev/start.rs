//! Brings the cluster up step by step, says how far it is, and waits for the signal to stop.

use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use pkarr::{Keypair, PublicKey};
use rowhouse_peer::Dialer;

use super::args::{DevArgs, NODES_MAX};
use super::cluster_file::{CLUSTER_FILE, ClusterFile};
use super::control::{Answer, Control, Request};
use super::plan::{self, Component, Kind};
use super::ports::{Claims, Ports};
use super::supervisor::{Supervisor, say};
use super::{certs, ready, report};
use crate::certificates::TlsArgs;
use crate::ctl::{self, InitArgs, SignupMode};
use crate::error::Error;
use crate::secret;
use crate::signals::Stop;

/// The well-known key of the Pubky testnet: clients have it built in.
const HOMESERVER_SECRET: [u8; 32] = [0; 32];
/// Where the data folder remembers its ports, and with them the number of its nodes.
const PORTS_FILE: &str = "ports.json";
/// Time for a node to join a cluster that is there, before it counts as one that `cluster init` did not reach.
const JOIN_MAX: Duration = Duration::from_secs(15);
/// Pause between two askings of the same question.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Runs a cluster until a signal asks it to stop. Fails if ports are taken or the cluster does not serve in time.
pub async fn run(args: DevArgs) -> Result<(), Error> {
    if args.gateway_ips.is_empty() || args.gateway_ips.iter().any(|ip| !ip.is_loopback()) {
        return Err(Error::Usage("--gateway-ips takes loopback addresses (127.x.y.z)".into()));
    }
    let mut stop = Stop::listen()?;
    let mut root = Root::open(&args)?;
    let mut dev = Dev::prepare(args, &root.path)?;
    let mut supervisor = dev.supervisor();
    // Whoever asks before the cluster serves is answered then.
    let control = Control::listen(&root.path);
    let started = tokio::select! {
        started = dev.bring_up(&mut supervisor) => started,
        () = stop.requested() => {
            say("stopping");
            supervisor.stop().await;
            return Ok(());
        }
    };
    if let Err(error) = started {
        supervisor.stop().await;
        // What the components said is needed now.
        root.temporary = false;
        return Err(error);
    }
    tokio::select! {
        never = dev.serve(control, &mut supervisor) => match never {},
        () = stop.requested() => {}
    }
    say("stopping");
    supervisor.stop().await;
    Ok(())
}

/// The cluster's folder, locked; a temporary one goes with this value.
struct Root {
    path: PathBuf,
    _lock: Flock<File>,
    temporary: bool,
}

impl Root {
    fn open(args: &DevArgs) -> Result<Self, Error> {
        let path = if args.ephemeral {
            std::env::temp_dir().join(format!("rowhouse-dev-{}", uuid::Uuid::new_v4().simple()))
        } else {
            std::path::absolute(&args.data_dir).map_err(Error::io(&args.data_dir))?
        };
        std::fs::create_dir_all(&path).map_err(Error::io(&path))?;
        let lock_file = path.join("lock");
        let file = File::create(&lock_file).map_err(Error::io(&lock_file))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
            Errno::EWOULDBLOCK => Error::Usage(format!(
                "a cluster runs in {} already: stop it, or choose another --data-dir",
                path.display()
            )),
            error => Error::io(&lock_file)(error.into()),
        })?;
        Ok(Self { path, _lock: lock, temporary: args.ephemeral })
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the temporary folder was not removed");
        }
    }
}

struct Dev {
    args: DevArgs,
    root: PathBuf,
    ports: Ports,
    claims: Vec<Claims>,
    homeserver: PublicKey,
    /// This process's certificates, shown to nodes.
    tls: TlsArgs,
    dialer: Dialer,
}

impl Dev {
    fn prepare(args: DevArgs, root: &Path) -> Result<Self, Error> {
        let secret_file = plan::secret_file(root);
        if !secret_file.exists() {
            secret::create(&secret_file, &HOMESERVER_SECRET)?;
        }
        let homeserver = Keypair::from_secret_key(&secret::read(&secret_file)?).public_key();
        let (ports, claims) = Ports::settle(&args, &root.join(PORTS_FILE))?;
        let mut tls = TlsArgs::default();
        if args.mtls {
            certs::prepare(root, &args, ports.nodes.len())?;
            tls = certs::tls_args(root, certs::OPERATOR);
        }
        let dialer = tls.dialer()?;
        let claims = vec![claims];
        Ok(Self { args, root: root.to_owned(), ports, claims, homeserver, tls, dialer })
    }

    fn supervisor(&self) -> Supervisor {
        let gateway_ips = self.args.gateway_ips.iter().map(ToString::to_string).collect();
        let mut file =
            ClusterFile::new(self.homeserver.to_z32(), self.root.clone(), self.ports.clone(), gateway_ips);
        file.certs = self.args.mtls.then(|| certs::folder(&self.root));
        Supervisor::new(self.root.join(CLUSTER_FILE), file, self.args.restart_delay())
    }

    async fn bring_up(&self, supervisor: &mut Supervisor) -> Result<(), Error> {
        let began = Instant::now();
        let components = plan::components(&self.root, &self.args, &self.ports);
        self.start_testnet(supervisor, &components).await?;
        self.start_nodes(supervisor, &components).await?;
        self.start_gateways(supervisor, &components).await?;
        let relay = local(self.ports.pkarr_relay);
        let published = || ready::published(relay, &self.homeserver, &self.args.gateway_ips);
        self.until(supervisor, "the homeserver's record is published", published).await?;
        supervisor.serving()?;
        say(&format!("ready after {:.1} s", began.elapsed().as_secs_f32()));
        say(&report::summary(&supervisor.snapshot()));
        Ok(())
    }

    /// Does what other terminals ask for. Without a socket nobody can ask, and the cluster serves all the same.
    async fn serve(&mut self, control: io::Result<Control>, supervisor: &mut Supervisor) -> Infallible {
        let control = match control {
            Ok(control) => control,
            Err(error) => {
                say(&format!("`rowhouse dev add-node` will not work: {error}"));
                return std::future::pending().await;
            }
        };
        loop {
            let asked = control.next().await;
            let answer = match asked.request {
                Request::AddNode => self.add_node(supervisor),
            };
            let answer = answer.unwrap_or_else(|error| Answer::Refused(error.to_string()));
            asked.answer(&answer).await;
        }
    }

    fn add_node(&mut self, supervisor: &mut Supervisor) -> Result<Answer, Error> {
        let index = self.ports.nodes.len();
        if index >= usize::from(NODES_MAX) {
            return Ok(Answer::Refused(format!("{NODES_MAX} nodes are the most on one machine")));
        }
        if self.args.mtls {
            certs::prepare(&self.root, &self.args, index + 1)?;
        }
        let (ports, claims) = self.ports.with_another_node(&self.args, &self.root.join(PORTS_FILE))?;
        self.ports = ports;
        self.claims.push(claims);
        supervisor.set_ports(self.ports.clone())?;
        let component = plan::node(&self.root, &self.args, &self.ports, index);
        let name = component.name.clone();
        say(&format!("{name} is added, as another terminal asked"));
        supervisor.keep(component)?;
        Ok(Answer::Added(name))
    }

    async fn start_testnet(
        &self,
        supervisor: &mut Supervisor,
        components: &[Component],
    ) -> Result<(), Error> {
        keep_all(supervisor, components, Kind::Testnet)?;
        let ready_file = plan::testnet_ready_file(&self.root);
        let file = supervisor.shared();
        let answers = || {
            let pid = file.pid_of(Kind::Testnet);
            let ready = ready::testnet(&ready_file, pid);
            async move { ready }
        };
        self.until(supervisor, "the DHT and the relays answer", answers).await
    }

    async fn start_nodes(&self, supervisor: &mut Supervisor, components: &[Component]) -> Result<(), Error> {
        let addresses = plan::node_addresses(&self.ports);
        let nodes = components.iter().filter(|component| component.kind == Kind::Node);
        let nodes: Vec<(&Component, &String)> = nodes.zip(&addresses).collect();
        let (first, later) = nodes.split_at(founders(nodes.len()));
        let founders: Vec<String> = first.iter().map(|(_, address)| (*address).clone()).collect();
        self.keep_nodes(supervisor, first).await?;
        if !self.all_join(&founders).await {
            let init = InitArgs {
                elsewhere: Vec::new(),
                nodes: founders,
                shards: self.args.shards,
                signup_mode: SignupMode::Open,
                timeout_s: self.args.ready_timeout_s,
                tls: self.tls.clone(),
            };
            say(&format!("  {}", ctl::init(init).await?));
        }
        self.keep_nodes(supervisor, later).await?;
        let led = || ready::all_led(&addresses, &self.dialer);
        self.until(supervisor, "every shard has a leader", led).await
    }

    async fn keep_nodes(
        &self,
        supervisor: &mut Supervisor,
        nodes: &[(&Component, &String)],
    ) -> Result<(), Error> {
        for (component, _) in nodes {
            supervisor.keep((*component).clone())?;
        }
        for (component, address) in nodes {
            let answers = || async { ready::node(address, &self.dialer).await.is_some() };
            self.until(supervisor, &format!("{} answers", component.name), answers).await?;
        }
        Ok(())
    }

    /// Whether all nodes become members of a cluster by themselves: one was made of some of them before.
    async fn all_join(&self, addresses: &[String]) -> bool {
        let until = Instant::now() + JOIN_MAX;
        loop {
            let mut members = 0;
            for address in addresses {
                members += usize::from(ready::node(address, &self.dialer).await == Some(true));
            }
            if members == addresses.len() || members == 0 || Instant::now() >= until {
                return members == addresses.len();
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn start_gateways(
        &self,
        supervisor: &mut Supervisor,
        components: &[Component],
    ) -> Result<(), Error> {
        keep_all(supervisor, components, Kind::Gateway)?;
        for (index, ip) in self.args.gateway_ips.iter().enumerate() {
            let address = SocketAddr::from((*ip, self.ports.http));
            let answers = || ready::gateway(address);
            self.until(supervisor, &format!("gateway-{} answers", index + 1), answers).await?;
        }
        Ok(())
    }

    /// Asks until the answer is yes, a component is broken, or the time is over.
    async fn until<F>(
        &self,
        supervisor: &mut Supervisor,
        what: &str,
        ask: impl Fn() -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = bool>,
    {
        let began = Instant::now();
        let asking = async {
            while !ask().await {
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        tokio::select! {
            () = asking => {
                say(&format!("  {what} ({:.1} s)", began.elapsed().as_secs_f32()));
                Ok(())
            }
            error = supervisor.failure() => Err(error),
            () = tokio::time::sleep(self.args.ready_timeout()) => Err(Error::Failed(format!(
                "gave up waiting until {what}; see output.log in the folders below {}",
                self.root.display()
            ))),
        }
    }
}

/// Of so many nodes, the number that a cluster is made of. It cannot be made of two: the second one joins.
fn founders(nodes: usize) -> usize {
    if nodes == 2 { 1 } else { nodes }
}

fn keep_all(supervisor: &mut Supervisor, components: &[Component], kind: Kind) -> Result<(), Error> {
    for component in components.iter().filter(|component| component.kind == kind) {
        supervisor.keep(component.clone())?;
    }
    Ok(())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
