//! The homeserver's signed packet. Only a packet that was committed here is published
//! (docs/rules/network.md#one-author).
//!
//! A deposed coordinator cannot commit an older packet. A packet whose time is far above its signer's clock and above
//! the newest packet on the network is refused. Whether that clock is right, only peers can tell (`clock.rs`).

use rowhouse_proto::wire::command::SetPacket;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};
use crate::apply::PACKETS_SINCE;
use crate::planted;
use crate::state::packet::{PACKET_BYTES_MAX, PACKET_HEAD_BYTES};

/// pkarr itself distrusts packets further ahead than this (docs/rules/network.md#timestamps-only-rise).
const AHEAD_US_MAX: u64 = 60_000_000;

/// When a canonical packet was signed, in unix microseconds; `None` if it is too short to tell.
pub fn packet_timestamp_us(packet: &[u8]) -> Option<u64> {
    let bytes: [u8; 8] = packet.get(96..PACKET_HEAD_BYTES)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

impl MetaGroupCommand for SetPacket {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(cluster) = tables::cluster(&*txn)? else {
            return Ok(Verdict::not_initialized());
        };
        let packet = &self.packet;
        let Some(timestamp) = packet_timestamp_us(packet).filter(|_| packet.len() <= PACKET_BYTES_MAX) else {
            return Ok(Verdict::refused("malformed packet"));
        };
        if packet[..32] != cluster.homeserver[..] {
            return Ok(Verdict::refused("packet of another key"));
        }
        let mut stored_us = 0;
        if let Some(stored) = tables::packet(&*txn)? {
            if stored == *packet {
                return Ok(Verdict::Unchanged);
            }
            stored_us = packet_timestamp_us(&stored).unwrap_or(0);
            if timestamp <= stored_us && !planted::regress_timestamp() {
                return Ok(Verdict::refused("packet is not newer than the committed one"));
            }
        }
        let mut latest = (entry.now_ms * 1000 + AHEAD_US_MAX).max(self.network_us.saturating_add(1));
        // A clock that ran away once must not stop all that come after it.
        if entry.version >= PACKETS_SINCE {
            latest = latest.max(stored_us.saturating_add(1));
        }
        if timestamp > latest {
            return Ok(Verdict::refused("packet is too far in the future"));
        }
        tables::put_packet(txn, packet.clone());
        Ok(Verdict::Changed)
    }
}
