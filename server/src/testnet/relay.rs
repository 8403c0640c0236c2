//! The pkarr relay on the port clients expect.
//!
//! The relay crate's only safe entry chooses its own port, so a small forwarder stands in front of it. That also keeps
//! the expected port on loopback. Owns the forwarder's tasks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;

use rowhouse_proto::causes;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The relay itself takes no more connections than this.
const CONNECTIONS_MAX: usize = 1_024;
/// The relay's own DHT node would take this port if it found it free; it is not ours to give.
const DHT_DEFAULT_PORT: u16 = 6881;

/// A running pkarr relay, and the listener in front of it.
pub struct PkarrRelay {
    relay: pkarr_relay::Relay,
    listener: TcpListener,
    /// Where clients reach it.
    pub address: SocketAddr,
}

impl PkarrRelay {
    /// Listens on loopback; port 0 takes a free one. `bootstrap` are the DHT nodes it publishes to. Fails if the port
    /// is taken or the relay does not start.
    pub async fn start(port: u16, bootstrap: &[SocketAddrV4]) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
            let text =
                format!("port {port} of the pkarr relay: {error}; choose another with --pkarr-relay-port");
            io::Error::new(error.kind(), text)
        })?;
        let kept_free = UdpSocket::bind((Ipv4Addr::LOCALHOST, DHT_DEFAULT_PORT));
        let relay = pkarr_relay::Relay::run_test(bootstrap).await;
        let relay = relay.map_err(|error| io::Error::other(causes(error.as_ref())))?;
        drop(kept_free);
        let address = listener.local_addr()?;
        Ok(Self { relay, listener, address })
    }

    /// Forwards connections until cancelled (dropped).
    pub async fn serve(self) {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, self.relay.relay_address().port()));
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept() => {
                    let (Ok((client, _)), Ok(slot)) = (accepted, slots.clone().try_acquire_owned()) else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    connections.spawn(async move {
                        if let Err(error) = forward(client, target).await {
                            tracing::debug!(%error, "a relay connection ended");
                        }
                        drop(slot);
                    });
                }
            }
        }
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut relay = TcpStream::connect(target).await?;
    relay.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut relay).await.map(drop)
}
