//! `Machine`: a group's state machine, a pure function of state and command.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::error::Error;
use crate::state::Txn;
use crate::{GroupId, ReplicaId};

/// Where a command stands in its log, and whose log that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryContext<'a> {
    /// The group whose log holds the entry.
    pub group: GroupId,
    /// Term in which the entry was proposed.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
    /// The sets of voters in effect at the entry, as the log has them: one, or two while the group is between them.
    pub voters: &'a [BTreeSet<ReplicaId>],
}

impl EntryContext<'_> {
    /// Whether these replicas are a majority of each set of voters.
    pub fn is_quorum(&self, replicas: &[ReplicaId]) -> bool {
        is_quorum(self.voters, replicas)
    }
}

/// Whether `replicas` are a majority of each set; never without sets.
pub(crate) fn is_quorum(sets: &[BTreeSet<ReplicaId>], replicas: &[ReplicaId]) -> bool {
    let majority = |voters: &BTreeSet<ReplicaId>| {
        let among = voters.iter().filter(|voter| replicas.contains(voter)).count();
        among * 2 > voters.len()
    };
    !sets.is_empty() && sets.iter().all(majority)
}

/// Applies commands to one group's state.
///
/// `apply` uses no clock, no randomness, no iteration over unordered maps and nothing of this machine: time and
/// identity come inside the command, so that every replica writes the same bytes
/// (docs/rules/consensus.md#apply-is-deterministic). A command that must be refused is a normal reply. `Err` is for
/// storage that cannot be read, and for a command this program does not understand: others do, so it is never
/// skipped. It ends the replica before the entry.
pub trait Machine: Send + Sync + 'static {
    /// Applies one command through `txn`, and answers with opaque bytes.
    fn apply(&self, context: EntryContext<'_>, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_has_a_majority_of_each_set() {
        let sets =
            |sets: &[&[ReplicaId]]| sets.iter().map(|set| set.iter().copied().collect()).collect::<Vec<_>>();
        let one = sets(&[&[1, 2, 3]]);
        for (replicas, expected) in [(&[1, 2][..], true), (&[1, 4], false), (&[1, 1], false), (&[], false)] {
            assert_eq!(is_quorum(&one, replicas), expected, "{replicas:?} of one set");
        }
        let two = sets(&[&[1, 2, 3], &[2, 3, 4]]);
        for (replicas, expected) in
            [(&[2, 3][..], true), (&[1, 2], false), (&[3, 4], false), (&[1, 2, 4], true)]
        {
            assert_eq!(is_quorum(&two, replicas), expected, "{replicas:?} of two sets");
        }
        assert!(!is_quorum(&[], &[1]), "a group that was never brought to life");
    }
}
