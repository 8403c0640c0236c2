//! `cluster.json`: what runs where, for scripts and tests. Rewritten whole at every change.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::plan::{Component, Kind};
use super::ports::Ports;

/// File in the data folder that tells scripts what runs where.
pub const CLUSTER_FILE: &str = "cluster.json";
/// Version of this file's form; fields are only ever added within one.
const VERSION: u32 = 1;

/// The content of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterFile {
    /// Always 1 so far.
    pub version: u32,
    /// Process id of `rowhouse dev`.
    pub supervisor_pid: u32,
    /// The homeserver's public key, z-base-32.
    pub homeserver: String,
    /// Folder of the whole cluster.
    pub data_dir: PathBuf,
    /// Everything answers and the homeserver's record can be found.
    pub ready: bool,
    /// The ports in use.
    pub ports: Ports,
    /// IPv4 addresses of the gateways, one gateway each.
    pub gateway_ips: Vec<String>,
    /// With mutual TLS: folder of ca.pem and each component's NAME.pem and NAME.key; `operator` is for `ctl`.
    pub certs: Option<PathBuf>,
    /// host:port to bootstrap a DHT client from.
    pub dht_bootstrap: Vec<String>,
    /// Everything that `rowhouse dev` runs, in the order of starting.
    pub components: Vec<Entry>,
}

/// One component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// For example `node-1`; also the name of its folder.
    pub name: String,
    /// Its part in the cluster.
    pub kind: Kind,
    /// Absent while it does not run.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// Its listeners. People use the first.
    pub addresses: Vec<Address>,
    /// Its folder.
    pub data_dir: PathBuf,
    /// File of its log.
    pub output: PathBuf,
}

/// One listener of a component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    /// Its purpose, for example `HTTP` or `probes`.
    pub what: String,
    /// host:port, with `/udp` behind it for a UDP port.
    pub address: String,
}

impl ClusterFile {
    /// A cluster of this process, with no components yet.
    pub fn new(homeserver: String, data_dir: PathBuf, ports: Ports, gateway_ips: Vec<String>) -> Self {
        Self {
            version: VERSION,
            supervisor_pid: std::process::id(),
            homeserver,
            data_dir,
            ready: false,
            certs: None,
            dht_bootstrap: vec![format!("127.0.0.1:{}", ports.dht)],
            ports,
            gateway_ips,
            components: Vec::new(),
        }
    }
}

impl Entry {
    /// A component that was not started yet.
    pub fn new(component: &Component) -> Self {
        let addresses = component
            .addresses
            .iter()
            .map(|(what, address)| Address { what: (*what).to_owned(), address: address.clone() })
            .collect();
        Self {
            name: component.name.clone(),
            kind: component.kind,
            pid: None,
            restarts: 0,
            addresses,
            data_dir: component.data_dir.clone(),
            output: component.log_file(),
        }
    }

    /// The first of its addresses: the one people use.
    pub fn first_address(&self) -> Option<&str> {
        self.addresses.first().map(|address| address.address.as_str())
    }
}
