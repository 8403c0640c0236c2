//! The one author of the homeserver's packet (docs/rules/network.md#one-author).
//!
//! It signs, commits the exact bytes to the meta group, and only then publishes them, again and again
//! (`publish.rs`). Serving never waits for any of it.

use std::sync::Arc;
use std::time::Duration;

use pkarr::{Keypair, SignedPacket};
use rowhouse_proto::wire::command::SetPacket;
use rowhouse_proto::wire::meta::ClusterMap;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::generation::published;
use super::packet::{addresses, sign};
use super::packet_log::{MetaLog, PacketLog};
use super::progress::Progress;
use super::record::PublishRecord;
use crate::clock::Clock;
use crate::meta::packet_timestamp_us;
use crate::network::Network;
use crate::{Error, Group, planted};

/// How often the map is looked at; a change of it is rare and a little late is fine.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Signs with the homeserver's key. Every node has one; it works where the meta group is led.
pub struct Author {
    /// The homeserver's.
    pub keypair: Keypair,
    /// Gives a packet its timestamp.
    pub clock: Arc<Clock>,
    /// `None`: the packet is committed and not published.
    pub network: Option<Arc<dyn Network>>,
    /// Time between publishes that went well.
    pub republish_interval: Duration,
    /// What this node knows of the packet on the network.
    pub record: PublishRecord,
}

impl Author {
    /// Signs with `keypair`, by `clock`, and publishes to `network`.
    pub fn new(
        keypair: Keypair,
        clock: Arc<Clock>,
        network: Option<Arc<dyn Network>>,
        republish_interval: Duration,
    ) -> Self {
        Self { keypair, clock, network, republish_interval, record: PublishRecord::default() }
    }

    /// Runs while this node leads; dropped when it no longer does.
    pub async fn run(&self, group: &Group) -> Result<(), Error> {
        self.lead(&MetaLog { group, clock: &self.clock }).await
    }

    pub(super) async fn lead(&self, log: &impl PacketLog) -> Result<(), Error> {
        self.record.note(|known| known.foreign = false);
        let mut progress = Progress::new(self.network.clone());
        let mut map = None;
        loop {
            if let Some(map) = refreshed(log, &mut map) {
                self.author(log, map, &mut progress).await;
            }
            // Anew: what was just committed is what is to be published, and not what it replaces.
            if let Some(map) = refreshed(log, &mut map) {
                self.publish(log, map, &mut progress).await;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Signs and commits when the gateways call for other records than the committed ones.
    async fn author(&self, log: &impl PacketLog, map: &ClusterMap, progress: &mut Progress) {
        // A packet of a wrong time would outlive its correction: everybody has to sign above it.
        if self.clock.judged_us().is_none() {
            return;
        }
        let committed_us = packet_timestamp_us(&map.packet).unwrap_or(0);
        let Some(wanted) = self.sign(map, committed_us, progress) else { return };
        if progress.behind && !map.packet.is_empty() {
            warn!("the network holds a newer packet than the committed one; signing above it, once");
            (progress.behind, progress.settled) = (false, true);
            return self.commit(log, map, committed_us, progress).await;
        }
        // While another cluster has the key, every new packet of this one would be one more blow.
        if self.record.known().foreign || !progress.is_quiet(&map.packet, &wanted) {
            return;
        }
        if self.look_up(&map.packet, progress).await {
            self.commit(log, map, committed_us, progress).await;
        }
    }

    /// `None` without gateways, and when their records cannot be signed: the committed packet then stays, and
    /// the coordinator has other duties. Says so once.
    pub(super) fn sign(
        &self,
        map: &ClusterMap,
        timestamp_us: u64,
        progress: &mut Progress,
    ) -> Option<SignedPacket> {
        let left_out = map.gateways.len() - published(&map.gateways).len();
        if left_out > 0 && left_out != progress.left_out {
            warn!(
                left_out,
                "gateways announce different ports or domains; the packet names the largest set that agrees"
            );
        }
        progress.left_out = left_out;
        match sign(&self.keypair, &map.gateways, timestamp_us) {
            Ok(packet) => {
                progress.unsignable = false;
                packet
            }
            Err(error) => {
                if !progress.unsignable {
                    error!(%error, "no packet can be signed for these gateways; the committed one stays");
                }
                progress.unsignable = true;
                None
            }
        }
    }

    #[tracing::instrument(name = "coordinator.commit_packet", parent = None, skip_all)]
    async fn commit(
        &self,
        log: &impl PacketLog,
        map: &ClusterMap,
        committed_us: u64,
        progress: &mut Progress,
    ) {
        let timestamp = next_timestamp(self.clock.physical_us(), committed_us, progress.network_us);
        let Some(packet) = self.sign(map, timestamp, progress) else { return };
        let command = SetPacket { packet: packet.as_bytes().clone(), network_us: progress.network_us };
        match log.commit(command).await {
            Ok(()) => {
                info!(addresses = addresses(&packet).len(), timestamp, "homeserver packet committed");
                progress.next_publish = Instant::now();
            }
            Err(error) => warn!(%error, "homeserver packet not committed"),
        }
        progress.pending = None;
    }
}

/// docs/rules/network.md#timestamps-only-rise
pub(super) fn next_timestamp(now_us: u64, committed_us: u64, network_us: u64) -> u64 {
    if planted::regress_timestamp() {
        return now_us.min(committed_us.saturating_sub(1));
    }
    now_us.max(committed_us + 1).max(network_us + 1)
}

fn refreshed<'a>(log: &impl PacketLog, map: &'a mut Option<ClusterMap>) -> Option<&'a ClusterMap> {
    if let Err(error) = log.refresh(map) {
        warn!(%error, "the map cannot be read");
        return None;
    }
    map.as_ref()
}

#[cfg(test)]
mod tests;
