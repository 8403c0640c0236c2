//! Does the shards' event log tell exactly what the clients were told?
//!
//! Each acknowledged write has one event, an unknown one at most one, anything else none; per key the
//! events come in the order in which the writes were acknowledged and called.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rowhouse_proto::domain::event::EventIds;

use super::Violation;
use crate::history::{Action, History, Key, Operation, Outcome, Value};

const ORACLE: &str = "events";
/// A double holds every id below it.
const ID_END: u64 = 1 << 53;

/// One event, with user and content translated back to the run's own names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: u64,
    pub key: Key,
    /// None: DEL.
    pub value: Option<Value>,
}

/// The events of one shard in the order it returned them.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    pub shard: u32,
    pub events: Vec<Event>,
}

/// `ids`: of the cluster's number of shards.
pub fn check_events(history: &History, logs: &[EventLog], ids: EventIds) -> Vec<Violation> {
    let mut violations = Vec::new();
    check_ids(logs, ids, &mut violations);
    let mut by_key: BTreeMap<&Key, Vec<&Event>> = BTreeMap::new();
    for event in logs.iter().flat_map(|log| &log.events) {
        by_key.entry(&event.key).or_default().push(event);
    }
    let operations = history.by_key();
    for (key, events) in &by_key {
        if !operations.contains_key(key) {
            violations.push(violation(format!("{} events of {key:?}, which nobody wrote", events.len())));
        }
    }
    let none = Vec::new();
    for (key, operations) in &operations {
        let events = by_key.get(key).unwrap_or(&none);
        check_puts(key, operations, events, &mut violations);
        check_deletes(key, operations, events, &mut violations);
        check_order(key, operations, events, &mut violations);
    }
    violations
}

fn violation(what: String) -> Violation {
    Violation { oracle: ORACLE, what }
}

/// Ids rise within a shard, carry its number, fit a double, and are unique in the cluster.
fn check_ids(logs: &[EventLog], ids: EventIds, violations: &mut Vec<Violation>) {
    let mut seen = BTreeSet::new();
    for log in logs {
        for pair in log.events.windows(2) {
            if pair[0].id >= pair[1].id {
                violations
                    .push(violation(format!("shard {}: id {} after {}", log.shard, pair[1].id, pair[0].id)));
            }
        }
        for event in &log.events {
            if ids.shard_of(event.id) != log.shard || event.id >= ID_END {
                violations.push(violation(format!(
                    "shard {}: id {} names another shard or no time",
                    log.shard, event.id
                )));
            }
            if !seen.insert(event.id) {
                violations.push(violation(format!("id {} was given twice", event.id)));
            }
        }
    }
}

fn check_puts(key: &Key, operations: &[&Operation], events: &[&Event], violations: &mut Vec<Violation>) {
    let mut counts: HashMap<Value, usize> = HashMap::new();
    for value in events.iter().filter_map(|event| event.value) {
        *counts.entry(value).or_default() += 1;
    }
    for operation in operations {
        let Action::Put(value) = operation.action else { continue };
        let count = counts.remove(&value).unwrap_or(0);
        let allowed = if operation.outcome == Outcome::Done { count == 1 } else { count <= 1 };
        if !allowed {
            violations.push(violation(format!(
                "{key:?}: {:?} put of {value} has {count} events",
                operation.outcome
            )));
        }
    }
    for (value, count) in counts {
        violations.push(violation(format!("{key:?}: {count} events of {value}, which nobody wrote there")));
    }
}

fn check_deletes(key: &Key, operations: &[&Operation], events: &[&Event], violations: &mut Vec<Violation>) {
    let count = |outcome: Outcome| {
        operations.iter().filter(|op| op.action == Action::Delete && op.outcome == outcome).count()
    };
    let (done, unknown) = (count(Outcome::Done), count(Outcome::Unknown));
    let events = events.iter().filter(|event| event.value.is_none()).count();
    if events < done || events > done + unknown {
        violations.push(violation(format!(
            "{key:?}: {events} DEL events for {done} deletes and {unknown} unknown ones"
        )));
    }
}

/// A put that was answered before another was called comes before it in the log.
fn check_order(key: &Key, operations: &[&Operation], events: &[&Event], violations: &mut Vec<Violation>) {
    let span: HashMap<Value, (u64, u64)> = operations
        .iter()
        .filter_map(|operation| match operation.action {
            Action::Put(value) => Some((value, (operation.called_ns, operation.effective_end_ns()))),
            _ => None,
        })
        .collect();
    // Walking backwards, the earliest answer among later events must not precede this call.
    let mut earliest_end = (u64::MAX, 0);
    for event in events.iter().rev() {
        let Some(value) = event.value else { continue };
        let Some((called, ended)) = span.get(&value).copied() else { continue };
        if earliest_end.0 < called {
            let later = earliest_end.1;
            violations.push(violation(format!(
                "{key:?}: put of {value} came after {later} was answered, but is logged before it"
            )));
        }
        earliest_end = earliest_end.min((ended, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { user: 0, path: "/pub/x".into() }
    }

    fn operation(action: Action, outcome: Outcome, called_ns: u64) -> Operation {
        Operation { key: key(), action, called_ns, returned_ns: called_ns + 5, outcome }
    }

    fn ids() -> EventIds {
        EventIds::new(16).expect("a power of two")
    }

    fn history() -> History {
        let operations = vec![
            operation(Action::Put(1), Outcome::Done, 0),
            operation(Action::Put(2), Outcome::Unknown, 10),
            operation(Action::Delete, Outcome::Done, 20),
            operation(Action::Delete, Outcome::Missing, 30),
            operation(Action::Put(3), Outcome::Done, 40),
        ];
        History { operations }
    }

    fn log(values: &[Option<Value>]) -> Vec<EventLog> {
        let events = values.iter().enumerate();
        let events =
            events.map(|(at, value)| Event { id: (at as u64 + 1) << 4 | 3, key: key(), value: *value });
        vec![EventLog { shard: 3, events: events.collect() }]
    }

    fn found(values: &[Option<Value>]) -> usize {
        check_events(&history(), &log(values), ids()).len()
    }

    #[test]
    fn a_faithful_log_passes_with_or_without_the_unknown_write() {
        assert_eq!(found(&[Some(1), Some(2), None, Some(3)]), 0);
        assert_eq!(found(&[Some(1), None, Some(3)]), 0);
        assert_eq!(found(&[Some(1), None, Some(3), Some(2)]), 0, "an unknown write may land late");
    }

    #[test]
    fn missing_doubled_and_foreign_events_are_found() {
        assert_eq!(found(&[Some(1), None]), 1, "missing");
        assert_eq!(found(&[Some(1), Some(1), None, Some(3)]), 1, "doubled");
        assert_eq!(found(&[Some(1), Some(2), Some(2), None, Some(3)]), 1, "doubled unknown");
        assert_eq!(found(&[Some(1), Some(9), None, Some(3)]), 1, "foreign");
        assert_eq!(found(&[Some(1), Some(3)]), 1, "missing DEL");
        assert_eq!(found(&[Some(1), None, None, Some(3)]), 1, "doubled DEL");
    }

    #[test]
    fn events_out_of_order_are_found() {
        assert_eq!(found(&[Some(3), None, Some(1)]), 1);
        let mut logs = log(&[Some(1), None, Some(3)]);
        logs[0].events[2].id = logs[0].events[1].id;
        assert_eq!(check_events(&history(), &logs, ids()).len(), 2, "not rising, and given twice");
        for wrong in [99 << 4 | 4, 1 << 53 | 3] {
            logs[0].events[2].id = wrong;
            assert_eq!(check_events(&history(), &logs, ids()).len(), 1, "{wrong}");
        }
        logs[0].events[2].id = 99 << 4 | 4;
        assert_eq!(check_events(&history(), &logs, ids()).len(), 1, "another shard's number");
    }

    #[test]
    fn events_of_unknown_keys_are_found() {
        let mut logs = log(&[Some(1), None, Some(3)]);
        let key = Key { user: 9, path: "/pub/y".into() };
        logs[0].events.push(Event { id: 99 << 4 | 3, key, value: Some(5) });
        assert_eq!(check_events(&history(), &logs, ids()).len(), 1);
    }
}
