//! Which ports the cluster uses: those asked for if they are free, else chosen ones.
//!
//! Chosen ports are remembered in the data folder and taken again if they are still free, because the
//! nodes' addresses stand in the cluster's map. A cluster claims them for as long as it runs: between a choice and the
//! component's listening, and while a component restarts, a port looks free.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::args::DevArgs;
use crate::error::Error;
use crate::files;

/// Chosen ports lie below 32768, where the system's range for outgoing connections begins. So no client's connection
/// takes the port of a component that is being started again.
const CHOSEN_FIRST: u16 = 20_000;
const CHOSEN_COUNT: u16 = 12_000;
/// Tries before a machine counts as full.
const CHOOSE_TRIES: usize = 200;
/// Storage nodes of a development cluster unless told otherwise: the least that survives the loss of one.
const NODES: usize = 3;

/// The ports of one cluster. Gateways share theirs, each on its own address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Plain HTTP of the gateways.
    pub http: u16,
    /// Pubky TLS of the gateways.
    pub tls: u16,
    /// The first gateway's admin listener.
    pub admin: u16,
    /// UDP port of the DHT node that clients bootstrap from.
    pub dht: u16,
    /// The pkarr relay.
    pub pkarr_relay: u16,
    /// The HTTP relay.
    pub http_relay: u16,
    /// gRPC of the nodes, [`NODES`] of them.
    pub nodes: Vec<u16>,
    /// Probe listeners: those of the nodes, then those of the gateways.
    #[serde(default)]
    pub probes: Vec<u16>,
    /// Metrics listeners: those of the gateways, then those of the nodes.
    #[serde(default)]
    pub metrics: Vec<u16>,
}

/// Chosen ports that no other cluster of this user chooses while this lives.
#[derive(Debug)]
pub struct Claims(#[expect(dead_code, reason = "locks end when they are dropped")] Vec<Flock<File>>);

impl Ports {
    /// Settles all ports, or names every one that is taken and the flag that changes it. Chosen ones are this cluster's
    /// until the claims are dropped.
    pub fn settle(args: &DevArgs, remember: &Path) -> Result<(Self, Claims), Error> {
        let remembered: Option<Self> =
            std::fs::read(remember).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let count = node_count(args, remembered.as_ref().map(|ports| ports.nodes.len()))?;
        let old = |of: fn(&Self) -> u16| remembered.as_ref().map(of);
        let gateways: Vec<IpAddr> = args.gateway_ips.iter().copied().map(IpAddr::V4).collect();
        let local = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let mut chooser = Chooser::default();
        let mut nodes = Vec::with_capacity(count);
        let settled = Self {
            http: chooser.tcp("--http-port", args.http_port, old(|ports| ports.http), &gateways),
            tls: chooser.tcp("--tls-port", args.tls_port, old(|ports| ports.tls), &gateways),
            admin: chooser.tcp("--admin-port", args.admin_port, old(|ports| ports.admin), &gateways[..1]),
            dht: chooser.udp("--dht-port", args.testnet.dht_port, old(|ports| ports.dht)),
            pkarr_relay: chooser.tcp(
                "--pkarr-relay-port",
                args.testnet.pkarr_relay_port,
                old(|p| p.pkarr_relay),
                &local,
            ),
            http_relay: chooser.tcp(
                "--http-relay-port",
                args.testnet.http_relay_port,
                old(|p| p.http_relay),
                &local,
            ),
            nodes: Vec::new(),
            probes: Vec::new(),
            metrics: Vec::new(),
        };
        for index in 0..count {
            let asked = if args.node_port == 0 { 0 } else { args.node_port.saturating_add(index as u16) };
            let old = remembered.as_ref().and_then(|ports| ports.nodes.get(index)).copied();
            nodes.push(chooser.tcp("--node-port", asked, old, &local));
        }
        let mut probes = Vec::with_capacity(count + gateways.len());
        for index in 0..count + gateways.len() {
            let asked = if args.probe_port == 0 { 0 } else { args.probe_port.saturating_add(index as u16) };
            let old = remembered.as_ref().and_then(|ports| ports.probes.get(index)).copied();
            probes.push(chooser.tcp("--probe-port", asked, old, &local));
        }
        let mut metrics = Vec::with_capacity(count + gateways.len());
        for index in 0..count + gateways.len() {
            let asked =
                if args.metrics_port == 0 { 0 } else { args.metrics_port.saturating_add(index as u16) };
            let old = remembered.as_ref().and_then(|ports| ports.metrics.get(index)).copied();
            metrics.push(chooser.tcp("--metrics-port", asked, old, &local));
        }
        let claims = chooser.finish()?;
        let settled = Self { nodes, probes, metrics, ..settled };
        files::write_json(remember, &settled)?;
        Ok((settled, claims))
    }

    /// The ports with those of one more node: the next ones if they are free, else chosen ones. The claims are on the
    /// new ones alone.
    pub fn with_another_node(&self, args: &DevArgs, remember: &Path) -> Result<(Self, Claims), Error> {
        let mut chooser = Chooser::default();
        // Claimed or not, the cluster's own are not free: a component may be about to start again.
        chooser.chosen.extend(self.nodes.iter().chain(&self.probes).chain(&self.metrics));
        let asked =
            |first: u16, others: usize| if first == 0 { 0 } else { first.saturating_add(others as u16) };
        let node = chooser.next_or_any("--node-port", asked(args.node_port, self.nodes.len()));
        let probe = chooser.next_or_any("--probe-port", asked(args.probe_port, self.probes.len()));
        let metrics = chooser.next_or_any("--metrics-port", asked(args.metrics_port, self.metrics.len()));
        let claims = chooser.finish()?;
        let mut all = self.clone();
        all.probes.insert(all.nodes.len(), probe);
        all.nodes.push(node);
        all.metrics.push(metrics);
        files::write_json(remember, &all)?;
        Ok((all, claims))
    }
}

/// What was asked for, else what the folder has, else three.
fn node_count(args: &DevArgs, before: Option<usize>) -> Result<usize, Error> {
    let asked = args.nodes.map(usize::from);
    match (asked, before) {
        (Some(asked), Some(before)) if asked < before => Err(Error::Usage(format!(
            "the cluster in this folder has {before} nodes: start it with as many (or without --nodes) and drain some, \
             or choose another --data-dir"
        ))),
        (asked, before) => Ok(asked.or(before).unwrap_or(NODES)),
    }
}

/// `None`: another cluster has it. One lock file a port, in a folder of this user's.
fn claim(port: u16) -> std::io::Result<Option<Flock<File>>> {
    let user = std::fs::metadata("/proc/self")?.uid();
    let folder = std::env::temp_dir().join(format!("rowhouse-ports-{user}"));
    own_folder(&folder, user)?;
    let file = File::create(folder.join(port.to_string()))?;
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
}

/// Makes the folder, which only this user may write to. Temporary folders are everybody's: in a folder of somebody
/// else a link could lead anywhere.
fn own_folder(folder: &Path, user: u32) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{} is not this user's alone: remove it", folder.display())))
}

/// Holds every port it has settled until all are, so that none is settled twice.
#[derive(Default)]
struct Chooser {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    claims: Vec<Flock<File>>,
    chosen: BTreeSet<u16>,
    taken: Vec<String>,
}

impl Chooser {
    fn tcp(&mut self, flag: &str, asked: u16, old: Option<u16>, ips: &[IpAddr]) -> u16 {
        let bind = |port: u16| -> std::io::Result<Vec<TcpListener>> {
            ips.iter()
                .map(|ip| {
                    TcpListener::bind((*ip, port)).map_err(|error| {
                        std::io::Error::new(error.kind(), format!("{ip}:{port} is not free ({error})"))
                    })
                })
                .collect()
        };
        match self.settle(asked, old, bind) {
            Ok((port, held)) => {
                self.tcp.extend(held);
                port
            }
            Err(error) => self.give_up(flag, &error),
        }
    }

    fn next_or_any(&mut self, flag: &str, asked: u16) -> u16 {
        let local = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let free = asked != 0
            && !self.chosen.contains(&asked)
            && TcpListener::bind((Ipv4Addr::LOCALHOST, asked)).is_ok();
        self.tcp(flag, if free { asked } else { 0 }, None, &local)
    }

    fn udp(&mut self, flag: &str, asked: u16, old: Option<u16>) -> u16 {
        let bind = |port: u16| {
            UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                std::io::Error::new(error.kind(), format!("UDP 127.0.0.1:{port} is not free ({error})"))
            })
        };
        match self.settle(asked, old, bind) {
            Ok((port, held)) => {
                self.udp.push(held);
                port
            }
            Err(error) => self.give_up(flag, &error),
        }
    }

    fn settle<T>(
        &mut self,
        asked: u16,
        old: Option<u16>,
        bind: impl Fn(u16) -> std::io::Result<T>,
    ) -> std::io::Result<(u16, T)> {
        if asked != 0 {
            let held = bind(asked)?;
            self.chosen.insert(asked);
            return Ok((asked, held));
        }
        let candidates = old.into_iter().chain(std::iter::repeat_with(random_port)).take(CHOOSE_TRIES);
        for port in candidates {
            if !self.chosen.contains(&port)
                && let Some(claim) = claim(port)?
                && let Ok(held) = bind(port)
            {
                self.claims.push(claim);
                self.chosen.insert(port);
                return Ok((port, held));
            }
        }
        Err(std::io::Error::other("no free port found"))
    }

    fn give_up(&mut self, flag: &str, error: &std::io::Error) -> u16 {
        self.taken.push(format!("  {error}: choose another with {flag}"));
        0
    }

    fn finish(self) -> Result<Claims, Error> {
        if self.taken.is_empty() {
            return Ok(Claims(self.claims));
        }
        Err(Error::Usage(format!(
            "these ports are taken, perhaps by another cluster or testnet (0 chooses a free one):\n{}",
            self.taken.join("\n")
        )))
    }
}

/// Random, so that clusters started at the same moment hardly ever try the same port.
fn random_port() -> u16 {
    CHOSEN_FIRST + (uuid::Uuid::new_v4().as_u128() % u128::from(CHOSEN_COUNT)) as u16
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapped {
        #[command(flatten)]
        args: DevArgs,
    }

    fn any() -> DevArgs {
        let zero = ["http", "tls", "admin", "dht", "pkarr-relay", "http-relay", "node", "probe", "metrics"];
        let flags = zero.iter().map(|name| format!("--{name}-port=0"));
        Wrapped::parse_from(std::iter::once("dev".to_owned()).chain(flags)).args
    }

    #[test]
    fn chosen_ports_are_distinct_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let remember = dir.path().join("ports.json");
        let (first, claims) = Ports::settle(&any(), &remember).unwrap();
        let mut all = vec![first.http, first.tls, first.admin, first.pkarr_relay, first.http_relay];
        all.extend(&first.nodes);
        let distinct: BTreeSet<u16> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(!distinct.contains(&0));
        drop(claims);
        assert_eq!(Ports::settle(&any(), &remember).unwrap().0, first);
    }

    #[test]
    fn no_other_cluster_chooses_what_a_running_one_has_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, theirs) = (dir.path().join("mine.json"), dir.path().join("theirs.json"));
        let (first, claims) = Ports::settle(&any(), &mine).unwrap();
        std::fs::copy(&mine, &theirs).unwrap();
        let (second, _theirs) = Ports::settle(&any(), &theirs).unwrap();
        for (one, other) in
            first.nodes.iter().chain(&first.probes).zip(second.nodes.iter().chain(&second.probes))
        {
            assert_ne!(one, other, "claimed, although nothing listens there");
        }
        assert_ne!(first.dht, second.dht);
        drop(claims);
        std::fs::copy(&mine, &theirs).unwrap();
        assert_eq!(Ports::settle(&any(), &theirs).unwrap().0, first, "what ended has no claims");
    }

    #[test]
    fn claims_lie_in_no_folder_that_others_may_write_to() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, linked) = (dir.path().join("mine"), dir.path().join("linked"));
        let user = std::fs::metadata(dir.path()).unwrap().uid();
        own_folder(&mine, user).unwrap();
        own_folder(&mine, user).unwrap();
        std::os::unix::fs::symlink(&mine, &linked).unwrap();
        assert!(own_folder(&linked, user).is_err(), "a link");
        assert!(own_folder(&mine, user + 1).is_err(), "another user's");
        std::fs::set_permissions(&mine, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert!(own_folder(&mine, user).is_err(), "writable for everybody");
    }

    #[test]
    fn a_folder_keeps_the_number_of_its_nodes_and_takes_more() {
        let dir = tempfile::tempdir().unwrap();
        let remember = dir.path().join("ports.json");
        let (first, claims) = Ports::settle(&any(), &remember).unwrap();
        assert_eq!((first.nodes.len(), first.probes.len(), first.metrics.len()), (3, 5, 5));
        let (grown, more) = first.with_another_node(&any(), &remember).unwrap();
        assert_eq!(grown.nodes[..3], first.nodes);
        assert_eq!((&grown.probes[..3], &grown.probes[4..]), (&first.probes[..3], &first.probes[3..]));
        assert_eq!((&grown.metrics[..5], grown.metrics.len()), (&first.metrics[..], 6));
        drop((claims, more));
        assert_eq!(Ports::settle(&any(), &remember).unwrap().0, grown);
        let asking = |nodes| DevArgs { nodes: Some(nodes), ..any() };
        assert_eq!(Ports::settle(&asking(5), &remember).unwrap().0.nodes[..4], grown.nodes);
        let error = Ports::settle(&asking(3), &remember).unwrap_err();
        assert!(error.to_string().contains("has 5 nodes"), "{error}");
    }

    #[test]
    fn a_remembered_port_that_was_taken_meanwhile_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let remember = dir.path().join("ports.json");
        let (first, claims) = Ports::settle(&any(), &remember).unwrap();
        drop(claims);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first.nodes[1])).unwrap();
        let (second, _claims) = Ports::settle(&any(), &remember).unwrap();
        assert_ne!(second.nodes[1], first.nodes[1]);
        assert_eq!(second.nodes[0], first.nodes[0]);
    }

    #[test]
    fn every_taken_port_is_named_with_its_flag() {
        let dir = tempfile::tempdir().unwrap();
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dht = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (http_port, dht_port) = (http.local_addr().unwrap().port(), dht.local_addr().unwrap().port());
        let mut args = DevArgs { http_port, ..any() };
        args.testnet.dht_port = dht_port;
        let error = Ports::settle(&args, &dir.path().join("ports.json")).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::EXIT_USAGE);
        let text = error.to_string();
        for part in ["--http-port", "--dht-port", &http_port.to_string(), &dht_port.to_string()] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
