//! Accepts connections. Those that must show a certificate do so each in a task of its own, with a deadline,
//! so that a slow or silent one holds up nobody.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::tls::{Certificates, Connection, Seldom};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

/// Connections handed to the server beyond the one it takes.
pub const ACCEPTED_AHEAD: usize = 16;
/// More than a cluster's nodes and gateways dial at once; beyond it connections are closed.
const HANDSHAKES_MAX: usize = 256;
/// Two round trips and two signatures, on a busy machine.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// After an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Until nobody takes connections any more.
pub async fn accept(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    ready: mpsc::Sender<Connection>,
) {
    let refusals = Arc::<Seldom>::default();
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            Some(_ended) = handshakes.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Frames are small and waited for: never hold one back for an acknowledgement.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let Some(certificates) = &certificates else {
            if ready.send(Connection::Plain(stream)).await.is_err() {
                return;
            }
            continue;
        };
        if handshakes.len() < HANDSHAKES_MAX {
            let (certificates, refusals) = (Arc::clone(certificates), Arc::clone(&refusals));
            handshakes.spawn(shake(stream, peer, certificates, refusals, ready.clone()));
        } else if refusals.is_due("too many") {
            warn!(%peer, "too many connections that have not shown a certificate yet");
        }
    }
}

async fn shake(
    stream: TcpStream,
    peer: SocketAddr,
    certificates: Arc<Certificates>,
    refusals: Arc<Seldom>,
    ready: mpsc::Sender<Connection>,
) {
    match timeout(HANDSHAKE_DEADLINE, Connection::secured(stream, &certificates)).await {
        // A server that stops takes no more.
        Ok(Ok(connection)) => drop(ready.send(connection).await),
        // Whoever only looks whether the port is open says nothing of interest.
        Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => {
            if refusals.is_due(&peer.ip().to_string()) {
                warn!(%peer, %error, "connection refused: no certificate of this cluster");
            }
        }
        Ok(Err(error)) => debug!(%peer, %error, "no handshake"),
        Err(_elapsed) => debug!(%peer, "the handshake took too long"),
    }
}

/// The client went away before it was accepted.
fn is_of_one_connection(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
