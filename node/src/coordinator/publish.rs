//! Publishes the committed bytes of the homeserver's packet: always behind a look at the network, and looked for
//! afterwards by a client that had no part in it.

use std::time::Duration;

use bytes::Bytes;
use pkarr::SignedPacket;
use rowhouse_proto::wire::meta::ClusterMap;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::author::Author;
use super::packet::parse;
use super::packet_log::PacketLog;
use super::progress::{Progress, RETRY_MIN};
use crate::network::{Look, Network};

/// A vantage point that did not take the packet, or a look that did not find it, is tried again this soon.
const PARTLY_RETRY: Duration = Duration::from_secs(120);
/// While another cluster has the key, it is looked whether it has gone.
const FOREIGN_RETRY: Duration = Duration::from_secs(60);
/// A look, a publication and another look have their own deadlines; this is for what none of them foresaw.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);
/// Stands for chance in pauses: one author retries alone, so there is nobody to spread it from.
const NO_CHANCE: u64 = 0;
/// Fewer copies do not outlive a day of the DHT's coming and going.
const STORED_FEW: usize = 10;

/// What became of an attempt that did not fail.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    /// Everybody has it and it was found.
    Done,
    /// Somebody has it.
    Partly(String),
    /// The network has a newer packet, which is to be signed over.
    Behind,
    /// The network has a newer packet although this cluster's was out already.
    Foreign,
    /// Other bytes are committed by now, or by somebody else.
    Deposed,
}

impl Author {
    pub(super) async fn publish(&self, log: &impl PacketLog, map: &ClusterMap, progress: &mut Progress) {
        let Some(network) = progress.network.clone() else { return };
        if map.packet.is_empty() || map.gateways.is_empty() || Instant::now() < progress.next_publish {
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
        let attempt = timeout(ATTEMPT_MAX, self.attempt(log, &*network, &packet, progress)).await;
        let attempt = attempt.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let pause = match attempt {
            Ok(Attempt::Done) => self.republish_interval,
            Ok(Attempt::Partly(why)) => {
                warn!(why, "homeserver packet published, but not everywhere");
                PARTLY_RETRY.min(self.republish_interval)
            }
            Ok(Attempt::Behind) => Duration::ZERO,
            Ok(Attempt::Deposed) => RETRY_MIN,
            Ok(Attempt::Foreign) => {
                error!(
                    "the network holds a newer packet of this key: another cluster has it; not publishing"
                );
                FOREIGN_RETRY.min(self.republish_interval)
            }
            Err(failure) => {
                self.record.note(|known| known.failures += 1);
                let retry = progress.retry.pause(NO_CHANCE);
                warn!(failure, ?retry, "homeserver packet not published");
                progress.next_publish = Instant::now() + retry;
                return;
            }
        };
        progress.retry.reset();
        progress.next_publish = Instant::now() + pause;
    }

    async fn attempt(
        &self,
        log: &impl PacketLog,
        network: &dyn Network,
        packet: &SignedPacket,
        progress: &mut Progress,
    ) -> Result<Attempt, String> {
        let key = packet.public_key();
        let look = network.look(&key).await;
        if look.is_unheard() {
            return Err("neither the DHT nor a relay answers".to_owned());
        }
        progress.network_us = progress.network_us.max(look.newest_us);
        if is_newer(&look, packet) {
            return Ok(self.overtaken(progress));
        }
        self.record.note(|known| known.foreign = false);
        // The look took time. Whoever leads by now may have published something newer.
        if !log.is_committed(packet.as_bytes()).await {
            return Ok(Attempt::Deposed);
        }
        let published = network.publish(packet, &look).await;
        if published.took == 0 {
            let newer = (published.newer > 0).then(|| "a newer packet is out there".to_owned());
            return Err(newer.unwrap_or_else(|| published.problems.join("; ")));
        }
        info!(stored = published.stored, "homeserver packet published");
        let now_us = self.clock.physical_us();
        self.record.note(|known| (known.published_us, known.stored) = (now_us, published.stored));
        if published.stored < STORED_FEW {
            info!(stored = published.stored, "few nodes of the DHT stored the homeserver packet");
        }
        let seen = network.look_afresh(&key).await;
        if is_newer(&seen, packet) {
            return Ok(self.overtaken(progress));
        }
        let found = seen.newest.is_some_and(|newest| newest.as_bytes() == packet.as_bytes());
        if !found {
            return Ok(Attempt::Partly("another client does not find it".to_owned()));
        }
        progress.settled = true;
        self.record.note(|known| known.verified_us = self.clock.physical_us());
        let problems = published.problems;
        Ok(if problems.is_empty() { Attempt::Done } else { Attempt::Partly(problems.join("; ")) })
    }

    /// Before a packet is signed: it must be above what the network has. Whether it may be signed.
    pub(super) async fn look_up(&self, committed: &Bytes, progress: &mut Progress) -> bool {
        let Some(network) = progress.network.clone() else { return true };
        let look = network.look(&self.keypair.public_key()).await;
        if look.is_unheard() {
            warn!("the network does not tell which packet it holds; the clock and the log decide alone");
            return true;
        }
        progress.network_us = progress.network_us.max(look.newest_us);
        let overtaken = parse(committed).is_ok_and(|committed| is_newer(&look, &committed));
        !overtaken || self.overtaken(progress) != Attempt::Foreign
    }

    /// Once a leadership a newer packet is taken for this cluster's own: a restored cluster has forgotten some.
    fn overtaken(&self, progress: &mut Progress) -> Attempt {
        if progress.settled {
            self.record.note(|known| known.foreign = true);
            return Attempt::Foreign;
        }
        progress.behind = true;
        Attempt::Behind
    }
}

/// Equal timestamps with other bytes live side by side.
fn is_newer(look: &Look, packet: &SignedPacket) -> bool {
    let own_us = packet.timestamp().as_u64();
    let other = look.newest.as_ref().is_some_and(|newest| newest.as_bytes() != packet.as_bytes());
    look.newest_us > own_us || look.newest_us == own_us && other
}
