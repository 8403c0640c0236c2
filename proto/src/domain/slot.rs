//! The shard of a user: 16 384 hash slots are mapped to shards in contiguous ranges
//! (docs/rules/consensus.md#shards-are-fixed).

use pubky_common::crypto::PublicKey;

/// Number of hash slots; never changes.
pub const SLOT_COUNT: u16 = 1 << 14;
/// Most shards of a cluster: an event id has 12 bits for their number (docs/rules/time.md#event-ids-fit-a-double).
pub const SHARD_COUNT_MAX: u32 = 4096;

/// A hash slot: the first 14 bits of BLAKE3(public key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// The slot of a user.
    pub fn of_user(user: &PublicKey) -> Self {
        Self::of_key(user.as_bytes())
    }

    /// The slot of a key's bytes, without asking whether they are a key.
    pub fn of_key(user: &[u8; 32]) -> Self {
        let hash = blake3::hash(user);
        let bytes = hash.as_bytes();
        Self(u16::from_be_bytes([bytes[0], bytes[1]]) >> 2)
    }

    /// The slot with this number; `None` when out of range.
    pub fn new(slot: u16) -> Option<Self> {
        (slot < SLOT_COUNT).then_some(Self(slot))
    }

    /// The slot's number, below `SLOT_COUNT`.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The shard among `shard_count` (a power of two up to 4 096) that holds this slot.
    pub fn shard(self, shard_count: u32) -> u32 {
        u32::from(self.0) * shard_count / u32::from(SLOT_COUNT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_spread_over_shards_in_equal_contiguous_ranges() {
        for shard_count in [1, 16, 64, SHARD_COUNT_MAX] {
            let mut sizes = vec![0u32; shard_count as usize];
            let mut last = 0;
            for slot in 0..SLOT_COUNT {
                let shard = Slot(slot).shard(shard_count);
                assert!(shard >= last);
                last = shard;
                sizes[shard as usize] += 1;
            }
            assert!(sizes.iter().all(|size| *size == u32::from(SLOT_COUNT) / shard_count));
        }
    }
}
