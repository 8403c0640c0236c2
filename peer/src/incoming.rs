//! The connections that a node accepts. Where certificates are demanded each connection shows its own in a task of
//! its own, with a deadline, so that a slow or silent caller holds up nobody.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::accept::accept;
use crate::{Certificates, Connection, LogThrottle};

/// Places in the queue of connections that the server has not taken yet: the capacity for `ready`.
pub const ACCEPTED_AHEAD: usize = 16;
/// More than a cluster's nodes and gateways dial at once; beyond it connections are closed.
const HANDSHAKES_MAX: usize = 256;
/// Two round trips and two signatures, on a busy machine.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Hands accepted connections to `ready` until its receiver is dropped. With `certificates` only callers of the same
/// cluster come through, after their handshake; without any, every caller does, in plaintext. Connections that wait
/// for their handshake are bounded in number and time.
pub async fn accept_callers(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    ready: mpsc::Sender<Connection>,
) {
    let refusals = Arc::<LogThrottle>::default();
    let mut handshakes = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = ready.closed() => return,
            Some(_ended) = handshakes.join_next() => continue,
            accepted = accept(&listener) => accepted,
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
            handshakes.spawn(handshake(stream, peer, certificates, refusals, ready.clone()));
        } else if refusals.is_due("too many") {
            warn!(%peer, "too many connections that have not shown a certificate yet");
        }
    }
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    certificates: Arc<Certificates>,
    refusals: Arc<LogThrottle>,
    ready: mpsc::Sender<Connection>,
) {
    match timeout(HANDSHAKE_DEADLINE, Connection::secured(stream, &certificates)).await {
        // A server that stops takes no more.
        Ok(Ok(connection)) => drop(ready.send(connection).await),
        // A probe that only looks whether the port is open is of no interest.
        Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => {
            if refusals.is_due(&peer.ip().to_string()) {
                warn!(%peer, %error, "connection refused: no certificate of this cluster");
            }
        }
        Ok(Err(error)) => debug!(%peer, %error, "no handshake"),
        Err(_elapsed) => debug!(%peer, "the handshake took too long"),
    }
}
