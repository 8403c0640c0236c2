//! The homeserver's packet: committed once gateways are announced, the same bytes for everyone, newer
//! after each change whoever authors it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pkarr::dns::rdata::RData;
use pkarr::{Keypair, SignedPacket};
use rowhouse_proto::wire::meta::AnnounceGatewayRequest;
use tonic::Code;

use super::harness::{Cluster, SECRET, wait_for};

pub fn gateway(public_ip: &str) -> AnnounceGatewayRequest {
    AnnounceGatewayRequest {
        public_ip: public_ip.into(),
        tls_port: 6287,
        http_port: 6286,
        icann_domain: "localhost".into(),
        leaving: false,
    }
}

fn gateways(cluster: &Cluster) -> BTreeSet<String> {
    let map = cluster.running().next().expect("a node runs").map();
    map.gateways.into_iter().map(|gateway| gateway.public_ip).collect()
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

/// The domain a packet sends web browsers to.
fn domain(packet: &SignedPacket) -> String {
    let targets = packet.all_resource_records().filter_map(|record| match &record.rdata {
        RData::HTTPS(https) => Some(https.0.target.to_string()),
        _ => None,
    });
    targets.filter(|target| !target.is_empty() && target != ".").collect()
}

#[test]
fn a_rollout_of_another_domain_evicts_nobody_and_what_cannot_be_signed_is_refused() {
    let cluster = Cluster::initialized(3);
    let renamed =
        |public_ip| AnnounceGatewayRequest { icann_domain: "b.example".into(), ..gateway(public_ip) };
    let leaving = |request| AnnounceGatewayRequest { leaving: true, ..request };
    let wrong = AnnounceGatewayRequest { icann_domain: "-x.example".into(), ..gateway("127.0.0.9") };
    for wrong in [wrong, gateway("0.0.0.0"), gateway("224.0.0.1")] {
        assert_eq!(cluster.client.announce_once(&wrong), Some(Code::InvalidArgument));
    }
    cluster.client.announce(&gateway("127.0.0.1"));
    cluster.client.announce(&gateway("127.0.0.2"));
    let old = committed(&cluster, b"");
    assert_eq!(domain(&old), "localhost");
    cluster.client.announce(&renamed("127.0.0.1"));
    cluster.client.announce(&gateway("127.0.0.1"));
    wait_for("both configurations to be there", || {
        (cluster.running().next()?.map().gateways.len() == 3).then_some(())
    });
    cluster.client.announce(&renamed("127.0.0.2"));
    cluster.client.announce(&leaving(gateway("127.0.0.1")));
    cluster.client.announce(&leaving(gateway("127.0.0.2")));
    let new = committed(&cluster, old.as_bytes());
    assert_eq!(domain(&new), "b.example");
    assert_eq!(new.all_resource_records().count(), 4, "two HTTPS records and two addresses");
    cluster.assert_converged();
}

/// Short for a test, long beside the pauses between its announcements.
const SILENCE_MAX: Duration = Duration::from_secs(5);

#[test]
fn a_gateway_that_withdraws_leaves_the_packet_and_the_last_one_stays() {
    let cluster = Cluster::initialized(3);
    cluster.client.announce(&gateway("127.0.0.1"));
    cluster.client.announce(&gateway("127.0.0.2"));
    let both = committed(&cluster, b"");
    let leaving = |public_ip| AnnounceGatewayRequest { leaving: true, ..gateway(public_ip) };
    cluster.client.announce(&leaving("127.0.0.1"));
    cluster.client.announce(&gateway("127.0.0.1"));
    cluster.client.announce(&leaving("127.0.0.2"));
    let one = committed(&cluster, both.as_bytes());
    assert_eq!(one.all_resource_records().count(), 3, "two HTTPS records and one address");
    assert_eq!(gateways(&cluster), BTreeSet::from(["127.0.0.1".to_owned()]));

    cluster.client.announce(&leaving("127.0.0.1"));
    assert_eq!(gateways(&cluster).len(), 1, "nobody else is there");
    cluster.client.announce(&gateway("127.0.0.2"));
    let again = committed(&cluster, one.as_bytes());
    assert_eq!(again.all_resource_records().count(), 4);
    cluster.assert_converged();
}

#[test]
fn a_silent_gateway_is_let_go_by_whoever_leads_unless_all_are_silent() {
    let mut cluster = Cluster::initialized_with(3, |config| config.pkarr.gateway_silence_max_s = SILENCE_MAX);
    let only = |public_ip: &str| BTreeSet::from([public_ip.to_owned()]);
    for (kept, gone) in [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")] {
        cluster.client.announce(&gateway(gone));
        wait_for("the silent one to go", || {
            cluster.client.announce(&gateway(kept));
            (gateways(&cluster) == only(kept)).then_some(())
        });
        let author = cluster.meta_leader();
        cluster.kill(author);
        cluster.restart(author);
    }
    let long = Instant::now() + 3 * SILENCE_MAX;
    wait_for("a long silence", || (Instant::now() > long).then_some(()));
    assert_eq!(gateways(&cluster), only("127.0.0.2"));
    cluster.assert_converged();
}
