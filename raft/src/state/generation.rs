//! Where a group's keys lie: under its number and a generation that a snapshot install replaces whole.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::{BufMut, Bytes, BytesMut};

use super::engine::{ScanOrder, StateBatch, StateEngine, StateRead};
use crate::GroupId;
use crate::error::Error;

/// Group and generation in front of every key.
pub(super) const PREFIX_BYTES: usize = 6;
const META_PREFIX: &[u8] = b"gen";
const WHAT: &str = "a generation record";

/// A range of the store. Whoever reads it holds an `Arc` of it: a range is dropped only when nobody does.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation {
    /// The group whose keys lie here.
    pub group: GroupId,
    /// Rises with every installed snapshot.
    pub number: u32,
}

impl Generation {
    /// First bytes of every key of the range.
    pub fn prefix(&self) -> Bytes {
        self.key(&[])
    }

    /// First key behind the range.
    pub fn end(&self) -> Bytes {
        end_of(&self.prefix())
    }

    /// A group's own key as the store has it.
    pub fn key(&self, key: &[u8]) -> Bytes {
        let mut full = BytesMut::with_capacity(PREFIX_BYTES + key.len());
        full.put_u16(self.group);
        full.put_u32(self.number);
        full.put_slice(key);
        full.freeze()
    }
}

/// First key behind all that begin with `prefix`, a generation's or a table's of it.
pub(super) fn end_of(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    // Shortest key above every key with this prefix: drop trailing 0xFF, raise the last byte.
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => *last += 1,
        // Group 0xFFFF, generation 0xFFFFFFFF: nothing is above it, and no group lives that long.
        None => end = vec![u8::MAX; PREFIX_BYTES + 2],
    }
    end.into()
}

/// Generation of every group that ever left its first.
pub(super) fn load(engine: &dyn StateEngine) -> Result<BTreeMap<GroupId, u32>, Error> {
    let mut current = BTreeMap::new();
    for (key, value) in engine.metas(META_PREFIX)? {
        let group = key.get(META_PREFIX.len()..).and_then(|group| <[u8; 2]>::try_from(group).ok());
        let number = <[u8; 4]>::try_from(value.as_ref()).ok();
        let (Some(group), Some(number)) = (group, number) else {
            return Err(Error::corrupt(WHAT, format_args!("{key:?} {value:?}")));
        };
        current.insert(GroupId::from_be_bytes(group), u32::from_be_bytes(number));
    }
    Ok(current)
}

/// Makes `generation` its group's current one, durably.
pub(super) fn flip(engine: &dyn StateEngine, generation: &Generation) -> Result<(), Error> {
    let mut key = BytesMut::from(META_PREFIX);
    key.put_u16(generation.group);
    let number = Bytes::copy_from_slice(&generation.number.to_be_bytes());
    engine.write_synced(StateBatch { writes: vec![(key.freeze(), Some(number))] })
}

/// Every generation that has at least one key, skipping from one to the next.
pub(super) fn present(engine: &dyn StateRead) -> Result<Vec<Generation>, Error> {
    const LAST: &[u8] = &[u8::MAX; PREFIX_BYTES + 2];
    let mut found = Vec::new();
    let mut from = Bytes::new();
    loop {
        let mut first = None;
        engine.scan(&from, LAST, ScanOrder::Ascending, &mut |key, _| {
            first = Some(Bytes::copy_from_slice(key));
            ControlFlow::Break(())
        })?;
        let Some(key) = first else { return Ok(found) };
        let Some((&[high, low, a, b, c, d], _)) = key.split_first_chunk::<PREFIX_BYTES>() else {
            return Err(Error::corrupt("a state key", format_args!("{key:?} is too short")));
        };
        let generation = Generation {
            group: GroupId::from_be_bytes([high, low]),
            number: u32::from_be_bytes([a, b, c, d]),
        };
        from = generation.end();
        found.push(generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::MemoryState;

    #[test]
    fn every_key_lies_within_its_range_and_in_no_other() {
        for (group, number) in [(0, 0), (1, 255), (7, u32::MAX), (u16::MAX, 0), (u16::MAX, u32::MAX - 1)] {
            let generation = Generation { group, number };
            let end = generation.end();
            assert!(generation.key(&[0]) < end && generation.key(&[0xFF; 40]) < end, "{generation:?}");
            if number < u32::MAX {
                assert!(end <= Generation { group, number: number + 1 }.prefix());
            }
        }
    }

    #[test]
    fn present_finds_each_generation_once() {
        let engine = MemoryState::new();
        let expected: Vec<Generation> = [(0, 0), (0, 1), (3, 255), (3, 256), (u16::MAX, 9)]
            .map(|(group, number)| Generation { group, number })
            .into();
        let keys = expected.iter().flat_map(|generation| [generation.key(&[0]), generation.key(b"\xFFz")]);
        engine
            .write(StateBatch { writes: keys.map(|key| (key, Some(Bytes::new()))).collect() })
            .expect("a write in memory");
        assert_eq!(present(&engine).expect("well-formed keys"), expected);
    }

    #[test]
    fn flips_survive_a_crash() {
        let engine = MemoryState::new();
        flip(&engine, &Generation { group: 4, number: 2 }).expect("a write in memory");
        engine.crash();
        assert_eq!(load(&engine).expect("a good record"), BTreeMap::from([(4, 2)]));
    }
}
