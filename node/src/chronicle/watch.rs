//! Tells what is new between one look at a node and the next. Pure: the actor looks, and keeps what comes out.

use std::collections::BTreeMap;

use rowhouse_proto::wire::meta::{Incident, LeaderChange};

use crate::identity::NodeUuid;

/// A group's leader, as its replica here knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Led {
    pub group: u32,
    pub term: u64,
    pub by: NodeUuid,
}

/// What is not as it should be, and of which node or group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// As in `Incident.kind`.
    pub kind: &'static str,
    pub subject: String,
}

/// One look.
#[derive(Debug, Default)]
pub struct Sight {
    pub at_ms: u64,
    /// Groups with a known leader.
    pub led: Vec<Led>,
    /// All there is now, with a sentence for people.
    pub troubles: BTreeMap<Trouble, String>,
}

/// What the last look saw.
#[derive(Debug, Default)]
pub struct Watch {
    led: BTreeMap<u32, Led>,
    troubles: BTreeMap<Trouble, String>,
}

impl Watch {
    /// Changes of leaders, and troubles that began or ended, since the last call. A group's first known leader is no
    /// change: nobody knows who led before.
    pub fn look(&mut self, sight: Sight) -> (Vec<LeaderChange>, Vec<Incident>) {
        let at_ms = sight.at_ms;
        let changes = sight.led.into_iter().filter_map(|led| self.changed(led, at_ms)).collect();
        let before = std::mem::replace(&mut self.troubles, sight.troubles);
        let began = self.troubles.iter().filter(|(trouble, _)| !before.contains_key(*trouble));
        let over = before.iter().filter(|(trouble, _)| !self.troubles.contains_key(*trouble));
        let began = began.map(|(trouble, text)| incident(at_ms, trouble, text, false));
        let over = over.map(|(trouble, text)| incident(at_ms, trouble, text, true));
        (changes, over.chain(began).collect())
    }

    fn changed(&mut self, now: Led, at_ms: u64) -> Option<LeaderChange> {
        let before = self.led.get(&now.group).copied();
        // Late news of an older term say nothing new.
        if before.is_some_and(|before| before.term >= now.term) {
            return None;
        }
        self.led.insert(now.group, now);
        Some(LeaderChange {
            at_ms,
            group: now.group,
            term: now.term,
            from_node: before?.by.to_vec().into(),
            to_node: now.by.to_vec().into(),
        })
    }
}

fn incident(at_ms: u64, trouble: &Trouble, text: &str, over: bool) -> Incident {
    let Trouble { kind, subject } = trouble;
    Incident { at_ms, kind: (*kind).to_owned(), subject: subject.clone(), text: text.to_owned(), over }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: &str = "node_silent";

    fn led(term: u64, by: u8) -> Sight {
        Sight { at_ms: term * 10, led: vec![Led { group: 4, term, by: [by; 16] }], ..Sight::default() }
    }

    fn silent(at_ms: u64, names: &[&str]) -> Sight {
        let trouble = |name: &&str| Trouble { kind: SILENT, subject: (*name).to_owned() };
        let troubles = names.iter().map(|name| (trouble(name), "not heard".to_owned())).collect();
        Sight { at_ms, troubles, ..Sight::default() }
    }

    #[test]
    fn a_later_term_is_a_change_and_the_first_leader_is_none() {
        let mut watch = Watch::default();
        let mut changes = |sight| -> Vec<(u64, u64, u8, u8)> {
            let (changes, incidents) = watch.look(sight);
            assert!(incidents.is_empty());
            let change = |it: LeaderChange| (it.at_ms, it.term, it.from_node[0], it.to_node[0]);
            changes.into_iter().map(change).collect()
        };
        assert_eq!(changes(led(3, 1)), []);
        assert_eq!(changes(led(3, 1)), []);
        assert_eq!(changes(Sight::default()), [], "no leader is known for a while");
        assert_eq!(changes(led(5, 2)), [(50, 5, 1, 2)]);
        assert_eq!(changes(led(4, 1)), [], "an older term");
        assert_eq!(changes(led(6, 2)), [(60, 6, 2, 2)], "elected again");
    }

    #[test]
    fn a_trouble_is_told_once_when_it_begins_and_once_when_it_ends() {
        let mut watch = Watch::default();
        let mut told = |sight| -> Vec<(u64, String, bool)> {
            let (_, incidents) = watch.look(sight);
            incidents.into_iter().map(|it| (it.at_ms, it.subject, it.over)).collect()
        };
        assert_eq!(told(silent(1, &[])), []);
        assert_eq!(told(silent(2, &["n2"])), [(2, "n2".to_owned(), false)]);
        assert_eq!(told(silent(3, &["n2"])), []);
        assert_eq!(told(silent(4, &["n3"])), [(4, "n2".to_owned(), true), (4, "n3".to_owned(), false)]);
        assert_eq!(told(silent(5, &[])), [(5, "n3".to_owned(), true)]);
    }
}
