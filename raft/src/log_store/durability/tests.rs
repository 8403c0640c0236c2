//! Random submissions, truncations, answers and waits against a model that knows each entry's submission.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;

use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

/// An event in the life of a log between two looks at it.
#[derive(Clone, Debug)]
enum Step {
    Append { count: u64 },
    Truncate { keep: u64 },
    Answer,
    Fail,
    Wait { index: u64 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..4_u64).prop_map(|count| Step::Append { count }),
        2 => (0..20_u64).prop_map(|keep| Step::Truncate { keep }),
        6 => Just(Step::Answer),
        1 => Just(Step::Fail),
        5 => (0..24_u64).prop_map(|index| Step::Wait { index }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// A waiter with what it was promised.
struct Waiting {
    answer: Answer,
    /// Must not wake before this many submissions are durable.
    earliest: u64,
    /// Must wake once this many are.
    latest: u64,
    /// The entry, as long as it is not truncated.
    index: Option<u64>,
}

#[derive(Default)]
struct Model {
    durability: Durability,
    /// The submission that wrote each entry.
    entries: BTreeMap<u64, u64>,
    submitted: u64,
    completed: u64,
    unanswered: VecDeque<Mark>,
    waiting: Vec<Waiting>,
    failed: bool,
}

impl Model {
    fn end(&self) -> u64 {
        self.entries.len() as u64
    }

    fn submit(&mut self) {
        self.submitted += 1;
        let mark = self.durability.submit(self.end());
        self.unanswered.push_back(mark);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { count } => {
                let end = self.end();
                let submission = self.submitted + 1;
                self.entries.extend((end..end + count).map(|index| (index, submission)));
                self.submit();
            }
            Step::Truncate { keep } if keep < self.end() => {
                self.entries.split_off(&keep);
                self.durability.truncate(keep);
                let truncation = self.submitted + 1;
                for waiting in &mut self.waiting {
                    let Some(index) = waiting.index else { continue };
                    waiting.latest = truncation;
                    if index >= keep {
                        (waiting.index, waiting.earliest) = (None, truncation);
                    }
                }
                self.submit();
            }
            Step::Truncate { .. } => {}
            Step::Answer => self.answer(if self.failed { dead_disk() } else { Ok(()) }),
            Step::Fail => self.answer(dead_disk()),
            Step::Wait { index } => self.wait(index),
            Step::Restart => {
                // A crash kept whatever was written.
                let entries = std::mem::take(&mut self.entries);
                *self = Self { durability: Durability::opened(entries.len() as u64), ..Self::default() };
                self.entries = entries.into_keys().map(|index| (index, 0)).collect();
            }
        }
        self.check();
    }

    fn answer(&mut self, result: Result<(), Error>) {
        let Some(mark) = self.unanswered.pop_front() else { return };
        match &result {
            Ok(()) => self.completed += 1,
            Err(_) => self.failed = true,
        }
        for waiter in self.durability.complete(mark, &result) {
            waiter.send(if self.failed { dead_disk() } else { Ok(()) }).expect("it waits");
        }
    }

    fn wait(&mut self, index: u64) {
        let waited = self.durability.wait(index, self.end());
        if self.failed {
            assert!(waited.is_err(), "nothing becomes durable any more");
            return;
        }
        let entry = self.entries.get(&index).copied();
        let (earliest, latest) = (entry.unwrap_or(self.submitted), self.submitted);
        if let Some(answer) = waited.expect("a log that works") {
            assert!(latest > self.completed, "everything is durable");
            self.waiting.push(Waiting { answer, earliest, latest, index: entry.map(|_| index) });
        } else {
            assert!(earliest <= self.completed, "{index} is not durable");
        }
    }

    /// Entries below the mark are durable, and each waiter knows exactly what it may.
    fn check(&mut self) {
        let below = self.durability.below();
        assert!(below <= self.end());
        assert!(self.entries.range(..below).all(|(_, submission)| *submission <= self.completed));
        let (completed, failed) = (self.completed, self.failed);
        self.waiting.retain_mut(|waiting| match waiting.answer.try_recv() {
            Err(TryRecvError::Empty) => {
                assert!(waiting.latest > completed && !failed, "a waiter was forgotten");
                true
            }
            Ok(answer) => {
                assert!(answer.is_err() == failed && (failed || waiting.earliest <= completed));
                false
            }
            Err(TryRecvError::Closed) => panic!("a waiter was dropped"),
        });
    }
}

fn dead_disk() -> Result<(), Error> {
    Err(dead("the disk is gone"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn waiters_wake_when_their_entries_are_durable_and_not_before(steps in steps()) {
        let mut model = Model::default();
        for step in &steps {
            model.take(step);
        }
    }
}

#[test]
#[cfg(debug_assertions)]
fn an_answer_out_of_order_is_found() {
    let mut durability = Durability::opened(3);
    let (first, second) = (durability.submit(4), durability.submit(5));
    durability.complete(second, &Ok(()));
    let found = std::panic::catch_unwind(AssertUnwindSafe(move || durability.complete(first, &Ok(())).len()));
    assert!(found.is_err());
}
