//! Lease terms: a leader reads because its followers refuse another one for a while.

use std::time::Duration;

/// No new request is made while the oldest on its way is older than this.
///
/// openraft stamps a request when it is made, and credits an answer with the latest stamp of the same last
/// log id: a request that only carries a commit index, made after the entries it follows and perhaps never
/// received. So the leader's lease may reach this far beyond what a follower granted, which `LEASE_MARGIN`
/// covers.
pub const STAMP_AGE_MAX: Duration = Duration::from_millis(100);

/// How much longer a follower must refuse votes than a leader reads: `read + LEASE_MARGIN <= granted`.
///
/// A leader reads until stamp + read, where the stamp may be `STAMP_AGE_MAX` later than the moment at which
/// the follower received what it acknowledged. That follower votes for nobody until receipt + granted, so
/// `read + STAMP_AGE_MAX <= granted` is what perfect clocks need. As much again is for clocks of different
/// rates: 0.3 % of the longest read lease (30 s), three times what two clocks under slewing differ.
pub const LEASE_MARGIN: Duration = STAMP_AGE_MAX.saturating_mul(2);

/// One node's part in leases. Nodes tell each other at the beginning of every link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// As a follower it votes for nobody for this long after it heard from a leader.
    pub granted: Duration,
    /// As a leader it reads for this long after a quorum heard from it.
    pub read: Duration,
}

impl LeaseTerms {
    /// The terms as peers tell them.
    pub fn from_millis(granted_ms: u64, read_ms: u64) -> Self {
        Self { granted: Duration::from_millis(granted_ms), read: Duration::from_millis(read_ms) }
    }

    /// Whether reads of this node, when it leads `follower`, are never stale.
    pub fn may_lead(self, follower: Self) -> bool {
        self.read + LEASE_MARGIN <= follower.granted
    }

    /// Whether each of the two may lead the other; else why not, for the operator of this node.
    ///
    /// Both ways, although frames go one way only: a node that can follow but not lead would be handed
    /// leaderships again and again.
    pub fn suits(self, peer: Self) -> Result<(), String> {
        if self.may_lead(peer) && peer.may_lead(self) {
            return Ok(());
        }
        let (read, granted) =
            if self.may_lead(peer) { (peer.read, self.granted) } else { (self.read, peer.granted) };
        Err(format!(
            "its raft.election_max_ms is {}, this node's is {}: one would read for {read:?} after a quorum heard \
             from it, and the other refuse a new leader for {granted:?}, which must be {LEASE_MARGIN:?} more; change \
             the setting in smaller steps, node by node",
            peer.granted.as_millis(),
            self.granted.as_millis(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RaftTiming;

    fn terms(election_max_ms: u64) -> LeaseTerms {
        RaftTiming { election_max_ms, ..RaftTiming::default() }.lease_terms()
    }

    #[test]
    fn a_leader_reads_for_less_than_each_follower_refuses_others() {
        let exact = LeaseTerms::from_millis(500, 300);
        assert!(exact.may_lead(exact));
        assert!(!exact.may_lead(LeaseTerms::from_millis(499, 300)));
        assert!(!LeaseTerms::from_millis(500, 301).may_lead(exact));
        assert!(!exact.may_lead(LeaseTerms::from_millis(0, 0)), "a peer that tells nothing promises nothing");
    }

    #[test]
    fn a_refusal_names_both_values_and_the_setting() {
        for (ours, theirs) in [(600, 5000), (5000, 600)] {
            let why = terms(ours).suits(terms(theirs)).expect_err("2.5 s against 0.6 s");
            assert!(
                why.contains(&format!("its raft.election_max_ms is {theirs}, this node's is {ours}")),
                "{why}"
            );
            assert!(why.contains("read for 2.5s") && why.contains("for 600ms"), "{why}");
        }
    }

    #[test]
    fn small_steps_suit_and_lead_anywhere() {
        let steps = [600, 800, 1200, 2000, 3600, 6800, 13_200];
        for step in steps.windows(2) {
            let (from, to) = (terms(step[0]), terms(step[1]));
            assert_eq!((from.suits(to), to.suits(from)), (Ok(()), Ok(())), "{step:?}");
            assert!(from.suits(terms(step[1] + 2)).is_err(), "{step:?}");
        }
    }
}
