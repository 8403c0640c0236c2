//! Is one key's history that of a register which changes at one instant between call and answer?
//!
//! The search of Wing and Gong with the memory of Lowe: try the operations that may come next, go
//! back on contradiction, never visit the same (set of placed operations, value) twice. Operations
//! with an unknown outcome may be placed at any time after their call, or never; those that nobody
//! could tell apart are placed in the order of their calls, so that their orders are not all tried.

use std::collections::{HashMap, HashSet};

use crate::history::{Action, Operation, Outcome, Value};

/// States visited before giving up: seconds of search, far beyond what a healthy history takes.
const STATES_MAX: usize = 500_000;

/// Stands for every value no read saw. Workers count up from one and never reach it.
const UNSEEN: Value = Value::MAX;

/// Whether the history of one key is that of a linearizable register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// The longest prefix that could be explained, and the operations none of which could follow.
    Broken(String),
    /// Too many concurrent unknown operations to decide.
    Undecided,
}

/// Bit set of placed operations.
type Placed = Vec<u64>;

/// `operations`: all of one key. The register starts absent.
pub fn check_register(operations: &[&Operation]) -> Verdict {
    let mut sorted: Vec<&Operation> =
        operations.iter().copied().filter(|operation| constrains(operation)).collect();
    sorted.sort_by_key(|operation| operation.called_ns);
    let seen: HashSet<Value> = sorted.iter().filter_map(|operation| seen_value(operation)).collect();
    let twins = twins(&sorted, &seen);
    Search { operations: sorted, seen, twins }.run()
}

fn seen_value(operation: &Operation) -> Option<Value> {
    match operation.outcome {
        Outcome::Saw(value) => value,
        _ => None,
    }
}

/// Unknown operations of the same effect, as far as anyone could see.
#[derive(PartialEq, Eq, Hash)]
enum Alike {
    UnseenPut,
    Delete,
}

/// For each operation the previous one like it, which is placed first without loss: it was called
/// earlier, may end as late, and does the same.
fn twins(operations: &[&Operation], seen: &HashSet<Value>) -> Vec<Option<usize>> {
    let mut last: HashMap<Alike, usize> = HashMap::new();
    let alike = |operation: &Operation| match (operation.action, operation.outcome) {
        (Action::Put(value), Outcome::Unknown) if !seen.contains(&value) => Some(Alike::UnseenPut),
        (Action::Delete, Outcome::Unknown) => Some(Alike::Delete),
        _ => None,
    };
    let indexed = operations.iter().enumerate();
    indexed.map(|(index, operation)| alike(operation).and_then(|alike| last.insert(alike, index))).collect()
}

/// Reads without an answer say nothing.
fn constrains(operation: &Operation) -> bool {
    !(operation.action == Action::Read && operation.outcome == Outcome::Unknown)
}

struct Search<'a> {
    operations: Vec<&'a Operation>,
    /// Values some read saw; all others are the same to everyone.
    seen: HashSet<Value>,
    twins: Vec<Option<usize>>,
}

/// One step of the depth-first search: the state reached and the choices left.
struct Frame {
    placed: Placed,
    value: Option<Value>,
    choices: Vec<usize>,
    depth: usize,
}

impl Search<'_> {
    fn run(&self) -> Verdict {
        let root: Placed = vec![0; self.operations.len().div_ceil(64)];
        let mut visited: HashSet<(Placed, Option<Value>)> = HashSet::new();
        let mut deepest = (0, root.clone(), None);
        let mut stack = vec![self.frame(root, None, 0)];
        while let Some(frame) = stack.last_mut() {
            if self.all_known_placed(&frame.placed) {
                return Verdict::Linearizable;
            }
            let Some(next) = frame.choices.pop() else {
                stack.pop();
                continue;
            };
            let Some(value) = self.step(next, frame.value) else { continue };
            let mut placed = frame.placed.clone();
            placed[next / 64] |= 1 << (next % 64);
            let depth = frame.depth + 1;
            if !visited.insert((placed.clone(), value)) {
                continue;
            }
            if visited.len() > STATES_MAX {
                return Verdict::Undecided;
            }
            if depth > deepest.0 {
                deepest = (depth, placed.clone(), value);
            }
            stack.push(self.frame(placed, value, depth));
        }
        let (_, placed, value) = deepest;
        Verdict::Broken(self.explain(&placed, value))
    }

    fn frame(&self, placed: Placed, value: Option<Value>, depth: usize) -> Frame {
        let choices = self.choices(&placed);
        Frame { placed, value, choices, depth }
    }

    /// Operations called before any unplaced one had certainly ended. Known ones are tried first
    /// (they lie last, and choices are popped from the end), so that unknown ones fill real gaps.
    fn choices(&self, placed: &Placed) -> Vec<usize> {
        let mut bound = u64::MAX;
        let mut open = Vec::new();
        for (index, operation) in self.operations.iter().enumerate() {
            if is_placed(placed, index) {
                continue;
            }
            if operation.called_ns > bound {
                break;
            }
            bound = bound.min(operation.effective_end_ns());
            open.push(index);
        }
        open.retain(|index| {
            let twin_waits = self.twins[*index].is_some_and(|twin| !is_placed(placed, twin));
            self.operations[*index].called_ns <= bound && !twin_waits
        });
        open.sort_by_key(|index| std::cmp::Reverse(self.operations[*index].effective_end_ns()));
        open
    }

    /// The value after the operation, or None when its outcome contradicts the value before it.
    fn step(&self, index: usize, before: Option<Value>) -> Option<Option<Value>> {
        let operation = self.operations[index];
        match (operation.action, operation.outcome) {
            (Action::Put(value), Outcome::Done | Outcome::Unknown) => {
                Some(Some(if self.seen.contains(&value) { value } else { UNSEEN }))
            }
            (Action::Delete, Outcome::Done) => before.is_some().then_some(None),
            (Action::Delete, Outcome::Missing) => before.is_none().then_some(None),
            (Action::Delete, Outcome::Unknown) => Some(None),
            (Action::Read, Outcome::Saw(seen)) => (seen == before).then_some(before),
            _ => None,
        }
    }

    fn all_known_placed(&self, placed: &Placed) -> bool {
        (0..self.operations.len())
            .all(|index| is_placed(placed, index) || self.operations[index].outcome == Outcome::Unknown)
    }

    fn explain(&self, placed: &Placed, value: Option<Value>) -> String {
        let stuck: Vec<String> = self
            .choices(placed)
            .into_iter()
            .rev()
            .take(6)
            .map(|index| {
                let operation = self.operations[index];
                let end = match operation.outcome {
                    Outcome::Unknown => "?".to_owned(),
                    _ => (operation.returned_ns / 1000).to_string(),
                };
                let Operation { action, outcome, called_ns, .. } = operation;
                format!("{action:?} -> {outcome:?} [{}..{end} µs]", called_ns / 1000)
            })
            .collect();
        format!("with value {value:?}, nothing explains: {}", stuck.join("; "))
    }
}

fn is_placed(placed: &Placed, index: usize) -> bool {
    placed[index / 64] & (1 << (index % 64)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Key;
    use proptest::prelude::*;

    fn operation(action: Action, outcome: Outcome, called_ns: u64, returned_ns: u64) -> Operation {
        Operation { key: Key { user: 0, path: "/pub/x".into() }, action, called_ns, returned_ns, outcome }
    }

    fn verdict(operations: &[Operation]) -> Verdict {
        check_register(&operations.iter().collect::<Vec<_>>())
    }

    fn broken(operations: &[Operation]) -> bool {
        matches!(verdict(operations), Verdict::Broken(_))
    }

    use Action::{Delete, Put, Read};
    use Outcome::{Done, Missing, Saw, Unknown};

    #[test]
    fn a_plain_history_is_fine() {
        let history = [
            operation(Read, Saw(None), 0, 1),
            operation(Put(1), Done, 2, 3),
            operation(Read, Saw(Some(1)), 4, 5),
            operation(Delete, Done, 6, 7),
            operation(Delete, Missing, 8, 9),
            operation(Read, Saw(None), 10, 11),
        ];
        assert_eq!(verdict(&history), Verdict::Linearizable);
    }

    #[test]
    fn a_lost_acknowledged_write_is_found() {
        assert!(broken(&[operation(Put(1), Done, 0, 1), operation(Read, Saw(None), 2, 3)]));
        assert!(broken(&[
            operation(Put(1), Done, 0, 1),
            operation(Put(2), Done, 2, 3),
            operation(Read, Saw(Some(1)), 4, 5),
        ]));
    }

    #[test]
    fn a_stale_read_after_a_fresh_one_is_found() {
        assert!(broken(&[
            operation(Put(1), Done, 0, 1),
            operation(Put(2), Done, 2, 10),
            operation(Read, Saw(Some(2)), 3, 4),
            operation(Read, Saw(Some(1)), 5, 6),
        ]));
    }

    #[test]
    fn a_value_from_nowhere_is_found() {
        assert!(broken(&[operation(Put(1), Done, 0, 1), operation(Read, Saw(Some(7)), 2, 3)]));
    }

    #[test]
    fn a_wrong_answer_to_delete_is_found() {
        assert!(broken(&[operation(Put(1), Done, 0, 1), operation(Delete, Missing, 2, 3)]));
        assert!(broken(&[operation(Delete, Done, 0, 1)]));
        let unseen =
            [operation(Put(1), Unknown, 0, 1), operation(Delete, Done, 2, 3), operation(Delete, Done, 4, 5)];
        assert!(broken(&unseen), "one put, two deletes");
        assert_eq!(verdict(&unseen[..2]), Verdict::Linearizable);
    }

    #[test]
    fn concurrent_writes_may_land_in_either_order() {
        for seen in [1, 2] {
            let history = [
                operation(Put(1), Done, 0, 10),
                operation(Put(2), Done, 0, 10),
                operation(Read, Saw(Some(seen)), 11, 12),
            ];
            assert_eq!(verdict(&history), Verdict::Linearizable);
        }
    }

    #[test]
    fn an_unknown_write_may_happen_late_or_never_but_only_once() {
        let late = [
            operation(Put(1), Unknown, 0, 5),
            operation(Put(2), Done, 6, 7),
            operation(Read, Saw(Some(2)), 8, 9),
            operation(Read, Saw(Some(1)), 10, 11),
        ];
        assert_eq!(verdict(&late), Verdict::Linearizable);
        let never = [operation(Put(1), Unknown, 0, 5), operation(Read, Saw(None), 6, 7)];
        assert_eq!(verdict(&never), Verdict::Linearizable);
        let twice = [
            operation(Put(1), Unknown, 0, 5),
            operation(Read, Saw(Some(1)), 6, 7),
            operation(Put(2), Done, 8, 9),
            operation(Read, Saw(Some(1)), 10, 11),
        ];
        assert!(broken(&twice));
    }

    #[test]
    fn an_unknown_write_does_not_happen_before_its_call() {
        assert!(broken(&[operation(Read, Saw(Some(1)), 0, 1), operation(Put(1), Unknown, 2, 3)]));
    }

    #[test]
    fn many_unknown_writes_are_decided() {
        let mut history: Vec<Operation> =
            (0..60).map(|at| operation(Put(at), Unknown, at * 10, at * 10 + 5)).collect();
        history.extend((0..300).map(|at| operation(Read, Saw(Some(59)), 1000 + at * 10, 1005 + at * 10)));
        assert_eq!(verdict(&history), Verdict::Linearizable);
        history.push(operation(Read, Saw(None), 9000, 9001));
        assert!(broken(&history), "nothing deleted it");
        history.insert(60, operation(Delete, Unknown, 900, 901));
        assert_eq!(verdict(&history), Verdict::Linearizable);
    }

    /// A history produced by a real register: each operation takes effect at `at`, and its call
    /// and answer lie around it.
    fn real_history(steps: &[(u8, u64, u64, bool)]) -> Vec<Operation> {
        let mut value = None;
        let mut history = Vec::new();
        for (number, (kind, before, after, lost)) in steps.iter().enumerate() {
            let at = (number as u64 + 1) * 100;
            let (action, outcome) = match kind % 3 {
                0 => (Put(number as u64), Done),
                1 => (Delete, if value.is_some() { Done } else { Missing }),
                _ => (Read, Saw(value)),
            };
            match action {
                Put(new) => value = Some(new),
                Delete => value = None,
                Read => {}
            }
            let outcome = if *lost { Unknown } else { outcome };
            history.push(operation(action, outcome, at - before.min(&(at - 1)), at + after));
        }
        history
    }

    proptest! {
        #[test]
        fn every_real_history_is_accepted(steps in prop::collection::vec((0u8..3, 0u64..400, 0u64..400, prop::bool::weighted(0.1)), 1..120)) {
            prop_assert_eq!(verdict(&real_history(&steps)), Verdict::Linearizable);
        }

        #[test]
        fn a_read_of_an_overwritten_value_is_refused(steps in prop::collection::vec((0u8..3, 0u64..400, 0u64..400, Just(false)), 1..60)) {
            let mut history = real_history(&steps);
            let end = 1_000_000;
            history.push(operation(Put(7_000), Done, end, end + 1));
            history.push(operation(Put(7_001), Done, end + 2, end + 3));
            history.push(operation(Read, Saw(Some(7_000)), end + 4, end + 5));
            prop_assert!(broken(&history));
        }
    }
}
