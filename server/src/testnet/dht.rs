//! Three DHT nodes on loopback that know each other from the start.
//!
//! Each has the other two as bootstrap nodes, so that none takes a passing client into its routing table. Lookups would
//! wait for clients that have left. Deliberately absent: peers and immutable values (allowed, never kept).

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::Duration;

use mainline::async_dht::AsyncDht;
use mainline::{Config, Dht, ServerSettings};

use super::observe::Observer;
use crate::records::RECORDS_MAX;

/// Tries to let the nodes find each other before the testnet gives up: 30 s.
const MEET_TRIES: u32 = 300;
/// Pause between two of these tries.
const MEET_PAUSE: Duration = Duration::from_millis(100);
/// Loopback answers in well under a millisecond; this leaves room for a machine that compiles meanwhile.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// The three running DHT nodes. They stop when this is dropped.
pub struct Nodes {
    /// The one clients bootstrap from comes first.
    pub addresses: Vec<SocketAddrV4>,
    nodes: Vec<AsyncDht>,
}

impl Nodes {
    /// Starts all three and waits until they know each other. The first listens on UDP `port`.
    ///
    /// `ports_file` remembers the ports of the other two, so that clients that live on find them again. Fails if `port`
    /// is taken, the file cannot be written, or the nodes do not meet within 30 s.
    pub async fn start(port: u16, ports_file: &Path, observer: &Observer) -> io::Result<Self> {
        let addresses = choose_addresses(port, ports_file)?;
        let nodes = addresses
            .iter()
            .map(|address| start_node(*address, &addresses, observer))
            .collect::<io::Result<Vec<_>>>()?;
        let started = Self { addresses, nodes };
        started.meet().await?;
        Ok(started)
    }

    /// Waits until each node has both others in its routing table.
    async fn meet(&self) -> io::Result<()> {
        for node in &self.nodes {
            let own = *node.info().await.id();
            for attempt in 0.. {
                node.find_node(own).await;
                if node.to_bootstrap().await.len() >= self.nodes.len() - 1 {
                    break;
                }
                if attempt == MEET_TRIES {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the DHT nodes did not find each other",
                    ));
                }
                tokio::time::sleep(MEET_PAUSE).await;
            }
        }
        Ok(())
    }
}

fn start_node(address: SocketAddrV4, all: &[SocketAddrV4], observer: &Observer) -> io::Result<AsyncDht> {
    let config = Config {
        bootstrap: Some(all.iter().copied().filter(|other| *other != address).collect()),
        port: Some(address.port()),
        bind_address: Some(*address.ip()),
        server_mode: true,
        request_timeout: REQUEST_TIMEOUT,
        server_settings: ServerSettings {
            max_mutable_values: RECORDS_MAX,
            filter: Box::new(observer.clone()),
            ..ServerSettings::default()
        },
        ..Config::default()
    };
    Ok(Dht::new(config)?.as_async())
}

fn choose_addresses(port: u16, ports_file: &Path) -> io::Result<Vec<SocketAddrV4>> {
    let remembered: Vec<u16> = std::fs::read(ports_file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    // Held together until all are chosen, so that no port is chosen twice.
    let mut held = vec![bind(port).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("UDP port {port} of the DHT: {error}; choose another with --dht-port"),
        )
    })?];
    for index in 0..2 {
        let kept = remembered.get(index).and_then(|port| bind(*port).ok());
        held.push(match kept {
            Some(socket) => socket,
            None => bind(0)?,
        });
    }
    let addresses = held
        .iter()
        .map(|socket| match socket.local_addr()? {
            SocketAddr::V4(address) => Ok(address),
            SocketAddr::V6(_) => Err(io::Error::other("an IPv4 socket has an IPv6 address")),
        })
        .collect::<io::Result<Vec<_>>>()?;
    let ports: Vec<u16> = addresses[1..].iter().map(SocketAddrV4::port).collect();
    std::fs::write(ports_file, serde_json::to_vec(&ports)?)?;
    Ok(addresses)
}

fn bind(port: u16) -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port))
}
