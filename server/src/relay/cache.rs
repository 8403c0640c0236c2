//! Packets that went through the relay, the newest of each key. They are on disk as well, so that a restart forgets none;
//! how fresh they are is not.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use pkarr::{PublicKey, SignedPacket, Timestamp};
use rowhouse_proto::lock::lock;

use crate::error::Error;
use crate::records::{Record, Records};

/// Answered without a look at the DHT for at least and at most so long, as clients have it.
const TTL_S: (u32, u32) = (pkarr::DEFAULT_MINIMUM_TTL, pkarr::DEFAULT_MAXIMUM_TTL);

pub struct Cache(Mutex<Inner>);

struct Inner {
    records: Records,
    /// When the DHT was last seen to have it.
    seen: HashMap<[u8; 32], Timestamp>,
}

impl Cache {
    /// Fails if the folder is of no use.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let path = folder.join("packets.log");
        let records = Records::open(&path).map_err(Error::io(&path))?;
        tracing::info!(packets = records.len(), "packets kept from earlier runs");
        Ok(Self(Mutex::new(Inner { records, seen: HashMap::new() })))
    }

    /// The newest packet of the key, with the time at which it was last seen.
    pub fn get(&self, key: &PublicKey) -> Option<SignedPacket> {
        let inner = lock(&self.0);
        let record = inner.records.find(key.as_bytes())?;
        let seq = u64::try_from(record.seq).ok()?;
        let payload = [&record.signature[..], &seq.to_be_bytes(), &record.value].concat();
        let mut packet = SignedPacket::from_relay_payload(key, &payload.into()).ok()?;
        let never = Timestamp::from(0);
        packet.set_last_seen(inner.seen.get(key.as_bytes()).unwrap_or(&never));
        Some(packet)
    }

    /// The DHT has it at this moment.
    pub fn put(&self, packet: &SignedPacket) {
        let key = packet.public_key().to_bytes();
        let record = Record {
            key,
            signature: packet.signature().to_bytes(),
            seq: i64::try_from(packet.timestamp().as_u64()).unwrap_or(i64::MAX),
            salt: Vec::new(),
            value: packet.encoded_packet().to_vec(),
        };
        let mut inner = lock(&self.0);
        if let Err(error) = inner.records.keep(record) {
            tracing::error!(%error, "cannot write the relay's packets");
        }
        if inner.seen.len() > inner.records.len() {
            inner.seen.clear();
        }
        inner.seen.insert(key, Timestamp::now());
    }
}

/// Seconds for which a packet may still be answered as it is; 0: it is to be looked up.
pub fn fresh_s(packet: &SignedPacket) -> u32 {
    packet.expires_in(TTL_S.0, TTL_S.1)
}

/// Seconds for which others may keep it.
pub fn ttl_s(packet: &SignedPacket) -> u32 {
    packet.ttl(TTL_S.0, TTL_S.1)
}
