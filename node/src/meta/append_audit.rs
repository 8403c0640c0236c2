//! The audit chain: what operators did, in order. Each record holds the hash of the one before, so that nobody can
//! change or drop one in the middle without it being seen.

use bytes::Bytes;
pub use rowhouse_proto::audit::hash_of;
use rowhouse_proto::wire::command::AppendAudit;
use rowhouse_proto::wire::meta::AuditRecord;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::tables::key;
use super::{Verdict, tables};
use crate::state::Read;
use crate::state::read::{decode, encode, wrap_raw};

/// number → AuditRecord
const RECORD: u8 = 11;
/// id → number
const RECORD_OF: u8 = 12;
/// Records that are kept. The oldest goes when there are more; its hash stays in the next one.
pub const AUDIT_RECORDS_MAX: u64 = 100_000;
/// Longest text of a field, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// Records from a number on, in order. From 0: the oldest there is.
pub fn audit_page(store: &dyn Read, from: u64, limit: usize) -> Result<Vec<AuditRecord>, Error> {
    let first = tables::cluster(store)?.map_or(0, |cluster| cluster.audit_first);
    tables::page(store, "audit record", &key(RECORD, &from.max(first).to_be_bytes()), &[RECORD + 1], limit)
}

impl MetaGroupCommand for AppendAudit {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else { return Ok(Verdict::not_initialized()) };
        if txn.get(&key(RECORD_OF, &self.id))?.is_some() {
            return Ok(Verdict::Unchanged);
        }
        let texts = [&self.who, &self.action, &self.target, &self.result];
        if self.id.len() != 16 || texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            return Ok(Verdict::refused("a record has an id of 16 bytes, and texts of at most 1024"));
        }
        let number = cluster.audit_next.max(1);
        let mut record = AuditRecord {
            number,
            id: self.id.clone(),
            at_ms: entry.now_ms,
            who: self.who.clone(),
            action: self.action.clone(),
            target: self.target.clone(),
            result: self.result.clone(),
            previous: cluster.audit_hash.clone(),
            hash: Bytes::new(),
        };
        record.hash = hash_of(&record);
        txn.put(key(RECORD, &number.to_be_bytes()), encode(&record));
        txn.put(key(RECORD_OF, &self.id), wrap_raw(&number.to_be_bytes()));
        cluster.audit_hash = record.hash;
        cluster.audit_next = number + 1;
        cluster.audit_first = cluster.audit_first.max(1);
        if cluster.audit_next - cluster.audit_first > AUDIT_RECORDS_MAX {
            drop_oldest(txn, cluster.audit_first)?;
            cluster.audit_first += 1;
        }
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Stored)
    }
}

fn drop_oldest(txn: &mut Txn<'_>, number: u64) -> Result<(), Error> {
    let row = key(RECORD, &number.to_be_bytes());
    if let Some(value) = txn.get(&row)? {
        let record: AuditRecord = decode(&value, "audit record")?;
        txn.delete(key(RECORD_OF, &record.id));
    }
    txn.delete(row);
    Ok(())
}
