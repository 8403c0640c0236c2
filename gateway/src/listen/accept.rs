//! Accept loops. A connection beyond the cap is closed at once: its client may try another gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Http, Tls, serve};
use crate::Error;

/// After an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections the kernel holds while the loop is busy: a burst of probes and of clients that lost
/// their gateway.
const BACKLOG: i32 = 4096;

pub struct Listener {
    pub socket: TcpListener,
    pub http: Http,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Shared by all listeners of a gateway.
    pub connections: Arc<Semaphore>,
    pub life: Life,
}

/// How long accept loops and connections run.
#[derive(Clone, Default)]
pub struct Life {
    pub tasks: TaskTracker,
    /// Accept no more, end after the request in flight.
    pub stop: CancellationToken,
    /// End now.
    pub end: CancellationToken,
}

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
        loop {
            let accepted = tokio::select! {
                () = self.life.stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            tracing::debug!(%peer, "too many connections");
            return;
        };
        // Answers are small and clients wait for them: never hold one back for an acknowledgement.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let (http, tls, stop) = (self.http.clone(), self.tls.clone(), self.life.stop.clone());
        let end = self.life.end.clone();
        self.life.tasks.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = serve(stream, peer, http, tls, stop) => {}
            }
            drop(permit);
        });
    }
}

/// The client went away before it was accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
