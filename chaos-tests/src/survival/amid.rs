//! How many kills struck while large bodies were on their way.

use super::content::Sizes;
use super::faults::Kill;
use crate::history::{Action, History, Operation, Outcome};

/// Kills with a large upload under way, and those with a large download. Of a read that broke the size is
/// not known: it does not count.
pub fn kills_amid(history: &History, kills: &[Kill], sizes: Sizes) -> (usize, usize) {
    let is_upload =
        |operation: &Operation| matches!(operation.action, Action::Put(value) if sizes.is_large(value));
    let is_download = |operation: &Operation| {
        operation.action == Action::Read
            && matches!(operation.outcome, Outcome::Saw(Some(value)) if sizes.is_large(value))
    };
    (amid(history, kills, is_upload), amid(history, kills, is_download))
}

fn amid(history: &History, kills: &[Kill], wanted: impl Fn(&Operation) -> bool) -> usize {
    let wanted: Vec<&Operation> = history.operations.iter().filter(|operation| wanted(operation)).collect();
    let struck = |kill: &&Kill| {
        wanted.iter().any(|operation| (operation.called_ns..operation.returned_ns).contains(&kill.at_ns))
    };
    kills.iter().filter(struck).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Key;
    use crate::survival::faults::Victim;

    #[test]
    fn a_kill_counts_while_a_large_body_is_on_its_way() {
        let sizes = Sizes { large_percent: 50, large_kib_max: 1024 };
        let of_size = |large: bool| (0..).find(|value| sizes.is_large(*value) == large).expect("both occur");
        let (large, small) = (of_size(true), of_size(false));
        let operation = |action, outcome, called_ns, returned_ns| Operation {
            key: Key { user: 0, path: "/pub/a".into() },
            action,
            called_ns,
            returned_ns,
            outcome,
        };
        let operations = vec![
            operation(Action::Put(large), Outcome::Done, 10, 20),
            operation(Action::Put(small), Outcome::Done, 30, 40),
            operation(Action::Put(large), Outcome::Unknown, 50, 60),
            operation(Action::Read, Outcome::Saw(Some(large)), 50, 60),
            operation(Action::Read, Outcome::Saw(None), 70, 80),
        ];
        let kill = |at_ns| Kill { victim: Victim::Gateway, component: "g".into(), at_ns, led: Vec::new() };
        let kills = [5, 15, 25, 35, 55, 75].map(kill);
        assert_eq!(kills_amid(&History { operations }, &kills, sizes), (2, 1));
    }
}
