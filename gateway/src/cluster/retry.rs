//! Whom to ask next and how long to wait before it: pure, so that every case has a test. Sleeping,
//! deadlines and sending are in `send.rs`.

use std::time::Duration;

use rowhouse_proto::{Backoff, ErrorCode, Refusal, Spread};

use super::Group;

/// First pause: a leader that steps down is replaced by transfer within milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// An election takes 400 to 600 ms; asking every 100 ms adds little load and little delay.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Redirects followed without a pause: one stale hint and its correction.
const FREE_REDIRECTS: u32 = 2;

/// The next step after an attempt that brought no result.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The refusal is the answer; not to be retried.
    Refused(Refusal),
    /// Another replica leads, perhaps the node with this uuid.
    Redirect(Option<[u8; 16]>),
    /// Unreachable, or the outcome is unknown: ask again, with the same request id.
    Retry,
}

impl Verdict {
    /// A shard refused. A refusal that another replica may not share is asked for again.
    pub fn of_refusal(refusal: Refusal) -> Self {
        match refusal.code {
            ErrorCode::NotLeader => Self::Redirect(refusal.leader),
            ErrorCode::WrongReplica | ErrorCode::Unavailable | ErrorCode::WrongVersion => Self::Retry,
            _ => Self::Refused(refusal),
        }
    }

    /// The transport failed. Refusals of a shard travel in replies.
    pub fn of_status(status: &tonic::Status) -> Self {
        match status.code() {
            // The message itself is the problem: no replica will take it.
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => {
                Self::Refused(ErrorCode::Internal.into())
            }
            _ => Self::Retry,
        }
    }
}

/// One request's way through the replicas of its shard.
pub struct Walk {
    /// An attempt ended without an answer.
    pub may_be_applied: bool,
    redirects: u32,
    last: Option<usize>,
    /// Uuid of the node that is said to lead.
    hint: Option<[u8; 16]>,
    /// The free failure, or a pause, was taken.
    paused: bool,
    backoff: Backoff,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            may_be_applied: false,
            redirects: 0,
            last: None,
            hint: None,
            paused: false,
            // Half of a pause is random, so that the requests of a lost leader do not return in step.
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX, Spread::UpperHalf),
        }
    }
}

impl Walk {
    /// The replica to ask: the hinted one, else the known leader, else the next in turn. `None` only
    /// for a group without replicas.
    pub fn choose(&mut self, group: &Group, shard: u32) -> Option<usize> {
        let count = group.replicas().len();
        let hinted = self.hint.take().and_then(|uuid| group.position(&uuid));
        let in_turn = match self.last {
            Some(last) => last + 1,
            // Spreads the first guesses of many shards over the nodes.
            None => shard as usize,
        };
        let index = hinted.or_else(|| group.leader()).or_else(|| in_turn.checked_rem(count))?;
        self.last = Some(index);
        Some(index)
    }

    /// A redirect was answered. Returns the pause before following it.
    pub fn redirected(&mut self, group: &Group, hint: Option<[u8; 16]>) -> Duration {
        if let Some(last) = self.last {
            group.forget_leader(last);
        }
        let elsewhere = hint.and_then(|uuid| group.position(&uuid)).filter(|at| Some(*at) != self.last);
        self.redirects += 1;
        if elsewhere.is_some() && self.redirects <= FREE_REDIRECTS {
            self.hint = hint;
            return Duration::ZERO;
        }
        // Later hints are often the dead leader's name: go round instead.
        self.hint = hint.filter(|_| elsewhere.is_some() && self.redirects.is_multiple_of(2));
        self.pause()
    }

    /// The attempt failed without an answer. Returns the pause before the next one.
    pub fn failed(&mut self, group: &Group) -> Duration {
        self.may_be_applied = true;
        if let Some(last) = self.last {
            group.forget_leader(last);
        }
        // The first failure costs nothing: another replica may know the leader already.
        if !self.paused {
            self.paused = true;
            return Duration::ZERO;
        }
        self.pause()
    }

    fn pause(&mut self) -> Duration {
        self.paused = true;
        self.backoff.pause(rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::group_of;

    #[test]
    fn each_refusal_has_its_verdict() {
        let leader = Some([2; 16]);
        assert_eq!(Verdict::of_refusal(Refusal::not_leader(leader)), Verdict::Redirect(leader));
        assert_eq!(Verdict::of_refusal(Refusal::not_leader(None)), Verdict::Redirect(None));
        for code in [ErrorCode::WrongReplica, ErrorCode::Unavailable, ErrorCode::WrongVersion] {
            assert_eq!(Verdict::of_refusal(code.into()), Verdict::Retry);
        }
        for code in [ErrorCode::Overloaded, ErrorCode::NoSession, ErrorCode::RequestExpired] {
            assert_eq!(Verdict::of_refusal(code.into()), Verdict::Refused(code.into()));
        }
        assert_eq!(Verdict::of_status(&tonic::Status::unavailable("")), Verdict::Retry);
        assert!(matches!(Verdict::of_status(&tonic::Status::out_of_range("")), Verdict::Refused(_)));
    }

    #[tokio::test]
    async fn a_walk_visits_every_replica_while_no_leader_is_known() {
        let group = group_of(3);
        let mut walk = Walk::default();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(walk.choose(&group, 7).expect("replicas"));
            walk.failed(&group);
        }
        assert_eq!(seen, [1, 2, 0]);
        assert_eq!(walk.choose(&group_of(0), 7), None);
    }

    #[tokio::test]
    async fn hints_are_followed_at_once_but_not_for_ever() {
        let group = group_of(3);
        group.set_leader(0);
        let mut walk = Walk::default();
        assert_eq!(walk.choose(&group, 0), Some(0));
        assert_eq!(walk.redirected(&group, Some([3; 16])), Duration::ZERO);
        assert_eq!(walk.choose(&group, 0), Some(2));
        assert_eq!(walk.redirected(&group, Some([1; 16])), Duration::ZERO);
        assert_eq!(walk.choose(&group, 0), Some(0));
        assert!(walk.redirected(&group, Some([3; 16])) >= PAUSE_MIN / 2);
    }

    #[tokio::test]
    async fn pauses_grow_to_their_bound() {
        let group = group_of(1);
        let mut walk = Walk::default();
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            walk.choose(&group, 0);
            longest = longest.max(walk.failed(&group));
        }
        assert!(longest > PAUSE_MIN && longest <= PAUSE_MAX, "{longest:?}");
    }
}
