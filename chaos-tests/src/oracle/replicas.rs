//! Do replicas that applied the same log hold the same state?

use std::collections::BTreeMap;

use super::{VIOLATIONS_MAX, Violation};

const ORACLE: &str = "replicas";
/// Remembered points of each group; older ones go first.
const POINTS_PER_GROUP_MAX: usize = 100_000;

/// The first hash reported for each (group, applied index), and by whom.
#[derive(Clone, Debug)]
pub struct ReplicaHashes {
    /// Which hash this is, for the report.
    kind: &'static str,
    points: BTreeMap<u32, BTreeMap<u64, (Vec<u8>, u64)>>,
    compared: u64,
    violations: Vec<Violation>,
}

impl ReplicaHashes {
    /// An oracle for one kind of hash, which findings name.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, points: BTreeMap::new(), compared: 0, violations: Vec::new() }
    }

    /// Notes the hash that a replica has at an index, and compares it with those of the others.
    pub fn observe(&mut self, group: u32, index: u64, hash: &[u8], replica: u64) {
        if hash.is_empty() || index == 0 {
            return;
        }
        let points = self.points.entry(group).or_default();
        match points.get(&index) {
            None => {
                points.insert(index, (hash.to_vec(), replica));
                if points.len() > POINTS_PER_GROUP_MAX {
                    points.pop_first();
                }
            }
            Some((_, first)) if *first == replica => {}
            Some((known, _)) if known == hash => self.compared += 1,
            Some((_, first)) => {
                let kind = self.kind;
                let what = format!(
                    "{kind} of group {group} at index {index}: replicas {first} and {replica} differ"
                );
                if self.violations.len() < VIOLATIONS_MAX {
                    self.violations.push(Violation { oracle: ORACLE, what });
                }
            }
        }
    }

    /// How often two replicas were found equal: zero means nothing was tested.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Differences found so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_replicas_agree_and_different_ones_are_named() {
        let mut hashes = ReplicaHashes::new("chained hash");
        hashes.observe(1, 10, &[1; 32], 1);
        hashes.observe(1, 10, &[1; 32], 2);
        hashes.observe(1, 11, &[2; 32], 1);
        hashes.observe(2, 10, &[9; 32], 3);
        assert_eq!((hashes.compared(), hashes.violations().len()), (1, 0));
        hashes.observe(1, 11, &[3; 32], 2);
        assert_eq!(hashes.violations().len(), 1);
        hashes.observe(3, 0, &[3; 32], 2);
        hashes.observe(3, 5, &[], 2);
        assert_eq!(hashes.compared(), 1);
    }
}
