//! What the author of the packet remembers of one leadership. It begins empty, so that a new leader publishes at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pkarr::SignedPacket;
use rowhouse_proto::{Backoff, Spread};
use tokio::time::Instant;

use super::packet::{addresses, parse};
use crate::network::Network;

/// Gateways start together: the first packet waits for the second one's announcement.
pub const FIRST_QUIET: Duration = Duration::from_secs(1);
/// Later changes come one at a time, and each costs every resolver a new packet.
pub const QUIET: Duration = Duration::from_secs(3);
/// An address that goes may be back soon: a gateway restarts within seconds, and clients find the others
/// meanwhile.
pub const LEAVING_QUIET: Duration = Duration::from_secs(15);
/// Pause after the first failed publish.
pub const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest pause after failed publishes: with the attempt behind it, the packet is out within a minute of the network's
/// return.
const RETRY_MAX: Duration = Duration::from_secs(15);

pub struct Progress {
    pub network: Option<Arc<dyn Network>>,
    pub next_publish: Instant,
    pub retry: Backoff,
    /// Timestamp of the newest packet that the network was seen to have.
    pub network_us: u64,
    /// The network has a newer packet than the committed one, which is to be signed over.
    pub behind: bool,
    /// That was done once, or the committed packet was seen out there: a newer one is somebody's who fights.
    pub settled: bool,
    /// The gateways' content that waits for quiet, and since when.
    pub pending: Option<(Bytes, Instant)>,
    /// Gateways that the packet does not name because they disagree with the others, as last told.
    pub left_out: usize,
    /// The last attempt to sign failed, and it was told.
    pub unsignable: bool,
}

impl Progress {
    pub fn new(network: Option<Arc<dyn Network>>) -> Self {
        Self {
            network,
            next_publish: Instant::now(),
            retry: Backoff::new(RETRY_MIN, RETRY_MAX, Spread::QuarterOnTop),
            network_us: 0,
            behind: false,
            settled: false,
            pending: None,
            left_out: 0,
            unsignable: false,
        }
    }

    /// Whether other records than the committed ones have been wanted for long enough to sign them.
    pub fn is_quiet(&mut self, committed: &Bytes, wanted: &SignedPacket) -> bool {
        let content = wanted.encoded_packet();
        if committed.get(104..).is_some_and(|committed| committed == content) {
            self.pending = None;
            return false;
        }
        match &self.pending {
            Some((pending, since)) if *pending == content => since.elapsed() >= quiet(committed, wanted),
            _ => {
                self.pending = Some((content, Instant::now()));
                false
            }
        }
    }
}

fn quiet(committed: &[u8], wanted: &SignedPacket) -> Duration {
    if committed.is_empty() {
        return FIRST_QUIET;
    }
    // A packet that cannot be read is better replaced soon.
    let known: BTreeSet<IpAddr> = parse(committed).map(|packet| addresses(&packet)).unwrap_or_default();
    if addresses(wanted).is_subset(&known) { LEAVING_QUIET } else { QUIET }
}

#[cfg(test)]
mod tests {
    use pkarr::Keypair;
    use rowhouse_proto::wire::meta::GatewayInfo;

    use super::super::packet::sign;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_soon_back_moves_nothing_and_one_that_is_gone_leaves_in_the_end() {
        let keypair = Keypair::from_secret_key(&[3; 32]);
        let packet = |addresses: &[&str], timestamp_us| {
            let gateway = |address: &&str| GatewayInfo {
                public_ip: (*address).into(),
                tls_port: 1,
                http_port: 2,
                ..GatewayInfo::default()
            };
            let gateways: Vec<GatewayInfo> = addresses.iter().map(gateway).collect();
            sign(&keypair, &gateways, timestamp_us).expect("signable").expect("a gateway")
        };
        let (both, one, three) = (
            packet(&["192.0.2.1", "192.0.2.2"], 1),
            packet(&["192.0.2.1"], 2),
            packet(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 3),
        );
        let committed = both.as_bytes().clone();
        let look_every = Duration::from_millis(500);
        let mut progress = Progress::new(None);
        for _ in 0..10 {
            assert!(!progress.is_quiet(&committed, &one), "it left");
            tokio::time::advance(LEAVING_QUIET - look_every).await;
            assert!(!progress.is_quiet(&committed, &one));
            assert!(!progress.is_quiet(&committed, &both), "it is back");
            tokio::time::advance(look_every).await;
        }
        assert!(!progress.is_quiet(&committed, &one));
        tokio::time::advance(LEAVING_QUIET).await;
        assert!(progress.is_quiet(&committed, &one));

        assert!(!progress.is_quiet(&committed, &three));
        tokio::time::advance(QUIET).await;
        assert!(progress.is_quiet(&committed, &three), "a new one does not wait as long");
        assert!(!progress.is_quiet(&Bytes::new(), &one));
        tokio::time::advance(FIRST_QUIET).await;
        assert!(progress.is_quiet(&Bytes::new(), &one));
    }
}
