//! Accept loops. A connection beyond the cap is closed at once: its client may try another gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use rowhouse_peer::accept;
use tcp_client_addr::ProxyProtocol;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::connection::{Http, Tls, serve};
use super::identity::identify;
use super::life::Life;
use crate::Error;

/// Connections the kernel holds while the loop is busy: a burst of probes and of clients that lost
/// their gateway.
const BACKLOG: i32 = 4096;

/// One listening socket and the door behind it.
pub struct Listener {
    pub socket: TcpListener,
    pub door: Door,
}

/// Lets connections in.
pub struct Door {
    pub http: Http,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// `None`: who connects is the client. Otherwise only these proxies may connect, and name it.
    pub proxies: Option<ProxyProtocol>,
    /// Shared by all listeners of a gateway.
    pub connections: Arc<Semaphore>,
    pub life: Life,
}

/// Listens on an address at once: connections queue in the kernel until `Listener::run`.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address).map_err(|source| Error::Listen { address, source })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // A restarted gateway takes its port back from connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Listener {
    /// Accepts until `stop`; connections run on among the tasks.
    pub async fn run(self) {
        let Self { socket, door } = self;
        loop {
            tokio::select! {
                () = door.life.stop.cancelled() => return close(socket, &door),
                (stream, peer) = accept(&socket) => door.admit(stream, peer),
            }
        }
    }
}

/// Takes the connections that the kernel has accepted, then closes the port. Later clients are refused at once and turn
/// to another gateway, instead of waiting in a queue that nobody serves.
fn close(socket: TcpListener, door: &Door) {
    let Ok(socket) = socket.into_std() else { return };
    for _ in 0..BACKLOG {
        let Ok((stream, peer)) = socket.accept() else { return };
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            door.admit(stream, peer);
        }
    }
}

impl Door {
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            tracing::debug!(%peer, "too many connections");
            return;
        };
        // Answers are small and clients wait for them: never hold one back for an acknowledgement.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let (http, tls, life) = (self.http.clone(), self.tls.clone(), self.life.clone());
        let proxies = self.proxies.clone();
        self.life.tasks.spawn(async move {
            let served = async {
                let Some((stream, client)) = identify(stream, peer, proxies).await else { return };
                serve(stream, client, http, tls, &life).await;
            };
            tokio::select! {
                () = life.end.cancelled() => {}
                () = served => {}
            }
            drop(permit);
        });
    }
}
