//! `cluster.json`, which `rowhouse dev` keeps up to date: what runs where.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Testnet,
    Node,
    Gateway,
}

/// `cluster.json` of a `rowhouse dev` cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct ClusterFile {
    pub supervisor_pid: u32,
    pub homeserver: String,
    pub ready: bool,
    pub ports: Ports,
    /// With mutual TLS.
    pub certs: Option<PathBuf>,
    pub dht_bootstrap: Vec<String>,
    pub components: Vec<Component>,
}

/// Ports shared by all gateways.
#[derive(Clone, Debug, Deserialize)]
pub struct Ports {
    pub http: u16,
    pub tls: u16,
    pub admin: u16,
    pub pkarr_relay: u16,
}

/// One process of the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Component {
    pub name: String,
    pub kind: Kind,
    pub pid: Option<u32>,
    pub addresses: Vec<Address>,
    pub output: PathBuf,
}

/// One listener of a component.
#[derive(Clone, Debug, Deserialize)]
pub struct Address {
    pub what: String,
    pub address: String,
}

impl ClusterFile {
    /// Reads the file; fails if it is missing or not JSON of this form.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Cluster(format!("{}: {error}", path.display())))
    }

    /// Components of one kind, in the file's order.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Component> {
        self.components.iter().filter(move |component| component.kind == kind)
    }
}

impl Component {
    /// The component's listener of this name; fails if it has none.
    pub fn address(&self, what: &str) -> Result<SocketAddr, Error> {
        let named = self.addresses.iter().find(|address| address.what == what);
        let address = named.and_then(|named| named.address.parse().ok());
        address.ok_or_else(|| Error::Cluster(format!("{} has no address for {what}", self.name)))
    }

    /// The first TCP address it listens on: gRPC of a node, plain HTTP of a gateway, the testnet's relay.
    pub fn first_address(&self) -> Result<SocketAddr, Error> {
        let first = self.addresses.iter().find_map(|address| address.address.parse().ok());
        first.ok_or_else(|| Error::Cluster(format!("{} has no address", self.name)))
    }
}
