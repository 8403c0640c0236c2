//! The one author of the homeserver's packet (docs/rules/network.md#one-author).
//!
//! It signs, commits the exact bytes to the meta group, and only then publishes them, again and again. Serving never
//! waits for any of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pkarr::errors::PublishError;
use pkarr::{Keypair, SignedPacket};
use rowhouse_proto::wire::command::{SetPacket, meta_command::Body};
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_proto::{Backoff, Spread};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::generation::published;
use super::packet::{addresses, sign};
use super::propose::propose;
use super::publisher::{NetworkPublisher, Publisher};
use crate::clock::Clock;
use crate::meta::{self, packet_timestamp_us};
use crate::settings::PkarrConfig;
use crate::{Error, Group};

/// How often the map is looked at; a change of it is rare and a little late is fine.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Gateways start together: the first packet waits for the second one's announcement.
const FIRST_QUIET: Duration = Duration::from_secs(1);
/// Later changes come one at a time, and each costs every resolver a new packet.
const QUIET: Duration = Duration::from_secs(3);
/// An address that goes may be back soon: a gateway restarts within seconds, and clients find the others
/// meanwhile.
const LEAVING_QUIET: Duration = Duration::from_secs(15);
/// A lookup that takes longer tells nothing; the timestamp rule then rests on clock and log.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(10);
/// Pause after the first failed publish.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest pause after failed publishes.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Stands for chance in these pauses: one author retries alone, so there is nobody to spread it from.
const NO_CHANCE: u64 = 0;
/// One publish: a DHT lookup and its puts, with pkarr's own deadlines inside.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);

/// When this node last published, for the status page.
#[derive(Debug, Default)]
pub struct PublishRecord {
    /// Physical µs; 0: never.
    last_us: AtomicU64,
    failures: AtomicU64,
}

impl PublishRecord {
    /// Attempts that failed since the process started.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// `u64::MAX`: never.
    pub fn age_s(&self, now_us: u64) -> u64 {
        match self.last_us.load(Ordering::Relaxed) {
            0 => u64::MAX,
            last => now_us.saturating_sub(last) / 1_000_000,
        }
    }
}

/// Opens the way to the network, when there is one. Called at the beginning of each leadership: a DHT
/// client costs sockets and a thread that nodes which only follow can spare.
pub type OpenPublisher = Arc<dyn Fn() -> Option<Arc<dyn Publisher>> + Send + Sync>;

/// Signs with the homeserver's key. Every node has one; it works where the meta group is led.
pub struct Author {
    /// The homeserver's.
    pub keypair: Keypair,
    /// Gives a packet its timestamp.
    pub clock: Arc<Clock>,
    /// Opens the way to the network.
    pub open: OpenPublisher,
    /// Time between publishes that went well.
    pub republish_interval: Duration,
    /// When this node last published.
    pub record: PublishRecord,
}

/// Memory of one leadership. It begins empty, so that a new leader publishes at once.
struct Progress {
    publisher: Option<Arc<dyn Publisher>>,
    next_publish: Instant,
    retry: Backoff,
    network_us: u64,
    looked_up: bool,
    /// A packet newer than the committed one was signed over once: a second time it is somebody's fight.
    overtaken: bool,
    /// The gateways' content that waits for quiet, and since when.
    pending: Option<(Bytes, Instant)>,
    /// Gateways that the packet does not name because they disagree with the others, as last told.
    left_out: usize,
    /// The last attempt to sign failed, and it was told.
    unsignable: bool,
}

impl Progress {
    fn new(publisher: Option<Arc<dyn Publisher>>) -> Self {
        Self {
            publisher,
            next_publish: Instant::now(),
            retry: Backoff::new(RETRY_MIN, RETRY_MAX, Spread::QuarterOnTop),
            network_us: 0,
            looked_up: false,
            overtaken: false,
            pending: None,
            left_out: 0,
            unsignable: false,
        }
    }

    /// Whether other records than the committed ones have been wanted for long enough to sign them.
    fn is_settled(&mut self, committed: &Bytes, wanted: &SignedPacket) -> bool {
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
    let known = parse(committed).map(|packet| addresses(&packet)).unwrap_or_default();
    if addresses(wanted).is_subset(&known) { LEAVING_QUIET } else { QUIET }
}

impl Author {
    /// Signs with `keypair`, by `clock`, and publishes as `pkarr` says.
    pub fn new(keypair: Keypair, clock: Arc<Clock>, pkarr: PkarrConfig) -> Self {
        let republish_interval = pkarr.republish_interval_s;
        let open: OpenPublisher = Arc::new(move || {
            NetworkPublisher::open(&pkarr).unwrap_or_else(|error| {
                // Serving never depends on publishing.
                error!(%error, "the homeserver's packet is committed but not published");
                None
            })
        });
        Self { keypair, clock, open, republish_interval, record: PublishRecord::default() }
    }

    /// Runs while this node leads; dropped when it no longer does.
    pub async fn run(&self, group: &Group) -> Result<(), Error> {
        let open = Arc::clone(&self.open);
        let publisher = tokio::task::spawn_blocking(move || open()).await.map_err(|_| Error::Stopped)?;
        let mut progress = Progress::new(publisher);
        let mut map = None;
        loop {
            match (group.read(|view| meta::refresh(view, &mut map)), &map) {
                (Ok(()), Some(map)) => {
                    self.author(group, map, &mut progress).await;
                    self.publish(map, &mut progress).await;
                }
                (Ok(()), None) => {}
                (Err(error), _) => warn!(%error, "the map cannot be read"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Signs and commits when the gateways call for other records than the committed ones.
    async fn author(&self, group: &Group, map: &ClusterMap, progress: &mut Progress) {
        let committed_us = packet_timestamp_us(&map.packet).unwrap_or(0);
        // A packet of a wrong time would outlive its correction: everybody has to sign above it.
        if self.clock.judged_us().is_none() {
            return;
        }
        let Some(wanted) = self.sign(map, committed_us, progress) else { return };
        let behind = progress.network_us > committed_us && !progress.overtaken && !map.packet.is_empty();
        if behind {
            warn!("the network holds a newer packet than the committed one; signing above it, once");
            progress.overtaken = true;
            return self.commit(group, map, committed_us, progress).await;
        }
        if !progress.is_settled(&map.packet, &wanted) {
            return;
        }
        self.look_up(progress).await;
        self.commit(group, map, committed_us, progress).await;
    }

    /// `None` without gateways, and when their records cannot be signed: the committed packet then stays, and
    /// the coordinator has other duties. Says so once.
    fn sign(&self, map: &ClusterMap, timestamp_us: u64, progress: &mut Progress) -> Option<SignedPacket> {
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
    async fn commit(&self, group: &Group, map: &ClusterMap, committed_us: u64, progress: &mut Progress) {
        let timestamp = next_timestamp(self.clock.physical_us(), committed_us, progress.network_us);
        let Some(packet) = self.sign(map, timestamp, progress) else { return };
        let command = SetPacket { packet: packet.as_bytes().clone(), network_us: progress.network_us };
        match propose(group, &self.clock, Body::SetPacket(command)).await {
            Ok(()) => {
                info!(addresses = addresses(&packet).len(), timestamp, "homeserver packet committed");
                progress.next_publish = Instant::now();
            }
            Err(error) => warn!(%error, "homeserver packet not committed"),
        }
        progress.pending = None;
    }

    /// Once a leadership: a restored or empty cluster must sign above what the network holds.
    async fn look_up(&self, progress: &mut Progress) {
        let Some(publisher) = progress.publisher.clone() else { return };
        if progress.looked_up {
            return;
        }
        match timeout(LOOKUP_DEADLINE, publisher.newest_us(self.keypair.public_key())).await {
            Ok(Ok(newest)) => {
                progress.looked_up = true;
                progress.network_us = newest.unwrap_or(0).max(progress.network_us);
            }
            Ok(Err(error)) => warn!(%error, "the network does not tell which packet it holds"),
            Err(_) => warn!("the network does not tell in time which packet it holds"),
        }
    }

    async fn publish(&self, map: &ClusterMap, progress: &mut Progress) {
        let Some(publisher) = progress.publisher.clone() else { return };
        if map.packet.is_empty() || map.gateways.is_empty() || Instant::now() < progress.next_publish {
            return;
        }
        self.look_up(progress).await;
        let committed_us = packet_timestamp_us(&map.packet).unwrap_or(0);
        if progress.network_us > committed_us && !progress.overtaken {
            return;
        }
        let packet = match parse(&map.packet) {
            Ok(packet) => packet,
            Err(error) => {
                error!(%error, "the committed packet is not a packet");
                progress.next_publish = Instant::now() + self.republish_interval;
                return;
            }
        };
        let failure = match timeout(PUBLISH_DEADLINE, publisher.publish(packet)).await {
            Ok(Ok(stored)) => {
                info!(stored, "homeserver packet published");
                self.record.last_us.store(self.clock.physical_us(), Ordering::Relaxed);
                progress.retry.reset();
                progress.next_publish = Instant::now() + self.republish_interval;
                return;
            }
            Ok(Err(PublishError::NotMostRecent)) => {
                error!("the network holds a newer packet of this key: does another cluster have it?");
                progress.looked_up = false;
                "a newer packet is out there".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.record.failures.fetch_add(1, Ordering::Relaxed);
        let retry = progress.retry.pause(NO_CHANCE);
        warn!(failure, ?retry, "homeserver packet not published");
        progress.next_publish = Instant::now() + retry;
    }
}

/// docs/rules/network.md#timestamps-only-rise
fn next_timestamp(now_us: u64, committed_us: u64, network_us: u64) -> u64 {
    now_us.max(committed_us + 1).max(network_us + 1)
}

fn parse(canonical: &[u8]) -> Result<SignedPacket, Error> {
    let malformed = |error: &dyn std::fmt::Display| Error::Pkarr(error.to_string());
    let (key, payload) = canonical.split_at_checked(32).ok_or_else(|| malformed(&"too short"))?;
    let key = pkarr::PublicKey::try_from(key).map_err(|error| malformed(&error))?;
    SignedPacket::from_relay_payload(&key, &BytesMut::from(payload).freeze())
        .map_err(|error| malformed(&error))
}

#[cfg(test)]
mod tests;
