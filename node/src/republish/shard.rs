//! One shard that this node leads: the pass over its users, and those who are new.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::PacketPass;
use rowhouse_raft::state::{ScanOrder, View};
use tokio::time::Instant;

use super::pass::{PAGE, Pass};
use crate::state::{records, tables};
use crate::{Error, Group};

/// A new user's client has published by the first of these. It may have left few copies, or closed too early: hence
/// the others.
const NEW_USERS_AFTER_MS: [u64; 3] = [5_000, 60_000, 3_600_000];
/// Looks at new users that another leader may not have come to are made up for this far back.
const LOOK_BACK_MS: u64 = 120_000;
/// New users taken at once; the rest is taken at the next beat.
const NEW_USERS_MAX: usize = 1_024;
/// A pass that nobody marked for so long is begun anew: the network may have forgotten those at its beginning. The same
/// goes for a node that just started: it may be the first one after an outage of everything.
const STALE_MS: u64 = 600_000;
/// The shard is told how far the pass is.
const MARK_EVERY: Duration = Duration::from_secs(15);

/// Memory of one leadership.
pub struct Shard {
    pub group: Arc<Group>,
    pub pass: Option<Pass>,
    next_pass_ms: u64,
    /// For each of `NEW_USERS_AFTER_MS`: who signed up until then was taken.
    taken_ms: [u64; 3],
    marked: Instant,
}

/// When passes are due.
#[derive(Clone, Copy, Debug)]
pub struct Timetable {
    pub now_ms: u64,
    pub interval_ms: u64,
    /// The process is younger than `STALE_MS`.
    pub young: bool,
}

impl Timetable {
    pub fn new(now_ms: u64, interval: Duration, uptime: Duration) -> Self {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self { now_ms, interval_ms, young: uptime < Duration::from_millis(STALE_MS) }
    }

    /// The pass to go on with, or when the next one begins.
    fn plan(&self, shard: u16, row: Option<&PacketPass>) -> Result<Pass, u64> {
        let Some(row) = row else { return Err(self.now_ms) };
        let is_stale = self.now_ms.abs_diff(row.marked_ms) >= STALE_MS.min(self.interval_ms);
        match (row.ended, is_stale) {
            (false, false) => Ok(Pass::resume(row)),
            (false, true) => Err(self.now_ms),
            (true, true) if self.young => Err(self.now_ms),
            (true, _) => Err(self.next_ms(shard, row.began_ms)),
        }
    }

    /// Up to a tenth of the interval before or behind its end, so that shards do not march in step.
    fn next_ms(&self, shard: u16, began_ms: u64) -> u64 {
        let spread = u64::from(blake3_u16(shard, began_ms));
        let next_ms = began_ms
            .saturating_add(self.interval_ms / 10 * 9)
            .saturating_add(self.interval_ms / 5 * spread / u64::from(u16::MAX));
        // A clock that was far ahead when the pass began.
        if next_ms > self.now_ms.saturating_add(self.interval_ms * 2) { self.now_ms } else { next_ms }
    }
}

fn blake3_u16(shard: u16, began_ms: u64) -> u16 {
    let hash = blake3::hash(&[&shard.to_be_bytes()[..], &began_ms.to_be_bytes()].concat());
    u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])
}

impl Shard {
    /// At the beginning of a leadership.
    pub fn open(group: Arc<Group>, timetable: &Timetable) -> Result<Self, Error> {
        let row = group.read_latest(|view| records::packet_pass(view))?;
        let (pass, next_pass_ms) = match timetable.plan(group.id(), row.as_ref()) {
            Ok(pass) => (Some(pass), 0),
            Err(next_ms) => (None, next_ms),
        };
        let taken_ms = NEW_USERS_AFTER_MS.map(|after| timetable.now_ms.saturating_sub(after + LOOK_BACK_MS));
        Ok(Self { group, pass, next_pass_ms, taken_ms, marked: Instant::now() })
    }

    /// Begins the pass that is due, and reads on in the one under way.
    pub fn beat(&mut self, timetable: &Timetable) -> Result<(), Error> {
        if self.pass.is_none() && timetable.now_ms >= self.next_pass_ms {
            self.pass = Some(Pass::begin(timetable.now_ms));
        }
        if let Some(pass) = &mut self.pass
            && let Some(after) = pass.wants_page()
        {
            pass.add_page(self.group.read_latest(|view| page(view, after))?);
        }
        Ok(())
    }

    /// What the shard is to remember of the pass, and whether it ended.
    pub fn mark(&mut self, timetable: &Timetable) -> Option<rowhouse_proto::wire::command::MarkPass> {
        let pass = self.pass.as_mut()?;
        if !pass.is_over() && self.marked.elapsed() < MARK_EVERY {
            return None;
        }
        self.marked = Instant::now();
        let mark = pass.mark();
        if mark.as_ref().is_some_and(|mark| mark.ended) {
            self.next_pass_ms = timetable.next_ms(self.group.id(), pass.began_ms());
            self.pass = None;
        }
        mark
    }

    /// Users who signed up some seconds, a minute or an hour ago.
    pub fn new_users(&mut self, now_ms: u64) -> Result<Vec<UserKey>, Error> {
        let mut users = Vec::new();
        for (taken_ms, after) in self.taken_ms.iter_mut().zip(NEW_USERS_AFTER_MS) {
            let until_ms = now_ms.saturating_sub(after);
            if until_ms > *taken_ms {
                let (found, last_ms) = self.group.read_latest(|view| signed_up(view, *taken_ms, until_ms))?;
                users.extend(found);
                *taken_ms = last_ms;
            }
        }
        Ok(users)
    }
}

/// The users behind one.
fn page(view: &View<'_>, after: Option<UserKey>) -> Result<Vec<UserKey>, rowhouse_raft::Error> {
    let from = match &after {
        // The least key above it.
        Some(user) => [&tables::user(user)[..], &[0]].concat(),
        None => vec![tables::USER],
    };
    let mut users = Vec::new();
    view.scan(&from, &[tables::USER + 1], ScanOrder::Ascending, &mut |row: &[u8], _: &[u8]| {
        users.extend(UserKey::try_from(&row[1..]));
        if users.len() < PAGE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(users)
}

/// Who signed up after one time and until another, and until when that is all of them.
fn signed_up(
    view: &View<'_>,
    after_ms: u64,
    until_ms: u64,
) -> Result<(Vec<UserKey>, u64), rowhouse_raft::Error> {
    let at = |ms: u64| tables::key(tables::USER_CREATED, &[&ms.saturating_add(1).to_be_bytes()]);
    let (mut users, mut last_ms) = (Vec::new(), until_ms);
    view.scan(&at(after_ms), &at(until_ms), ScanOrder::Ascending, &mut |row: &[u8], _: &[u8]| {
        let Some((created_ms, user)) = row[1..].split_first_chunk::<8>() else {
            return ControlFlow::Continue(());
        };
        let created_ms = u64::from_be_bytes(*created_ms);
        if users.len() >= NEW_USERS_MAX && created_ms > last_ms {
            return ControlFlow::Break(());
        }
        users.extend(UserKey::try_from(user));
        if users.len() == NEW_USERS_MAX {
            last_ms = created_ms;
        }
        ControlFlow::Continue(())
    })?;
    Ok((users, last_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_MS: u64 = 4 * 3_600_000;
    const NOW_MS: u64 = 1_800_000_000_000;

    fn timetable(young: bool) -> Timetable {
        Timetable { now_ms: NOW_MS, interval_ms: INTERVAL_MS, young }
    }

    fn row(began_ago_ms: u64, marked_ago_ms: u64, ended: bool) -> PacketPass {
        let (began_ms, marked_ms) = (NOW_MS - began_ago_ms, NOW_MS - marked_ago_ms);
        PacketPass { began_ms, after: vec![3; 32].into(), marked_ms, ended }
    }

    /// When the next pass begins; `None`: the one under way goes on.
    fn planned(young: bool, row: Option<PacketPass>) -> Option<u64> {
        timetable(young).plan(5, row.as_ref()).err()
    }

    #[test]
    fn a_pass_goes_on_after_a_failover_and_waits_for_its_time_otherwise() {
        assert_eq!(planned(false, None), Some(NOW_MS));
        assert_eq!(planned(false, Some(row(3_000_000, 20_000, false))), None);
        assert_eq!(planned(true, Some(row(3_000_000, 20_000, false))), None);
        let next_ms = planned(false, Some(row(3_000_000, 1_000_000, true))).expect("it ended");
        let due_ms = NOW_MS - 3_000_000 + INTERVAL_MS;
        assert!(next_ms.abs_diff(due_ms) <= INTERVAL_MS / 10, "{next_ms} {due_ms}");
    }

    #[test]
    fn after_an_outage_a_whole_pass_begins_at_once() {
        assert_eq!(planned(true, Some(row(3_000_000, 1_000_000, true))), Some(NOW_MS));
        assert_eq!(planned(true, Some(row(3_000_000, 1_000_000, false))), Some(NOW_MS));
        let just_ended = planned(true, Some(row(300_000, 1_000, true))).expect("it ended");
        assert!(just_ended > NOW_MS, "it is no outage when the last pass has just ended");
    }

    #[test]
    fn shards_do_not_march_in_step() {
        let next = |shard| timetable(false).next_ms(shard, NOW_MS);
        let distinct: std::collections::BTreeSet<u64> = (0..64).map(next).collect();
        assert!(distinct.len() > 60);
        assert_eq!(timetable(false).next_ms(1, NOW_MS + INTERVAL_MS * 9), NOW_MS, "a clock that was wrong");
    }
}
