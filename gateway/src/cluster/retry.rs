//! Whom to ask next and how long to wait before it: pure, so that every case has a test. Sleeping,
//! deadlines and sending are in `send.rs`.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::{Backoff, ErrorCode, Refusal, Spread};

use super::{Group, Map, Node};

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
    /// The node has no replica of the shard: the map in use is old, or the node has not begun yet.
    Absent,
    /// Unreachable, or the outcome is unknown: ask again, with the same request id.
    Retry,
}

impl Verdict {
    /// A shard refused. A refusal that another replica may not share is asked for again.
    pub fn of_refusal(refusal: Refusal) -> Self {
        match refusal.code {
            ErrorCode::NotLeader => Self::Redirect(refusal.leader),
            ErrorCode::WrongReplica => Self::Absent,
            ErrorCode::Unavailable | ErrorCode::WrongVersion => Self::Retry,
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

/// One request's way through the replicas of its shard, and to the nodes that they name.
pub struct Walk {
    /// An attempt ended without an answer.
    pub may_be_applied: bool,
    redirects: u32,
    /// The node asked last, and its position in the group if the map has it there.
    asked: Option<(Arc<Node>, Option<usize>)>,
    /// Position of the replica asked last: the turn goes on after it.
    last: Option<usize>,
    /// Uuid of the node that is said to lead.
    hint: Option<[u8; 16]>,
    /// Newest version of the map that was waited for; 0: none was.
    awaited: u64,
    /// The free failure, or a pause, was taken.
    paused: bool,
    backoff: Backoff,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            may_be_applied: false,
            redirects: 0,
            asked: None,
            last: None,
            hint: None,
            awaited: 0,
            paused: false,
            // Half of a pause is random, so that the requests of a lost leader do not return in step.
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX, Spread::UpperHalf),
        }
    }
}

impl Walk {
    /// The node to ask, and its position in the group if it has one: the hinted node, else the known leader, else the
    /// next replica in turn. A hinted node may be a replica that the map does not have yet. `None` only for a group
    /// without replicas.
    pub fn choose(&mut self, map: &Map, group: &Group, shard: u32) -> Option<(Arc<Node>, Option<usize>)> {
        let hinted = self.hint.take().and_then(|uuid| map.node(&uuid));
        let asked = match hinted {
            Some(node) => (Arc::clone(node), group.position(node.uuid())),
            None => {
                let in_turn = match self.last {
                    Some(last) => last + 1,
                    // Spreads the first guesses of many shards over the nodes.
                    None => shard as usize,
                };
                let at = group.leader().or_else(|| in_turn.checked_rem(group.replicas().len()))?;
                (Arc::clone(group.places().get(at)?), Some(at))
            }
        };
        self.last = asked.1.or(self.last);
        self.asked = Some(asked.clone());
        Some(asked)
    }

    /// A redirect was answered. Returns the pause before following it.
    pub fn redirected(&mut self, map: &Map, group: &Group, hint: Option<[u8; 16]>) -> Duration {
        self.forget_leader(group);
        let elsewhere = hint.filter(|uuid| !self.has_just_asked(uuid));
        let is_known = elsewhere.is_some_and(|uuid| map.node(&uuid).is_some());
        self.redirects += 1;
        // Later hints are often the dead leader's name: go round instead, every other time.
        let is_free = self.redirects <= FREE_REDIRECTS;
        self.hint = elsewhere.filter(|_| is_free || self.redirects.is_multiple_of(2));
        if is_free && is_known { Duration::ZERO } else { self.pause() }
    }

    /// The node has no replica of the shard, so nothing was applied. Returns the pause before the next attempt.
    pub fn absent(&mut self, group: &Group) -> Duration {
        self.forget_leader(group);
        self.pause_but_once()
    }

    /// The attempt failed without an answer. Returns the pause before the next one.
    pub fn failed(&mut self, group: &Group) -> Duration {
        self.may_be_applied = true;
        self.forget_leader(group);
        self.pause_but_once()
    }

    /// Whether the next attempt is better made with the map of which the last answer told (0: of none). True once for
    /// a version, and not while a hint leads further.
    pub fn must_await(&mut self, map: &Map, told: u64) -> bool {
        let leads_further = self.hint.is_some_and(|uuid| map.node(&uuid).is_some());
        let waits = !leads_further && told > map.version.max(self.awaited);
        if waits {
            self.awaited = told;
        }
        waits
    }

    fn has_just_asked(&self, node_uuid: &[u8]) -> bool {
        self.asked.as_ref().is_some_and(|(node, _)| node.uuid() == node_uuid)
    }

    fn forget_leader(&self, group: &Group) {
        if let Some((_, Some(at))) = self.asked {
            group.forget_leader(at);
        }
    }

    /// The first failure costs nothing: another replica may know the leader already.
    fn pause_but_once(&mut self) -> Duration {
        if self.paused {
            return self.pause();
        }
        self.paused = true;
        Duration::ZERO
    }

    fn pause(&mut self) -> Duration {
        self.paused = true;
        self.backoff.pause(rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::routes_of;

    #[test]
    fn each_refusal_has_its_verdict() {
        let leader = Some([2; 16]);
        assert_eq!(Verdict::of_refusal(Refusal::not_leader(leader)), Verdict::Redirect(leader));
        assert_eq!(Verdict::of_refusal(Refusal::not_leader(None)), Verdict::Redirect(None));
        assert_eq!(Verdict::of_refusal(ErrorCode::WrongReplica.into()), Verdict::Absent);
        for code in [ErrorCode::Unavailable, ErrorCode::WrongVersion] {
            assert_eq!(Verdict::of_refusal(code.into()), Verdict::Retry);
        }
        for code in [ErrorCode::Overloaded, ErrorCode::NoSession, ErrorCode::RequestExpired] {
            assert_eq!(Verdict::of_refusal(code.into()), Verdict::Refused(code.into()));
        }
        assert_eq!(Verdict::of_status(&tonic::Status::unavailable("")), Verdict::Retry);
        assert!(matches!(Verdict::of_status(&tonic::Status::out_of_range("")), Verdict::Refused(_)));
    }

    /// Positions in the group of shard 0, by the default walk over a map.
    fn next(walk: &mut Walk, map: &Map, shard: u32) -> Option<usize> {
        walk.choose(map, shard_of(map), shard).and_then(|(_, at)| at)
    }

    fn shard_of(map: &Map) -> &Group {
        map.group(0).expect("the only shard")
    }

    #[tokio::test]
    async fn a_walk_visits_every_replica_while_no_leader_is_known() {
        let map = routes_of(3);
        let mut walk = Walk::default();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(next(&mut walk, &map, 7).expect("replicas"));
            walk.failed(shard_of(&map));
        }
        assert_eq!(seen, [1, 2, 0]);
        let empty = routes_of(0);
        assert!(walk.choose(&empty, shard_of(&empty), 7).is_none());
    }

    #[tokio::test]
    async fn hints_are_followed_at_once_but_not_for_ever() {
        let map = routes_of(3);
        let group = shard_of(&map);
        group.set_leader(0);
        let mut walk = Walk::default();
        assert_eq!(next(&mut walk, &map, 0), Some(0));
        assert_eq!(walk.redirected(&map, group, Some([3; 16])), Duration::ZERO);
        assert_eq!(next(&mut walk, &map, 0), Some(2));
        assert_eq!(walk.redirected(&map, group, Some([1; 16])), Duration::ZERO);
        assert_eq!(next(&mut walk, &map, 0), Some(0));
        assert!(walk.redirected(&map, group, Some([3; 16])) >= PAUSE_MIN / 2);
    }

    #[tokio::test]
    async fn a_hint_leads_out_of_the_group_and_the_turn_goes_on_within_it() {
        let map = routes_of(2);
        let group = shard_of(&map);
        let mut walk = Walk::default();
        assert_eq!(next(&mut walk, &map, 0), Some(0));
        assert_eq!(walk.redirected(&map, group, Some([3; 16])), Duration::ZERO);
        assert!(!walk.must_await(&map, map.version + 1), "the hint leads further");
        let (node, at) = walk.choose(&map, group, 0).expect("hinted");
        assert_eq!((node.uuid(), at), (&[3; 16][..], None));
        walk.redirected(&map, group, Some([3; 16]));
        assert_eq!(next(&mut walk, &map, 0), Some(1), "it names itself");
    }

    #[tokio::test]
    async fn a_newer_map_is_waited_for_once_and_a_hint_to_a_node_in_it_kept() {
        let (map, newer) = (routes_of(2), routes_of(4));
        let mut walk = Walk::default();
        walk.choose(&map, shard_of(&map), 0);
        assert!(!walk.must_await(&map, map.version), "no newer one");
        assert!(!walk.must_await(&map, 0), "nothing told");
        assert!(walk.redirected(&map, shard_of(&map), Some([4; 16])) > Duration::ZERO);
        assert!(walk.must_await(&map, map.version + 1));
        assert!(!walk.must_await(&map, map.version + 1), "it did not come");
        assert!(walk.must_await(&map, map.version + 2));
        assert_eq!(next(&mut walk, &newer, 0), Some(3));
        walk.absent(shard_of(&newer));
        assert!(!walk.may_be_applied);
    }

    #[tokio::test]
    async fn pauses_grow_to_their_bound() {
        let map = routes_of(1);
        let mut walk = Walk::default();
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            next(&mut walk, &map, 0);
            longest = longest.max(walk.failed(shard_of(&map)));
        }
        assert!(longest > PAUSE_MIN && longest <= PAUSE_MAX, "{longest:?}");
    }
}
