//! The chain of audit records: how a record is hashed, and whether a run of records is whole.
//!
//! Each record holds the hash of the one before. Nobody can change or drop one in the middle without it being seen.

use bytes::Bytes;
use prost::Message;

use crate::wire::meta::AuditRecord;

/// The hash of a record: BLAKE3 over its bytes without the hash. The hash of the record before is among them.
pub fn hash_of(record: &AuditRecord) -> Bytes {
    let bytes = AuditRecord { hash: Bytes::new(), ..record.clone() }.encode_to_vec();
    Bytes::copy_from_slice(blake3::hash(&bytes).as_bytes())
}

/// Checks records one by one, in their order. The first one is believed to follow what it names: older records are
/// dropped once there are too many.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Number and hash of the record seen last.
    last: Option<(u64, Bytes)>,
}

impl Chain {
    /// Checks the next record. An error says what is wrong with it.
    pub fn check(&mut self, record: &AuditRecord) -> Result<(), String> {
        let number = record.number;
        if hash_of(record) != record.hash {
            return Err(format!("record {number} was changed: its hash is another"));
        }
        match &self.last {
            Some((last, _)) if number != last + 1 => {
                return Err(format!("record {number} follows {last}: some are missing"));
            }
            Some((last, hash)) if record.previous != *hash => {
                return Err(format!("record {number} follows another record {last} than this one"));
            }
            None if number == 1 && !record.previous.is_empty() => {
                return Err("record 1 follows another one".to_owned());
            }
            _ => {}
        }
        self.last = Some((number, record.hash.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: u64) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for number in 1..=count {
            let previous = records.last().map(|record| record.hash.clone()).unwrap_or_default();
            let mut record = AuditRecord { number, previous, who: "admin".into(), ..AuditRecord::default() };
            record.hash = hash_of(&record);
            records.push(record);
        }
        records
    }

    fn judge(records: &[AuditRecord]) -> Result<(), String> {
        let mut chain = Chain::default();
        records.iter().try_for_each(|record| chain.check(record))
    }

    #[test]
    fn a_whole_chain_holds_from_wherever_it_is_read() {
        let whole = records(5);
        assert_eq!(judge(&whole), Ok(()));
        assert_eq!(judge(&whole[2..]), Ok(()));
        assert_eq!(judge(&[]), Ok(()));
    }

    #[test]
    fn a_changed_dropped_or_forged_record_is_seen() {
        let mut changed = records(5);
        changed[2].who = "nobody".into();
        assert!(judge(&changed).unwrap_err().contains("record 3 was changed"));
        changed[2].hash = hash_of(&changed[2]);
        assert!(judge(&changed).unwrap_err().contains("record 4 follows another record 3"));
        let mut dropped = records(5);
        dropped.remove(2);
        assert!(judge(&dropped).unwrap_err().contains("some are missing"));
        let mut forged = records(1);
        forged[0].previous = vec![1; 32].into();
        forged[0].hash = hash_of(&forged[0]);
        assert!(judge(&forged).unwrap_err().contains("record 1"));
    }
}
