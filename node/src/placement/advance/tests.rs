//! Each step of a move, and what holds it up.

use std::collections::BTreeMap;

use rowhouse_proto::wire::meta::{Follower, Members, MembersId};

use super::*;
use crate::placement::observed::ObservedReplica;

const LAST_LOG: u64 = 5_000;
const CLOSE_SINCE: u64 = 4_990;

fn place(replica_id: u64) -> ReplicaInfo {
    ReplicaInfo { replica_id, node_uuid: vec![replica_id as u8; 16].into() }
}

/// Replica 4 shall take the place of replica 1, which leads unless told otherwise.
fn moving() -> GroupInfo {
    let moving = ReplicaMove { add: Some(place(4)), remove: 1, ..ReplicaMove::default() };
    GroupInfo { group: 0, epoch: 1, replicas: (1..=3).map(place).collect(), moving: Some(moving) }
}

fn seen(leader: u64, voters: &[u64], learners: &[u64]) -> ObservedGroup {
    let follower = |id: u64| (id, Follower { replica_id: id, matched: LAST_LOG, answered: true });
    let complete = ObservedReplica {
        is_broken: false,
        objects_seen: Some(LAST_LOG),
        objects_lacking: 0,
        close_rounds: 3,
        close_since: CLOSE_SINCE,
    };
    ObservedGroup {
        leader: Some(Leader {
            node: [leader as u8; 16],
            replica: leader,
            term: 3,
            members: Members {
                id: Some(MembersId { term: 3, replica: leader, index: 100 }),
                joint: false,
                voters: voters.to_vec(),
                learners: learners.to_vec(),
            },
            last_log: LAST_LOG,
            committed: LAST_LOG,
            followers: (1..=4).filter(|id| *id != leader).map(follower).collect(),
            bytes: 0,
        }),
        replicas: BTreeMap::from([(4, complete)]),
    }
}

fn next(seen: &ObservedGroup, give_up: bool) -> Option<Step> {
    let group = moving();
    advance(&group, group.moving.as_ref().expect("moves"), seen, give_up)
}

/// Voters and learners that the step asks for.
fn asked(step: Option<Step>) -> Option<(Vec<u64>, Vec<u64>)> {
    let ids = |places: &[ReplicaInfo]| places.iter().map(|it| it.replica_id).collect();
    match step {
        Some(Step::Change(change)) => Some((ids(&change.voters), ids(&change.learners))),
        _ => None,
    }
}

const END: Option<Step> = Some(Step::End { group: 0, add: 4, done: true });
const GIVE_UP: Option<Step> = Some(Step::End { group: 0, add: 4, done: false });

#[test]
fn a_move_goes_from_learner_to_voter_to_its_end() {
    assert_eq!(asked(next(&seen(2, &[1, 2, 3], &[]), false)), Some((vec![1, 2, 3], vec![4])));
    assert_eq!(asked(next(&seen(2, &[1, 2, 3], &[4]), false)), Some((vec![2, 3, 4], vec![])));
    assert_eq!(next(&seen(2, &[2, 3, 4], &[]), false), END);
}

#[test]
fn a_leader_that_shall_go_hands_over_first_and_not_to_the_newcomer() {
    let step = next(&seen(1, &[1, 2, 3], &[4]), false);
    assert!(matches!(step, Some(Step::Transfer { to_replica: 2 | 3, .. })), "{step:?}");
}

#[test]
fn a_replica_without_its_log_or_its_objects_does_not_vote() {
    let incomplete: [fn(&mut ObservedReplica); 4] = [
        |it| it.close_rounds = 2,
        |it| it.objects_lacking = 1,
        |it| it.objects_seen = None,
        |it| it.objects_seen = Some(CLOSE_SINCE - 1),
    ];
    for spoil in incomplete {
        let mut seen = seen(2, &[1, 2, 3], &[4]);
        spoil(seen.replicas.get_mut(&4).expect("reports"));
        assert_eq!(next(&seen, false), None);
    }
    let mut silent = seen(2, &[1, 2, 3], &[4]);
    silent.replicas.clear();
    assert_eq!(next(&silent, false), None, "it says nothing");
}

#[test]
fn the_old_replica_stays_until_the_new_one_has_what_was_written_meanwhile() {
    let mut seen = seen(2, &[2, 3, 4], &[]);
    seen.replicas.get_mut(&4).expect("reports").objects_seen = Some(99);
    assert_eq!(next(&seen, false), None, "the members changed at entry 100");
    seen.replicas.get_mut(&4).expect("reports").objects_seen = Some(100);
    assert_eq!(next(&seen, false), END);
}

#[test]
fn a_new_voter_whose_node_is_gone_is_waited_for_no_longer_than_the_others_need() {
    let mut seen = seen(2, &[2, 3, 4], &[]);
    seen.replicas.remove(&4);
    assert_eq!(next(&seen, false), None, "it may come back");
    assert_eq!(next(&seen, true), None, "the others say nothing of their objects");
    let complete = |objects_seen| ObservedReplica { objects_seen, ..ObservedReplica::default() };
    seen.replicas.insert(2, complete(Some(100)));
    seen.replicas.insert(3, complete(Some(99)));
    assert_eq!(next(&seen, true), None, "one of them may need the old replica");
    seen.replicas.insert(3, complete(Some(100)));
    assert_eq!(next(&seen, true), END);
}

#[test]
fn nothing_is_asked_while_a_change_is_not_committed() {
    let mut seen = seen(2, &[1, 2, 3], &[]);
    seen.leader.as_mut().expect("led").committed = 99;
    assert_eq!(next(&seen, false), None);
    seen.leader = None;
    assert_eq!(next(&seen, false), None, "and by nobody");
}

#[test]
fn joint_members_are_settled_before_anything_else() {
    let mut seen = seen(2, &[1, 2, 3, 4], &[]);
    seen.leader.as_mut().expect("led").members.joint = true;
    for give_up in [false, true] {
        assert!(asked(next(&seen, give_up)).is_some());
    }
}

#[test]
fn a_move_is_given_up_only_before_the_vote() {
    assert_eq!(next(&seen(2, &[1, 2, 3], &[]), true), GIVE_UP);
    assert_eq!(asked(next(&seen(2, &[1, 2, 3], &[4]), true)), Some((vec![1, 2, 3], vec![])));
}
