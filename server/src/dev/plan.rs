//! The components of the cluster: their folders, addresses and command lines.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::DevArgs;
use super::certs;
use super::ports::Ports;

/// The name browsers use; the reference testnet's too.
const ICANN_DOMAIN: &str = "localhost";
/// The name of a probe listener in the table and the cluster file.
const PROBES: &str = "probes";
/// The name of a metrics listener there.
const METRICS: &str = "metrics";
/// Development only: it listens on loopback.
const ADMIN_PASSWORD: &str = "admin";
/// A cluster on a person's machine must not refuse to work because the disk is rather full.
const FREE_SPACE_MIN_MIB: u64 = 64;
const DISK_USED_PERCENT_MAX: u64 = 99;

/// The part a component has in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Testnet,
    Node,
    Gateway,
}

/// One process of the cluster: where it lives and how it is started.
#[derive(Clone, Debug)]
pub struct Component {
    /// For example `node-1`; also the name of its folder.
    pub name: String,
    /// Its part in the cluster.
    pub kind: Kind,
    /// Its folder.
    pub data_dir: PathBuf,
    /// Its listeners, for people and scripts: (purpose, address).
    pub addresses: Vec<(&'static str, String)>,
    /// Arguments of this program that start it.
    pub command: Vec<String>,
    /// A UDP port that others would take while this does not run: DHT clients try it first.
    pub guarded: Option<SocketAddrV4>,
}

impl Component {
    /// Where this component's output is kept.
    pub fn log_file(&self) -> PathBuf {
        self.data_dir.join("output.log")
    }
}

/// File of the homeserver's secret key in the cluster's folder.
pub fn secret_file(root: &Path) -> PathBuf {
    root.join("homeserver.secret")
}

/// The file that the testnet writes once it answers.
pub fn testnet_ready_file(root: &Path) -> PathBuf {
    root.join("testnet").join("ready.json")
}

/// All components, in the order in which they are started.
pub fn components(root: &Path, args: &DevArgs, ports: &Ports) -> Vec<Component> {
    let mut all = vec![testnet(root, ports)];
    all.extend((0..ports.nodes.len()).map(|index| node(root, args, ports, index)));
    all.extend((0..args.gateway_ips.len()).map(|index| gateway(root, args, ports, index)));
    all
}

/// host:port of every node, in their order.
pub fn node_addresses(ports: &Ports) -> Vec<String> {
    ports.nodes.iter().map(|port| format!("127.0.0.1:{port}")).collect()
}

fn testnet(root: &Path, ports: &Ports) -> Component {
    let data_dir = root.join("testnet");
    let command = flags(
        &["testnet"],
        &[
            ("--data-dir", path(&data_dir)),
            ("--dht-port", ports.dht.to_string()),
            ("--pkarr-relay-port", ports.pkarr_relay.to_string()),
            ("--http-relay-port", ports.http_relay.to_string()),
            ("--ready-file", path(&testnet_ready_file(root))),
        ],
    );
    let addresses = vec![
        ("DHT", format!("127.0.0.1:{}/udp", ports.dht)),
        ("pkarr relay", format!("127.0.0.1:{}", ports.pkarr_relay)),
        ("HTTP relay", format!("127.0.0.1:{}", ports.http_relay)),
    ];
    let guarded = Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports.dht));
    Component { name: "testnet".into(), kind: Kind::Testnet, data_dir, addresses, command, guarded }
}

/// The storage node with this place among the ports.
pub fn node(root: &Path, args: &DevArgs, ports: &Ports, index: usize) -> Component {
    let name = format!("node-{}", index + 1);
    let data_dir = root.join(&name);
    let all = node_addresses(ports);
    let address = all[index].clone();
    let mut pairs = vec![
        ("--data-dir", path(&data_dir)),
        ("--listen", address.clone()),
        ("--name", name.clone()),
        ("--homeserver-secret-file", path(&secret_file(root))),
        ("--dht-bootstrap", format!("127.0.0.1:{}", ports.dht)),
        ("--free-space-min-mib", FREE_SPACE_MIN_MIB.to_string()),
        // A developer's disk is full of other things.
        ("--disk-used-percent-max", DISK_USED_PERCENT_MAX.to_string()),
    ];
    pairs.extend(all.into_iter().filter(|other| *other != address).map(|other| ("--seed", other)));
    let probes = format!("127.0.0.1:{}", ports.probes[index]);
    pairs.push(("--probe-listen", probes.clone()));
    let metrics = format!("127.0.0.1:{}", ports.metrics[args.gateway_ips.len() + index]);
    pairs.push(("--metrics-listen", metrics.clone()));
    pairs.extend(tls_flags(root, args, &name));
    let mut command = flags(&["node"], &pairs);
    command.extend(args.node_flags.iter().cloned());
    let addresses = vec![("gRPC", address), (PROBES, probes), (METRICS, metrics)];
    Component { name, kind: Kind::Node, data_dir, addresses, command, guarded: None }
}

fn gateway(root: &Path, args: &DevArgs, ports: &Ports, index: usize) -> Component {
    let name = format!("gateway-{}", index + 1);
    let data_dir = root.join(&name);
    let ip = args.gateway_ips[index];
    let mut addresses =
        vec![("HTTP", format!("{ip}:{}", ports.http)), ("Pubky TLS", format!("{ip}:{}", ports.tls))];
    let mut pairs = vec![
        ("--http-listen", addresses[0].1.clone()),
        ("--tls-listen", addresses[1].1.clone()),
        ("--homeserver-secret-file", path(&secret_file(root))),
        ("--public-ip", ip.to_string()),
        ("--icann-domain", ICANN_DOMAIN.to_owned()),
        ("--trace-source", "127.0.0.0/8".to_owned()),
    ];
    pairs.extend(node_addresses(ports).into_iter().map(|node| ("--node", node)));
    if index == 0 {
        let admin = format!("{ip}:{}", ports.admin);
        pairs.push(("--admin-listen", admin.clone()));
        pairs.push(("--admin-password", ADMIN_PASSWORD.to_owned()));
        addresses.push(("admin", admin));
    }
    let probes = format!("127.0.0.1:{}", ports.probes[ports.nodes.len() + index]);
    pairs.push(("--probe-listen", probes.clone()));
    addresses.push((PROBES, probes));
    let metrics = format!("127.0.0.1:{}", ports.metrics[index]);
    pairs.push(("--metrics-listen", metrics.clone()));
    addresses.push((METRICS, metrics));
    pairs.extend(tls_flags(root, args, &name));
    let mut command = flags(&["gateway", "--development"], &pairs);
    command.extend(args.gateway_flags.iter().cloned());
    Component { name, kind: Kind::Gateway, data_dir, addresses, command, guarded: None }
}

fn tls_flags(root: &Path, args: &DevArgs, name: &str) -> Vec<(&'static str, String)> {
    if args.mtls { certs::tls_args(root, name).to_flags() } else { Vec::new() }
}

fn flags(head: &[&str], pairs: &[(&str, String)]) -> Vec<String> {
    let mut all: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    all.extend(pairs.iter().map(|(flag, value)| format!("{flag}={value}")));
    all
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
