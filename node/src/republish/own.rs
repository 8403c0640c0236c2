//! Every node looks after the homeserver's packet as well, in case the coordinator does not reach the network: it publishes
//! the committed bytes where they are missing, and signs nothing (docs/rules/network.md#published-again-and-again).

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::info;

use super::keeper::Keeper;
use crate::meta;
use crate::state::packet::parse;

/// A packet is not touched by others before its coordinator had time for it, and everybody for the next one.
const SETTLED: Duration = Duration::from_secs(600);
/// Between two looks; a node adds up to as much again, so that nodes do not look together.
const EVERY: Duration = Duration::from_secs(1800);

/// When the committed packet is to be looked for.
#[derive(Default)]
pub struct Own {
    packet: Bytes,
    next: Option<Instant>,
}

impl Own {
    /// The committed packet, if it has been the same for a while and it is time to look. `chance` is this node's own.
    pub fn due(&mut self, committed: &Bytes, chance: u8, now: Instant) -> Option<Bytes> {
        let spread = EVERY * u32::from(chance) / u32::from(u8::MAX);
        if *committed != self.packet {
            self.packet = committed.clone();
            self.next = Some(now + SETTLED + spread);
        }
        if self.packet.is_empty() || self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.next = Some(now + EVERY + spread);
        Some(self.packet.clone())
    }
}

impl Keeper {
    /// Publishes the committed packet if the network has none, or an older one.
    pub async fn stand_in(&self, committed: Bytes) {
        let leads = self.local.host.group(meta::GROUP).is_some_and(|group| group.is_leader());
        let Some(packet) = parse(&self.local.identity.homeserver(), &committed).filter(|_| !leads) else {
            return;
        };
        let look = self.network.look(&packet.public_key()).await;
        let is_there = look.newest_us >= packet.timestamp().as_u64();
        let is_current = self.cluster.view.map().packet == committed;
        if !look.is_unheard() && !is_there && is_current {
            let published = self.network.publish(&packet, &look).await;
            info!(
                stored = published.stored,
                "the network lacked the homeserver packet; published for the coordinator"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_looked_for_only_when_it_has_settled_and_then_every_half_hour_or_so() {
        let (mut own, now) = (Own::default(), Instant::now());
        let (old, new) = (Bytes::from_static(b"old"), Bytes::from_static(b"new"));
        assert_eq!(own.due(&Bytes::new(), 0, now + SETTLED * 9), None, "nothing is committed");
        assert_eq!(own.due(&old, 0, now), None);
        assert_eq!(own.due(&old, 0, now + SETTLED), Some(old.clone()));
        assert_eq!(own.due(&old, 0, now + SETTLED), None);
        assert_eq!(own.due(&new, 255, now + SETTLED + EVERY), None, "another one");
        assert_eq!(own.due(&new, 255, now + SETTLED * 2 + EVERY), None, "each node has its own time");
        assert_eq!(own.due(&new, 255, now + SETTLED * 2 + EVERY * 2), Some(new));
    }
}
