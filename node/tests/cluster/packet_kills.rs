//! The coordinator is killed while it signs, commits and publishes. A DHT that sees every put tells whether two packets of
//! the homeserver ever had one time, or an older one came behind a newer one.

use std::time::Duration;

use pkarr::Keypair;
use rowhouse_node::meta::packet_timestamp_us;

use super::dht::TestDht;
use super::harness::{Cluster, SECRET, wait_for};
use super::packet::gateway;

/// What has just been seen when the coordinator is killed.
#[derive(Clone, Copy, Debug)]
enum After {
    /// A gateway was announced: the packet is signed some seconds later.
    Announced,
    /// The new packet is in the map: it is about to be looked up and published.
    Committed,
    /// The first node of the DHT has it.
    Put,
}

/// Each with how much later, in ms.
const KILLS: [(After, u64); 9] = [
    (After::Announced, 3_100),
    (After::Committed, 0),
    (After::Put, 0),
    (After::Committed, 100),
    (After::Announced, 3_600),
    (After::Put, 100),
    (After::Committed, 300),
    (After::Put, 500),
    (After::Committed, 0),
];

#[test]
fn a_coordinator_that_is_killed_at_any_moment_regresses_nothing() {
    let dht = TestDht::start(8);
    let mut cluster = Cluster::initialized_with(3, dht.configure(Duration::ZERO));
    let key = Keypair::from_secret_key(&SECRET).public_key();
    cluster.client.announce(&gateway("127.0.0.1"));
    wait_for("the first packet", || dht.look(&key).newest);
    for (n, (after, later_ms)) in KILLS.into_iter().enumerate() {
        let author = cluster.meta_leader();
        let newest_us = |cluster: &Cluster| {
            let packets = cluster.running().map(|node| node.map().packet);
            packets.filter_map(|packet| packet_timestamp_us(&packet)).max().unwrap_or(0)
        };
        let before_us = newest_us(&cluster);
        // A packet names the lowest addresses: each new one changes it.
        cluster.client.announce(&gateway(&format!("127.0.0.{}", 100 - n)));
        wait_for("the moment to kill", || match after {
            After::Announced => Some(()),
            After::Committed => (newest_us(&cluster) > before_us).then_some(()),
            After::Put => dht.puts(&key).iter().any(|put| put.seq as u64 > before_us).then_some(()),
        });
        std::thread::sleep(Duration::from_millis(later_ms));
        cluster.kill(author);
        cluster.restart(author);
    }
    let committed = wait_for("what is committed to be what clients find", || {
        let committed = cluster.running().next()?.map().packet;
        let found = dht.look(&key).newest?;
        (found.as_bytes() == &committed).then_some(committed)
    });
    assert!(!committed.is_empty());
    let puts = dht.puts(&key);
    for pair in puts.windows(2) {
        assert!(pair[0].seq <= pair[1].seq, "an older packet behind a newer one: {pair:?}");
        assert!(pair[0].seq < pair[1].seq || pair[0].signature == pair[1].signature, "{pair:?}");
    }
    let mut times: Vec<i64> = puts.iter().map(|put| put.seq).collect();
    times.dedup();
    assert!(times.len() > 3, "several packets got out: {times:?}");
    cluster.assert_converged();
}
