//! The homeserver's packet: committed once gateways are announced, the same bytes for everyone, newer
//! after each change whoever authors it.

use pkarr::{Keypair, SignedPacket};
use rowhouse_proto::wire::meta::AnnounceGatewayRequest;

use super::harness::{Cluster, SECRET, wait_for};

fn gateway(public_ip: &str) -> AnnounceGatewayRequest {
    AnnounceGatewayRequest {
        public_ip: public_ip.into(),
        tls_port: 6287,
        http_port: 6286,
        icann_domain: "localhost".into(),
    }
}

/// The packet every running node knows, once it differs from `before`.
fn committed(cluster: &Cluster, before: &[u8]) -> SignedPacket {
    let bytes = wait_for("one new packet everywhere", || {
        let mut packets: Vec<_> = cluster.running().map(|node| node.map().packet).collect();
        packets.dedup();
        let packet = packets.pop().filter(|packet| packets.is_empty() && !packet.is_empty())?;
        (packet != before).then_some(packet)
    });
    let key = Keypair::from_secret_key(&SECRET).public_key();
    assert_eq!(bytes[..32], key.as_bytes()[..]);
    SignedPacket::from_relay_payload(&key, &bytes.slice(32..)).expect("signed by the homeserver")
}

#[test]
fn the_packet_follows_the_gateways_over_a_change_of_author() {
    let mut cluster = Cluster::initialized(3);
    cluster.client.announce(&gateway("127.0.0.1"));
    let first = committed(&cluster, b"");
    assert_eq!(first.all_resource_records().count(), 3, "two HTTPS records and one address");

    let author = cluster.meta_leader();
    cluster.kill(author);
    cluster.client.announce(&gateway("127.0.0.2"));
    let second = committed(&cluster, first.as_bytes());
    assert_eq!(second.all_resource_records().count(), 4);
    assert!(second.timestamp() > first.timestamp());
    cluster.restart(author);
    cluster.assert_converged();
}
