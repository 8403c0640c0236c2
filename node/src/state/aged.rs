//! Bounded tables whose rows die of age: replay guards, remembered requests, bearers, locks.
//!
//! A row has an id and the age of the shard (`log_time`) at which it dies. An index by that age lets every command
//! sweep a few dead rows, whatever the clocks say. The sweep starts from a remembered floor and never from the table's
//! beginning. Deleted rows stay in the engine for a while, and would have to be skipped each time.

use std::ops::ControlFlow;

use bytes::Bytes;
use rowhouse_proto::wire::state::AgedTable;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::read::Read;
use super::tables::{self, key};

/// Most rows a command sweeps from each table: enough to outrun the one row it adds.
pub(crate) const SWEEP_ROWS_MAX: usize = 8;

/// One kind of aged rows.
pub(crate) struct Aged {
    rows: u8,
    ages: u8,
    /// Rows a shard may hold; above it a command that would add one is refused.
    rows_max: u64,
    /// A sweep looks again only after the shard has aged this much: most commands then look at nothing.
    step: u64,
}

const STEP_MS: u64 = 1_000;
/// Outcomes of requests; 150 s of 7 000 commands a second.
pub(crate) const REQUESTS: Aged =
    Aged { rows: tables::REQUEST, ages: tables::REQUEST_AGE, rows_max: 1 << 20, step: STEP_MS };
/// AuthToken ids; 421 s of 311 sign-ins a second.
pub(crate) const AUTH_TOKENS: Aged =
    Aged { rows: tables::AUTH_TOKEN, ages: tables::AUTH_TOKEN_AGE, rows_max: 1 << 17, step: STEP_MS };
/// PoP nonces; 421 s of 311 exchanges a second.
pub(crate) const NONCES: Aged =
    Aged { rows: tables::NONCE, ages: tables::NONCE_AGE, rows_max: 1 << 17, step: STEP_MS };
/// Bearers of the last hour: far above the users a shard is meant for.
pub(crate) const BEARERS: Aged =
    Aged { rows: tables::BEARER, ages: tables::BEARER_AGE, rows_max: 1 << 20, step: STEP_MS };

/// Locks of entries; a few for each user who edits at this moment.
pub(crate) const LOCKS: Aged =
    Aged { rows: tables::LOCK, ages: tables::LOCK_AGE, rows_max: 1 << 16, step: STEP_MS };

/// One row's key, the age at which it dies, and what a sweep reads of it without looking at the row.
pub(crate) struct Row<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) dies_at_ms: u64,
    pub(crate) mark: Bytes,
}

impl Aged {
    /// Whether the table holds as many rows as it may.
    pub(crate) fn is_full(&self, table: &AgedTable) -> bool {
        table.rows >= self.rows_max
    }

    /// The value of the row with this id.
    pub(crate) fn get(&self, read: &dyn Read, id: &[u8]) -> Result<Option<Bytes>, Error> {
        read.get(&key(self.rows, &[id]))
    }

    /// Adds a row that is not there; it never dies before the table's floor.
    pub(crate) fn insert(&self, txn: &mut Txn<'_>, table: &mut AgedTable, row: Row<'_>, value: Bytes) {
        txn.put(key(self.rows, &[row.id]), value);
        txn.put(key(self.ages, &[&row.dies_at_ms.to_be_bytes(), row.id]), row.mark);
        table.rows += 1;
    }

    /// Removes a row that is there.
    pub(crate) fn remove(&self, txn: &mut Txn<'_>, table: &mut AgedTable, id: &[u8], at: u64) {
        txn.delete(key(self.rows, &[id]));
        txn.delete(key(self.ages, &[&at.to_be_bytes(), id]));
        table.rows = table.rows.saturating_sub(1);
    }

    /// Removes up to `SWEEP_ROWS_MAX` rows that die before `limit`, oldest first. Returns their marks.
    pub(crate) fn sweep(
        &self,
        txn: &mut Txn<'_>,
        table: &mut AgedTable,
        limit: u64,
    ) -> Result<Vec<Bytes>, Error> {
        if limit < table.floor.saturating_add(self.step) {
            return Ok(Vec::new());
        }
        let mut dead: Vec<(u64, Bytes)> = Vec::with_capacity(SWEEP_ROWS_MAX);
        let mut marks: Vec<Bytes> = Vec::with_capacity(SWEEP_ROWS_MAX);
        let from = key(self.ages, &[&table.floor.to_be_bytes()]);
        let to = key(self.ages, &[&limit.to_be_bytes()]);
        txn.scan(&from, &to, &mut |age, mark| {
            if let Some((at, id)) = age[1..].split_first_chunk::<8>() {
                dead.push((u64::from_be_bytes(*at), Bytes::copy_from_slice(id)));
                marks.push(Bytes::copy_from_slice(mark));
            }
            if dead.len() < SWEEP_ROWS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        table.floor = match dead.get(SWEEP_ROWS_MAX - 1) {
            Some((at, _)) => *at,
            None => limit,
        };
        for (at, id) in dead {
            self.remove(txn, table, &id, at);
        }
        Ok(marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_raft::state::{ScanOrder, StateRead, View};

    /// The transaction's own writes are all there is.
    struct Nothing;

    impl StateRead for Nothing {
        fn get(&self, _: &[u8]) -> Result<Option<Bytes>, Error> {
            Ok(None)
        }

        fn scan(
            &self,
            _: &[u8],
            _: &[u8],
            _: ScanOrder,
            _: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
        ) -> Result<(), Error> {
            Ok(())
        }
    }

    const ROWS: Aged = Aged { rows: 0xF0, ages: 0xF1, rows_max: 20, step: 10 };

    fn insert(txn: &mut Txn<'_>, table: &mut AgedTable, id: u8, dies_at_ms: u64) {
        let row = Row { id: &[id], dies_at_ms, mark: Bytes::from(vec![id]) };
        ROWS.insert(txn, table, row, Bytes::new());
    }

    fn live(txn: &Txn<'_>) -> usize {
        txn.writes().iter().filter(|(key, value)| key[0] == ROWS.rows && value.is_some()).count()
    }

    #[test]
    fn a_table_is_bounded_and_swept_oldest_first_a_few_at_a_time() {
        let mut txn = Txn::new(View::new(&Nothing, Bytes::new()));
        let mut table = AgedTable::default();
        for at in 0..20u8 {
            assert!(!ROWS.is_full(&table), "{at}");
            insert(&mut txn, &mut table, at, u64::from(at));
        }
        assert!(ROWS.is_full(&table));

        let marks = ROWS.sweep(&mut txn, &mut table, 15).expect("nothing fails");
        assert_eq!(marks, (0..8u8).map(|id| Bytes::from(vec![id])).collect::<Vec<_>>());
        assert_eq!((table, live(&txn)), (AgedTable { rows: 12, floor: 7 }, 12));
        assert!(ROWS.get(&txn, &[7]).expect("readable").is_none());
        assert!(ROWS.get(&txn, &[8]).expect("readable").is_some());

        ROWS.sweep(&mut txn, &mut table, 17).expect("nothing fails");
        assert_eq!((table, live(&txn)), (AgedTable { rows: 4, floor: 15 }, 4));
        ROWS.sweep(&mut txn, &mut table, 18).expect("nothing fails");
        assert_eq!(live(&txn), 4, "the limit has not moved by a step");
        ROWS.sweep(&mut txn, &mut table, 25).expect("nothing fails");
        assert_eq!((table, live(&txn)), (AgedTable { rows: 0, floor: 25 }, 0));
        assert!(txn.writes().values().all(Option::is_none), "no index row is left");
    }

    #[test]
    fn rows_of_one_moment_are_all_swept() {
        let mut txn = Txn::new(View::new(&Nothing, Bytes::new()));
        let mut table = AgedTable::default();
        for id in 0..20u8 {
            insert(&mut txn, &mut table, id, 5);
        }
        for left in [12, 4, 0] {
            ROWS.sweep(&mut txn, &mut table, 1000).expect("nothing fails");
            assert_eq!(live(&txn), left);
        }
    }
}
