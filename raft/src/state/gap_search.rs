//! How the writer of a table finds its gaps.
//!
//! Nobody else writes there meanwhile, so what it finds empty stays so until its next write.

use std::ops::ControlFlow;

use bytes::Bytes;
use rocksdb::{DB, DBRawIterator, ErrorKind};

use super::engine::ScanOrder;
use super::gaps::{Gaps, Span, behind, table_of};
use super::rocks_scan::{bounded, failed, walk};
use crate::error::Error;

/// Looks around keys of one table that changed since the last time.
pub(super) fn search(db: &DB, gaps: &Gaps, mut changed: Vec<Bytes>) -> Result<(), Error> {
    changed.sort_unstable();
    changed.dedup();
    let Some(first) = changed.first() else { return Ok(()) };
    let search = Search { db, gaps, table: table_of(first), since: db.latest_sequence_number() };
    let mut options = bounded(&search.table.start, &search.table.end);
    options.set_max_skippable_internal_keys(gaps.limits().run);
    let mut probe = db.raw_iterator_opt(options);
    let mut rest = changed.as_slice();
    while let Some((key, others)) = rest.split_first() {
        let (next, gap) = match search.around(&mut probe, key)? {
            Found::Nothing => {
                rest = others;
                continue;
            }
            Found::Few { next } => (next, None),
            Found::Gap(gap) => (gap.end.clone(), Some(gap)),
        };
        // They all lie before the same living key.
        let within = rest.partition_point(|other| *other < next);
        if let Some(gap) = gap {
            gaps.insert(gap, search.since, within as u64);
        }
        rest = &rest[within..];
    }
    Ok(())
}

struct Search<'a> {
    db: &'a DB,
    gaps: &'a Gaps,
    table: Span,
    since: u64,
}

/// What is around a key.
enum Found {
    /// It is alive, or known to lie in a gap.
    Nothing,
    /// Too few dead records for a gap, up to the next living key or the end of the table.
    Few {
        next: Bytes,
    },
    Gap(Span),
}

/// Where a probe got to.
enum Landing {
    On(Bytes),
    /// No living key is left in this direction.
    Nowhere,
    /// It walked over as many dead records as make a gap.
    Lost,
}

impl Search<'_> {
    fn around(&self, probe: &mut DBRawIterator<'_>, key: &Bytes) -> Result<Found, Error> {
        if self.gaps.first(key, &behind(key), u64::MAX).is_some() {
            return Ok(Found::Nothing);
        }
        probe.seek(key);
        let next = landing(probe)?;
        if matches!(&next, Landing::On(found) if found == key) {
            self.check_halves(probe, key)?;
            return Ok(Found::Nothing);
        }
        probe.seek_for_prev(key);
        match (landing(probe)?, next) {
            (Landing::Lost, _) | (_, Landing::Lost) => {
                Ok(Found::Gap(Span { start: self.start(key)?, end: self.end(key)? }))
            }
            (_, Landing::On(next)) => Ok(Found::Few { next }),
            (_, Landing::Nowhere) => Ok(Found::Few { next: self.table.end.clone() }),
        }
    }

    /// A key came to life in a gap: keeps of its halves what still is one.
    fn check_halves(&self, probe: &mut DBRawIterator<'_>, key: &Bytes) -> Result<(), Error> {
        probe.next();
        if !matches!(landing(probe)?, Landing::Lost) {
            self.gaps.forget_behind(key);
        }
        probe.seek(key);
        probe.prev();
        if !matches!(landing(probe)?, Landing::Lost) {
            self.gaps.forget_before(key);
        }
        Ok(())
    }

    /// Behind the last living key before `key`, passing the gaps there are. Each round passes one.
    fn start(&self, key: &Bytes) -> Result<Bytes, Error> {
        let mut upto = key.clone();
        loop {
            let gap = self.gaps.last(&self.table.start, &upto, u64::MAX);
            let floor = gap.as_ref().map_or(&self.table.start, |gap| &gap.end);
            if let Some(living) = self.edge(floor, &upto, ScanOrder::Descending)? {
                return Ok(behind(&living));
            }
            match gap {
                Some(gap) => upto = gap.start,
                None => return Ok(self.table.start.clone()),
            }
        }
    }

    /// The first living key behind `key`, passing the gaps there are. Each round passes one.
    fn end(&self, key: &Bytes) -> Result<Bytes, Error> {
        let mut from = key.clone();
        loop {
            let gap = self.gaps.first(&from, &self.table.end, u64::MAX);
            let ceiling = gap.as_ref().map_or(&self.table.end, |gap| &gap.start);
            if let Some(living) = self.edge(&from, ceiling, ScanOrder::Ascending)? {
                return Ok(living);
            }
            match gap {
                Some(gap) => from = gap.end,
                None => return Ok(self.table.end.clone()),
            }
        }
    }

    /// The first living key in this direction.
    fn edge(&self, from: &[u8], to: &[u8], order: ScanOrder) -> Result<Option<Bytes>, Error> {
        let mut found = None;
        if from < to {
            walk(self.db.raw_iterator_opt(bounded(from, to)), order, &mut |key, _| {
                found = Some(Bytes::copy_from_slice(key));
                ControlFlow::Break(())
            })?;
        }
        Ok(found)
    }
}

fn landing(probe: &DBRawIterator<'_>) -> Result<Landing, Error> {
    if let Some(key) = probe.key() {
        return Ok(Landing::On(Bytes::copy_from_slice(key)));
    }
    match probe.status() {
        Ok(()) => Ok(Landing::Nowhere),
        Err(error) if error.kind() == ErrorKind::Incomplete => Ok(Landing::Lost),
        Err(error) => Err(failed("search for gaps")(error)),
    }
}
