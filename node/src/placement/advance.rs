//! Pure: the next step of a move that is under way (docs/rules/consensus.md#replicas-move-one-step-at-a-time).
//!
//! Everything follows from the map and from what the leader reports, so that a coordinator that has just begun, or that
//! has lost an answer, takes the same step.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{GroupInfo, ReplicaInfo, ReplicaMove};

use super::observed::{Leader, ObservedGroup};
use super::step::{Change, Step};
use crate::planted;

/// A learner that was close to its leader for so many rounds keeps up with it.
const CLOSE_ROUNDS: u32 = 3;

/// The next step of `moving`; `None`: wait. `give_up`: the new replica's node is gone.
pub fn advance(group: &GroupInfo, moving: &ReplicaMove, seen: &ObservedGroup, give_up: bool) -> Option<Step> {
    let leader = seen.leader.as_ref()?;
    if let Some(settle) = settle(group, leader) {
        return Some(settle);
    }
    if !leader.is_settled() {
        return None;
    }
    let Some(add) = &moving.add else {
        return if has_left(moving, leader) {
            Some(Step::End { group: group.group, add: 0, done: true })
        } else {
            leave(group, moving, leader)
        };
    };
    let (id, members) = (add.replica_id, &leader.members);
    if members.voters.contains(&id) {
        return if has_left(moving, leader) {
            complete(group, add, leader, seen, give_up)
        } else {
            leave(group, moving, leader)
        };
    }
    let is_learner = members.learners.contains(&id);
    match (is_learner, give_up) {
        (false, true) => Some(Step::End { group: group.group, add: id, done: false }),
        (true, true) => {
            Some(change(group, leader, &leader.members.voters, &[], "the new replica is given up"))
        }
        (false, false) => Some(change(group, leader, &members.voters, &[id], "a new replica learns")),
        (true, false) => promote(group, moving, add, leader, seen),
    }
}

/// A leader that ended between two sets of voters left both behind; nobody else takes one of them away.
pub fn settle(group: &GroupInfo, leader: &Leader) -> Option<Step> {
    let committed = leader.members.id.is_some_and(|id| id.index <= leader.committed);
    (leader.members.joint && committed)
        .then(|| change(group, leader, &leader.members.voters, &[], "two sets of voters become one"))
}

/// A learner that no move wants came from a step that was overtaken.
pub fn drop_strays(group: &GroupInfo, leader: &Leader) -> Option<Step> {
    let strays = leader.is_settled() && !leader.members.learners.is_empty();
    strays.then(|| change(group, leader, &leader.members.voters, &[], "a learner without a move leaves"))
}

/// The new replica takes the place of the old one, once it has everything.
fn promote(
    group: &GroupInfo,
    moving: &ReplicaMove,
    add: &ReplicaInfo,
    leader: &Leader,
    seen: &ObservedGroup,
) -> Option<Step> {
    // Entries come while it looks for their objects; the end of the move waits for those as well.
    let close = seen.replicas.get(&add.replica_id).filter(|it| it.close_rounds >= CLOSE_ROUNDS);
    let complete = close.is_some_and(|it| has_objects(group, add, seen, it.close_since));
    if !complete && !planted::vote_before_complete() {
        return None;
    }
    if leader.replica == moving.remove {
        let to_replica = leader.heir(add.replica_id)?;
        return Some(Step::Transfer { group: group.group, leader: leader.node, to_replica });
    }
    let mut voters = leader.members.voters.clone();
    voters.retain(|voter| *voter != moving.remove);
    voters.push(add.replica_id);
    Some(change(group, leader, &voters, &[], "the new replica votes"))
}

/// Whether the old replica is no member any more.
fn has_left(moving: &ReplicaMove, leader: &Leader) -> bool {
    let members = &leader.members;
    !members.voters.contains(&moving.remove) && !members.learners.contains(&moving.remove)
}

/// The old replica goes; one that leads hands over first.
fn leave(group: &GroupInfo, moving: &ReplicaMove, leader: &Leader) -> Option<Step> {
    if leader.replica == moving.remove {
        let to_replica = leader.heir(moving.remove)?;
        return Some(Step::Transfer { group: group.group, leader: leader.node, to_replica });
    }
    let mut voters = leader.members.voters.clone();
    voters.retain(|voter| *voter != moving.remove);
    Some(change(group, leader, &voters, &[], "the old replica leaves"))
}

/// When the new replica has what was written meanwhile, the move is over. One whose node is gone since it votes is waited
/// for no longer: the others must have everything, and the next move replaces it.
fn complete(
    group: &GroupInfo,
    add: &ReplicaInfo,
    leader: &Leader,
    seen: &ObservedGroup,
    give_up: bool,
) -> Option<Step> {
    let since = leader.members.id.map_or(u64::MAX, |id| id.index);
    let mut judged =
        group.replicas_after().into_iter().filter(|it| (it.replica_id == add.replica_id) != give_up);
    let complete = judged.all(|it| has_objects(group, it, seen, since)) || planted::vote_before_complete();
    complete.then(|| Step::End { group: group.group, add: add.replica_id, done: true })
}

/// Whether the replica has all objects that were written up to a log index. The meta group has none.
fn has_objects(group: &GroupInfo, replica: &ReplicaInfo, seen: &ObservedGroup, upto: u64) -> bool {
    group.group == META_GROUP
        || seen.replicas.get(&replica.replica_id).is_some_and(|it| {
            it.objects_lacking == 0 && it.objects_seen.is_some_and(|looked_to| looked_to >= upto)
        })
}

fn change(group: &GroupInfo, leader: &Leader, voters: &[u64], learners: &[u64], what: &'static str) -> Step {
    let place = |id: &u64| group.places().find(|replica| replica.replica_id == *id).cloned();
    Step::Change(Change {
        group: group.group,
        leader: leader.node,
        expect: leader.members.id.unwrap_or_default(),
        voters: voters.iter().filter_map(place).collect(),
        learners: learners.iter().filter_map(place).collect(),
        what,
    })
}

#[cfg(test)]
mod tests;
