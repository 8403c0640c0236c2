//! Questions that tell whether a part of the cluster serves. Each is asked until it holds.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use pkarr::dns::rdata::RData;
use pkarr::{PublicKey, SignedPacket};
use rowhouse_peer::Dialer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ctl::NodeClient;
use crate::testnet::TestnetReady;

/// One request on loopback; a busy machine answers late, and is asked again.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// The answers asked for are small; a record has at most 1 104 bytes.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;

/// The testnet process with this id has written its ready file.
pub fn testnet(ready_file: &Path, pid: Option<u32>) -> bool {
    let read = std::fs::read(ready_file).ok();
    let ready = read.and_then(|bytes| serde_json::from_slice::<TestnetReady>(&bytes).ok());
    ready.is_some_and(|ready| Some(ready.pid) == pid)
}

/// Whether the node answers, and if so whether it is part of a cluster.
pub async fn node(address: &str, dialer: &Dialer) -> Option<bool> {
    let asked = async { NodeClient::connect(address, dialer, None).await.ok()?.status().await.ok() };
    let status = tokio::time::timeout(REQUEST_MAX, asked).await.ok()??;
    Some(!status.cluster_id.is_empty())
}

/// The node answers, and the map that it has names it.
pub async fn in_map(address: &str, dialer: &Dialer) -> bool {
    let asked = async {
        let mut node = NodeClient::connect(address, dialer, None).await.ok()?;
        let (map, status) = (node.map().await.ok()?, node.status().await.ok()?);
        Some(map.nodes.iter().any(|info| info.node_uuid == status.node_uuid))
    };
    matches!(tokio::time::timeout(REQUEST_MAX, asked).await, Ok(Some(true)))
}

/// The shards are placed, and some node reports that it leads, for each of them and the meta group.
pub async fn all_led(addresses: &[String], dialer: &Dialer) -> bool {
    let mut led = BTreeSet::new();
    let mut shard_count = 0;
    for address in addresses {
        let asked = async {
            let mut node = NodeClient::connect(address, dialer, None).await.ok()?;
            Some((node.map().await.ok()?, node.status().await.ok()?))
        };
        let Ok(Some((map, status))) = tokio::time::timeout(REQUEST_MAX, asked).await else { return false };
        shard_count = shard_count.max(map.shard_count as usize);
        led.extend(status.groups.iter().filter(|group| group.role == "leader").map(|group| group.group));
    }
    shard_count > 0 && led.len() > shard_count
}

/// The gateway's listener answers and knows the cluster.
pub async fn gateway(address: SocketAddr) -> bool {
    matches!(get(address, "/info").await, Ok((200, _)))
}

/// The homeserver's record can be found through the relay and names all these addresses.
pub async fn published(relay: SocketAddr, homeserver: &PublicKey, gateways: &[Ipv4Addr]) -> bool {
    let path = format!("/{}?policy=NetworkOnly", homeserver.to_z32());
    let Ok((200, body)) = get(relay, &path).await else { return false };
    let Ok(packet) = SignedPacket::from_relay_payload(homeserver, &body.into()) else { return false };
    let named: BTreeSet<Ipv4Addr> = packet
        .all_resource_records()
        .filter_map(|record| match &record.rdata {
            RData::A(address) => Some(Ipv4Addr::from(address.address)),
            _ => None,
        })
        .collect();
    gateways.iter().all(|gateway| named.contains(gateway))
}

/// A plain GET; answers the status and the body.
async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut response = Vec::new();
        stream.take(RESPONSE_BYTES_MAX).read_to_end(&mut response).await?;
        parse(response).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP response"))
    };
    tokio::time::timeout(REQUEST_MAX, exchange).await.map_err(io::Error::other)?
}

/// Bodies that end with the connection, as the ones asked for do.
fn parse(mut response: Vec<u8>) -> Option<(u16, Vec<u8>)> {
    const HEAD_END: &[u8] = b"\r\n\r\n";
    let end = response.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END)?;
    let status = std::str::from_utf8(&response[..end]).ok()?.split(' ').nth(1)?.parse().ok()?;
    let body = response.split_off(end + HEAD_END.len());
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_split_into_status_and_body() {
        let parsed = parse(b"HTTP/1.1 404 Not Found\r\nX: y\r\n\r\nno\r\n\r\nsuch".to_vec());
        assert_eq!(parsed, Some((404, b"no\r\n\r\nsuch".to_vec())));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n".to_vec()), None);
        assert_eq!(parse(b"garbage\r\n\r\n".to_vec()), None);
    }

    #[test]
    fn a_ready_file_of_an_earlier_process_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ready.json");
        assert!(!testnet(&file, Some(7)));
        let ready = r#"{"pid":7,"dht":[],"pkarr_relay":"","http_relay":"","records_restored":0}"#;
        std::fs::write(&file, ready).unwrap();
        assert!(testnet(&file, Some(7)));
        assert!(!testnet(&file, Some(8)));
        assert!(!testnet(&file, None));
    }
}
