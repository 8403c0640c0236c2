//! Clients that write all they have before they read, over plain HTTP and over Pubky TLS.

use std::net::SocketAddr;
use std::time::Duration;

use rowhouse_chaos_tests::cluster::Kind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tls;
use super::world::World;

/// Nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Written at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Plain or encrypted.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where a client may connect.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    Plain,
    Tls,
    /// The operator's listener.
    Admin,
}

pub async fn open(world: &World, door: Door) -> Box<dyn Stream> {
    let plain = async |address: SocketAddr| TcpStream::connect(address).await.expect("it listens");
    match door {
        Door::Plain => Box::new(plain(world.address).await),
        Door::Admin => Box::new(plain(listener(world, "admin")).await),
        Door::Tls => {
            let address = listener(world, "Pubky TLS");
            Box::new(tls::open(address, &world.homeserver).await.expect("a handshake"))
        }
    }
}

/// A listener of the first gateway.
pub fn listener(world: &World, what: &str) -> SocketAddr {
    let file = world.cluster.as_ref().expect("a cluster of our own").file().expect("a cluster file");
    let gateway = file.of_kind(Kind::Gateway).next().expect("a gateway");
    gateway.address(what).expect("such a listener")
}

/// Writes these bytes and `body_bytes` more, then reads until the server closes. Errs with what a client would meet
/// instead of an answer.
pub async fn write_then_read(
    stream: &mut dyn Stream,
    head: &[u8],
    body_bytes: usize,
) -> Result<Vec<u8>, String> {
    let exchange = async {
        stream.write_all(head).await.map_err(|error| format!("writing the head: {error}"))?;
        let piece = vec![b'x'; PIECE_BYTES];
        let mut left = body_bytes;
        while left > 0 {
            let now = left.min(PIECE_BYTES);
            let written = stream.write_all(&piece[..now]).await;
            written.map_err(|error| format!("writing the body, {left} bytes from its end: {error}"))?;
            left -= now;
        }
        stream.flush().await.map_err(|error| format!("flushing: {error}"))?;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        read.map_err(|error| format!("reading, after {} bytes: {error}", answer.len()))?;
        Ok(answer)
    };
    tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| "no end".to_owned())?
}

/// Reads until these bytes have come; all that came.
pub async fn read_until(stream: &mut dyn Stream, end: &[u8]) -> Result<Vec<u8>, String> {
    let reading = async {
        let (mut came, mut byte) = (Vec::new(), [0]);
        while !came.ends_with(end) {
            match stream.read(&mut byte).await {
                Ok(0) => return Err(format!("closed after {:?}", String::from_utf8_lossy(&came))),
                Ok(_) => came.push(byte[0]),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(came)
    };
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| "nothing came".to_owned())?
}
