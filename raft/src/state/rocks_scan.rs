//! Scans of RocksDB that pass over gaps.

use bytes::Bytes;
use rocksdb::{DBRawIterator, ReadOptions, Snapshot};

use super::engine::{ScanOrder, Visit};
use super::gaps::Gaps;
use crate::error::Error;

/// Visits `from <= key < to` of a snapshot. Each part between two gaps has an iterator of its own, which ends where the
/// next gap begins: an iterator that goes on would walk through it.
pub(super) fn scan(
    view: &Snapshot<'_>,
    gaps: &Gaps,
    (from, to): (&[u8], &[u8]),
    order: ScanOrder,
    visit: Visit<'_>,
) -> Result<(), Error> {
    let sequence = view.sequence_number();
    let (mut from, mut to) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
    // Each round passes a gap.
    while from < to {
        let next = match order {
            ScanOrder::Ascending => gaps.first(&from, &to, sequence),
            ScanOrder::Descending => gaps.last(&from, &to, sequence),
        };
        let Some(gap) = next else {
            return walk(view.raw_iterator_opt(bounded(&from, &to)), order, visit);
        };
        let (lower, upper) = match order {
            ScanOrder::Ascending => (&from, &gap.start),
            ScanOrder::Descending => (&gap.end, &to),
        };
        let mut broke = false;
        if lower < upper {
            walk(view.raw_iterator_opt(bounded(lower, upper)), order, &mut |key, value| {
                let flow = visit(key, value);
                broke = flow.is_break();
                flow
            })?;
        }
        if broke {
            return Ok(());
        }
        match order {
            ScanOrder::Ascending => from = gap.end,
            ScanOrder::Descending => to = gap.start,
        }
    }
    Ok(())
}

pub(super) fn bounded(from: &[u8], to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    // Ranges may span prefixes, and reverse seeks must not trust the prefix filter.
    options.set_total_order_seek(true);
    options
}

pub(super) fn walk(mut records: DBRawIterator<'_>, order: ScanOrder, visit: Visit<'_>) -> Result<(), Error> {
    match order {
        ScanOrder::Ascending => records.seek_to_first(),
        ScanOrder::Descending => records.seek_to_last(),
    }
    while let Some((key, value)) = records.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        match order {
            ScanOrder::Ascending => records.next(),
            ScanOrder::Descending => records.prev(),
        }
    }
    records.status().map_err(failed("scan state"))
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(rocksdb::Error) -> Error {
    move |error| match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::corrupt(what, error),
        _ => Error::io(what, std::io::Error::other(error)),
    }
}
