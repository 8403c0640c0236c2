//! One shard, or the meta group: who leads it, and which of its replicas are there and complete.

use rowhouse_proto::wire::meta::{GroupInfo, GroupStatus, ReplicaInfo, ReplicaMove};
use rowhouse_proto::{META_GROUP, hex};
use serde::Serialize;

use super::health::Health;
use super::moving::{CLOSE_ENTRIES, Moving, moving};
use super::node;
use super::view::View;

/// Replicas of a shard where there are nodes enough.
const REPLICAS: usize = 3;

/// The JSON that scripts get: fields are only ever added.
#[derive(Debug, Serialize, PartialEq)]
pub struct Group {
    /// A shard number, or `meta`.
    pub group: String,
    pub epoch: u64,
    pub health: Health,
    pub leader: Option<String>,
    pub leader_uuid: Option<String>,
    pub term: u64,
    /// Entries the slowest follower is behind the leader's log.
    pub lag: Option<u64>,
    /// Index of the last committed entry, as the leader knows it; 0: nobody leads.
    pub committed: u64,
    /// Of live large bodies.
    pub bytes: u64,
    /// Replicas that are there, vote and have everything, of so many that should.
    pub complete: usize,
    pub wanted: usize,
    pub replicas: Vec<Replica>,
    /// Absent: nothing moves.
    pub moving: Option<Moving>,
    #[serde(skip)]
    pub leader_label: Option<String>,
}

/// One replica that the map names.
#[derive(Debug, Serialize, PartialEq)]
pub struct Replica {
    pub node: String,
    pub node_uuid: String,
    pub replica_id: u64,
    pub role: String,
    /// It decides with the others, as the leader knows it; true where nobody leads.
    pub votes: bool,
    /// It answers, and takes part in its group.
    pub alive: bool,
    pub applied: u64,
    pub objects_missing: u64,
    /// What it says of itself, if it does not serve.
    pub problem: Option<String>,
    /// Why it does not count as a copy; absent: it does.
    pub lacks: Option<String>,
    #[serde(skip)]
    pub label: String,
}

/// How many replicas each shard should have: three, or as many as there are nodes to stay.
pub fn wanted(view: &View) -> usize {
    let stays = |life: rowhouse_proto::wire::meta::NodeLife| !life.leaving && !life.lost;
    let staying = view.map.nodes.iter().filter(|info| info.life.is_none_or(stays)).count();
    staying.clamp(1, REPLICAS)
}

/// Judges one group of the view.
pub fn group(view: &View, info: &GroupInfo, wanted: usize) -> Group {
    let leader = view.leader(info.group);
    let status = leader.map(|(_, status)| status);
    let replicas: Vec<Replica> = info.replicas.iter().map(|it| replica(view, info, it, status)).collect();
    let counted = members(info, status);
    let wanted = wanted.max(counted.len());
    let is_complete = |it: &&ReplicaInfo| replica(view, info, it, status).lacks.is_none();
    let complete = counted.into_iter().filter(is_complete).count();
    let health = match status {
        None => Health::NoLeader,
        // It leads nobody, and cannot commit. Each sign alone may be a moment's, or this machine's.
        Some(leader) if !hears_majority(leader) && !is_majority_alive(&replicas) => Health::NoLeader,
        Some(_) if complete < wanted => Health::Degraded,
        Some(_) => Health::Ok,
    };
    let terms = view.answers.iter().filter_map(|answer| answer.as_ref().ok());
    let terms = terms.flat_map(|reply| &reply.groups).filter(|it| it.group == info.group).map(|it| it.term);
    Group {
        group: name(info.group),
        epoch: info.epoch,
        health,
        leader: leader.map(|(node, _)| node.name.clone()),
        leader_uuid: leader.map(|(node, _)| hex(&node.node_uuid)),
        term: terms.max().unwrap_or_default(),
        lag: status.map(|status| status.lag),
        committed: status.map_or(0, |status| status.committed),
        bytes: status.map_or(0, |status| status.bytes),
        complete,
        wanted,
        replicas,
        moving: moving(view, info),
        leader_label: leader.map(|(node, _)| view.label(&node.node_uuid)),
    }
}

/// A shard's number, or `meta`.
pub fn name(group: u32) -> String {
    if group == META_GROUP { "meta".into() } else { group.to_string() }
}

/// Those that should count: in the last moments of a move the new one votes, and the old one does not any more.
fn members<'a>(info: &'a GroupInfo, leader: Option<&GroupStatus>) -> Vec<&'a ReplicaInfo> {
    let voters = voters(leader);
    let has_moved = |moving: &ReplicaMove| {
        let votes = |id: u64| voters.is_some_and(|voters| voters.contains(&id));
        match &moving.add {
            Some(add) => votes(add.replica_id),
            None => voters.is_some() && !votes(moving.remove),
        }
    };
    if info.moving.as_ref().is_some_and(has_moved) {
        info.replicas_after()
    } else {
        info.replicas.iter().collect()
    }
}

fn replica(view: &View, info: &GroupInfo, at: &ReplicaInfo, leader: Option<&GroupStatus>) -> Replica {
    let node = view.find(&at.node_uuid).map(|(info, _)| info);
    let reply = view.reply(&at.node_uuid);
    let state = node.map(|info| node::state(info, reply.is_some(), false));
    let is_it = |status: &&GroupStatus| status.group == info.group && status.replica_id == at.replica_id;
    let status = reply.and_then(|reply| reply.groups.iter().find(is_it));
    // What has no replica id says only why it could not start.
    let failed = |status: &&GroupStatus| status.group == info.group && status.replica_id == 0;
    let shown = status.or_else(|| reply.and_then(|reply| reply.groups.iter().find(failed)));
    let lacks = match (state, status) {
        (None, _) => Some("its node left the map".to_owned()),
        (Some(node::State::Lost), _) => Some("its node is lost".to_owned()),
        (Some(node::State::Away), _) => Some("its node is away".to_owned()),
        (Some(state), _) if !state.is_here() => Some("its node does not answer".to_owned()),
        (Some(_), None) => Some("it does not run".to_owned()),
        (Some(_), Some(status)) => lacks(status, leader),
    };
    Replica {
        node: node.map_or_else(|| "?".to_owned(), |info| info.name.clone()),
        node_uuid: hex(&at.node_uuid),
        replica_id: at.replica_id,
        role: shown.map_or_else(|| "unknown".to_owned(), |status| status.role.clone()),
        votes: voters(leader).is_none_or(|voters| voters.contains(&at.replica_id)),
        alive: status.is_some_and(|status| takes_part(&status.role)),
        applied: shown.map_or(0, |status| status.applied),
        objects_missing: shown.map_or(0, |status| status.objects_missing + status.objects_damaged),
        problem: shown.map(|status| status.problem.clone()).filter(|problem| !problem.is_empty()),
        lacks,
        label: view.label(&at.node_uuid),
    }
}

fn is_majority_alive(replicas: &[Replica]) -> bool {
    let voters = || replicas.iter().filter(|replica| replica.votes);
    voters().filter(|replica| replica.alive).count() * 2 > voters().count()
}

/// Whether a majority of those that decide answers the leader, itself among them.
fn hears_majority(leader: &GroupStatus) -> bool {
    let answers = |id: &&u64| {
        **id == leader.replica_id || leader.followers.iter().any(|it| it.replica_id == **id && it.answered)
    };
    voters(Some(leader)).is_none_or(|voters| voters.iter().filter(answers).count() * 2 > voters.len())
}

/// The replicas that decide, as the leader knows it.
fn voters(leader: Option<&GroupStatus>) -> Option<&Vec<u64>> {
    leader.and_then(|status| status.members.as_ref()).map(|members| &members.voters)
}

fn takes_part(role: &str) -> bool {
    matches!(role, "leader" | "follower" | "candidate")
}

/// Why a replica that runs is no copy to rely on.
fn lacks(status: &GroupStatus, leader: Option<&GroupStatus>) -> Option<String> {
    if !status.problem.is_empty() {
        return Some(status.problem.clone());
    }
    if !takes_part(&status.role) {
        return Some(status.role.clone());
    }
    let objects = status.objects_missing + status.objects_damaged;
    if objects > 0 {
        return Some(format!("{objects} large bodies or chunks of them are missing or damaged"));
    }
    let leader = leader?;
    if voters(Some(leader)).is_some_and(|voters| !voters.contains(&status.replica_id)) {
        return Some("it does not vote".to_owned());
    }
    let seen = leader.followers.iter().find(|it| it.replica_id == status.replica_id);
    let behind = seen.map_or(0, |it| leader.last_log.saturating_sub(it.matched));
    (behind > CLOSE_ENTRIES).then(|| format!("{behind} entries behind"))
}
