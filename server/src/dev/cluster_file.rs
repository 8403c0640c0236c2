//! `cluster.json`: what runs where, for scripts and tests. Rewritten whole at every change.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::plan::{Component, Kind};
use super::ports::Ports;

/// File in the data folder that tells scripts what runs where.
pub const CLUSTER_FILE: &str = "cluster.json";
/// Version of this file's form; fields are only ever added within one.
const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterFile {
    pub version: u32,
    pub supervisor_pid: u32,
    /// The homeserver's public key, z-base-32.
    pub homeserver: String,
    pub data_dir: PathBuf,
    /// Everything answers and the homeserver's record can be found.
    pub ready: bool,
    pub ports: Ports,
    pub gateway_ips: Vec<String>,
    /// With mutual TLS: folder of ca.pem and each component's NAME.pem and NAME.key; `operator` is for `ctl`.
    pub certs: Option<PathBuf>,
    /// host:port to bootstrap a DHT client from.
    pub dht_bootstrap: Vec<String>,
    pub components: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub kind: Kind,
    /// Absent while it does not run.
    pub pid: Option<u32>,
    pub restarts: u64,
    pub addresses: Vec<Address>,
    pub data_dir: PathBuf,
    pub output: PathBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    pub what: String,
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
