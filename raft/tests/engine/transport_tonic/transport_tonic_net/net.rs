//! The nodes of one cluster: their servers, and the directory that names their proxies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt;
use openraft::AsyncRuntime;
use rowhouse_peer::{Authority, Certificates, Connection, Dialer, Role};
use rowhouse_raft::runtime::Production;
use rowhouse_raft::transport::{Directory, NodeUuid, Peer, TonicWire};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use super::certificates::{authority, certificates};
use super::proxy::Proxy;

pub const CLUSTER: [u8; 16] = [1; 16];

pub struct Net {
    directory: Arc<TestDirectory>,
    servers: Mutex<BTreeMap<u8, SocketAddr>>,
    running: Mutex<BTreeMap<u8, Running>>,
    /// Signs the nodes' certificates; without it the net is plaintext.
    authority: Option<Authority>,
}

/// Tells a server to stop, and ends when it has drained.
type Running = (oneshot::Sender<()>, <Production as AsyncRuntime>::JoinHandle<()>);

struct TestDirectory {
    cluster: [u8; 16],
    proxies: Mutex<BTreeMap<NodeUuid, Arc<Proxy>>>,
}

impl TestDirectory {
    fn proxies(&self) -> MutexGuard<'_, BTreeMap<NodeUuid, Arc<Proxy>>> {
        self.proxies.lock().expect("no panic with the lock")
    }
}

impl Directory for TestDirectory {
    fn cluster_id(&self) -> Option<[u8; 16]> {
        Some(self.cluster)
    }

    fn peer(&self, node: NodeUuid) -> Option<Peer> {
        let address = self.proxies().get(&node)?.address.to_string();
        Some(Peer { address, name: name(node[0]) })
    }
}

impl Net {
    pub fn new(cluster: [u8; 16]) -> Self {
        let directory = TestDirectory { cluster, proxies: Mutex::default() };
        Self {
            directory: Arc::new(directory),
            servers: Mutex::default(),
            running: Mutex::default(),
            authority: None,
        }
    }

    /// With mutual TLS.
    pub fn secured(cluster: [u8; 16]) -> Self {
        Self { authority: Some(authority()), ..Self::new(cluster) }
    }

    /// A certificate of this net; `None` without mutual TLS.
    pub fn certificates(&self, role: Role, name: &str) -> Option<Arc<Certificates>> {
        self.authority.as_ref().map(|authority| certificates(authority, role, name))
    }

    /// Starts a node's server behind a proxy.
    pub async fn serve(&self, number: u8) -> Arc<TonicWire> {
        self.serve_with(number, self.certificates(Role::Node, &name(number))).await
    }

    /// The same, with a certificate of somebody else.
    pub async fn serve_with(&self, number: u8, shown: Option<Arc<Certificates>>) -> Arc<TonicWire> {
        let dialer = Dialer::new(shown.clone());
        let wire = Arc::new(TonicWire::new([number; 16], self.directory.clone(), dialer));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Server::builder().tcp_nodelay(true).add_service(wire.server());
        let (stop, stopping) = oneshot::channel::<()>();
        let connections = TcpListenerStream::new(listener).filter_map(move |accepted| {
            let shown = shown.clone();
            async move { connection(accepted.ok()?, shown).await }
        });
        let connections = connections.map(Ok::<_, std::io::Error>).boxed();
        let serving = server.serve_with_incoming_shutdown(connections, async {
            // Dropping the net stops its servers too.
            drop(stopping.await);
        });
        let running = Production::spawn(async { serving.await.expect("it served") });
        self.running.lock().expect("no panic with the lock").insert(number, (stop, running));
        self.servers.lock().expect("no panic with the lock").insert(number, address);
        self.relocate(number).await;
        wire
    }

    /// Asks a node's server to stop, and waits until it has no connection left.
    pub async fn drain(&self, number: u8) {
        let running = self.running.lock().expect("no panic with the lock").remove(&number);
        let (stop, running) = running.expect("it serves");
        drop(stop);
        running.await.expect("no panic in the server");
    }

    /// Gives a node a new address; the old one is dead.
    pub async fn relocate(&self, number: u8) {
        let target = self.servers.lock().expect("no panic with the lock")[&number];
        let proxy = Proxy::start(target).await;
        if let Some(old) = self.directory.proxies().insert([number; 16], proxy) {
            old.cut();
        }
    }

    /// Adds a node of another net to this directory.
    pub fn learn(&self, number: u8, other: &Self) {
        let proxy = other.proxy(number);
        self.directory.proxies().insert([number; 16], proxy);
    }

    /// Breaks every connection to a node and lets none through.
    pub fn cut(&self, number: u8) {
        self.proxy(number).cut();
    }

    pub fn mend(&self, number: u8) {
        self.proxy(number).mend();
    }

    /// Connections made to a node's present address.
    pub fn dialled(&self, number: u8) -> usize {
        self.proxy(number).accepted()
    }

    pub fn address(&self, number: u8) -> Option<String> {
        self.directory.peer([number; 16]).map(|peer| peer.address)
    }

    fn proxy(&self, number: u8) -> Arc<Proxy> {
        self.directory.proxies()[&[number; 16]].clone()
    }
}

pub fn name(number: u8) -> String {
    format!("n{number}")
}

/// `None`: not one of us.
async fn connection(stream: TcpStream, shown: Option<Arc<Certificates>>) -> Option<Connection> {
    match shown {
        None => Some(Connection::Plain(stream)),
        Some(shown) => Connection::secured(stream, &shown).await.ok(),
    }
}
