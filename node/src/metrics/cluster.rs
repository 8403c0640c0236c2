//! The cluster as this node sees it: its own part, and, where the meta group is led, all of it.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, NodeInfo};

use super::sources::{Sources, Watched};
use crate::health::unready;
use crate::identity::NodeUuid;
use crate::placement::{Leader, Observed, REPLICAS};

pub fn observe(watched: &Watched) {
    own_part(watched);
    clock(watched);
    whole(watched);
}

fn own_part(watched: &Watched) {
    watched.gauge("rowhouse.node.ready", "", "1 while this node should be counted on.", |sources| {
        Some(f64::from(u8::from(unready(&sources.local, &sources.cluster).is_empty())))
    });
    watched.gauge("rowhouse.node.draining", "", "1 while this node gives away what it leads.", |sources| {
        Some(f64::from(u8::from(sources.local.drain.is_on())))
    });
    watched.gauge(
        "rowhouse.node.log_hangs",
        "",
        "1 while the disk of this node's log does not answer.",
        |sources| Some(f64::from(u8::from(sources.local.log_hangs()))),
    );
    watched.gauge(
        "rowhouse.node.map_version",
        "",
        "Version of the cluster map that this node has.",
        |sources| Some(sources.cluster.view.map().map_version as f64),
    );
}

fn clock(watched: &Watched) {
    watched.gauge(
        "rowhouse.clock.offset",
        "s",
        "How far this node's clock is ahead of the middle of all nodes' clocks; negative: behind.",
        |sources| Some(sources.local.clock.offset().0 as f64 / 1e6),
    );
    watched.gauge(
        "rowhouse.clock.judged",
        "",
        "1 while most nodes were heard, so that this node believes its time.",
        |sources| Some(f64::from(u8::from(sources.local.clock.judged_us().is_some()))),
    );
}

fn whole(watched: &Watched) {
    watched.gauge("rowhouse.cluster.coordinates", "", "1 where the meta group is led.", |sources| {
        Some(f64::from(u8::from(sources.coordinator.leads())))
    });
    watched.gauge_by(
        "rowhouse.cluster.nodes",
        "Nodes of the map, by whether they answer; told where the meta group is led.",
        "state",
        |sources| {
            judged(sources).map_or_else(Vec::new, |cluster| {
                vec![
                    ("answering", cluster.answering as f64),
                    ("away", cluster.away as f64),
                    ("lost", cluster.lost as f64),
                ]
            })
        },
    );
    watched.gauge(
        "rowhouse.cluster.groups",
        "",
        "Shards, and the meta group; told where the meta group is led.",
        |sources| Some(judged(sources)?.groups as f64),
    );
    watched.gauge(
        "rowhouse.cluster.groups_leaderless",
        "",
        "Groups that nobody leads with a majority behind it; told where the meta group is led.",
        |sources| Some(judged(sources)?.leaderless as f64),
    );
    watched.gauge(
        "rowhouse.cluster.groups_under_replicated",
        "",
        "Groups with fewer complete replicas than they should have; told where the meta group is led.",
        |sources| Some(judged(sources)?.under_replicated as f64),
    );
    watched.gauge(
        "rowhouse.cluster.groups_moving",
        "",
        "Groups a replica of which moves; told where the meta group is led.",
        |sources| Some(judged(sources)?.moving as f64),
    );
    watched.gauge(
        "rowhouse.cluster.gateways",
        "",
        "Gateways that announce themselves; told where the meta group is led.",
        |sources| {
            let leads = sources.coordinator.leads();
            leads.then(|| sources.cluster.view.map().gateways.len() as f64)
        },
    );
}

fn judged(sources: &Sources) -> Option<Judged> {
    sources.coordinator.observed(|observed| Judged::of(&sources.cluster.view.map(), observed))
}

/// The cluster in numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judged {
    answering: usize,
    away: usize,
    lost: usize,
    groups: usize,
    leaderless: usize,
    under_replicated: usize,
    moving: usize,
}

impl Judged {
    fn of(map: &ClusterMap, observed: &Observed) -> Self {
        let answers = |node: &NodeInfo| {
            NodeUuid::try_from(&node.node_uuid[..]).is_ok_and(|uuid| observed.nodes.contains_key(&uuid))
        };
        let life = |node: &NodeInfo| node.life.unwrap_or_default();
        let answering = map.nodes.iter().filter(|node| answers(node)).count();
        let lost = map.nodes.iter().filter(|node| !answers(node) && life(node).lost).count();
        let staying = map.nodes.iter().filter(|node| !life(node).lost && !life(node).leaving).count();
        let wanted = staying.clamp(1, REPLICAS);
        let count = |is: &dyn Fn(&GroupInfo) -> bool| map.groups.iter().filter(|group| is(group)).count();
        Self {
            answering,
            away: map.nodes.len() - answering - lost,
            lost,
            groups: map.groups.len(),
            leaderless: count(&|group| {
                leader_of(group, observed).is_none_or(|leader| !hears_majority(leader))
            }),
            under_replicated: count(&|group| complete(group, observed) < wanted),
            moving: count(&|group| group.moving.is_some()),
        }
    }
}

fn leader_of<'a>(group: &GroupInfo, observed: &'a Observed) -> Option<&'a Leader> {
    observed.groups.get(&group.group)?.leader.as_ref()
}

/// Between two sets of voters it is judged by all of them together: a move is short.
fn hears_majority(leader: &Leader) -> bool {
    let voters = &leader.members.voters;
    let heard = voters.iter().filter(|id| answers(leader, **id)).count();
    heard * 2 > voters.len()
}

/// Whether the leader hears this replica, or is it.
fn answers(leader: &Leader, id: u64) -> bool {
    id == leader.replica || leader.followers.get(&id).is_some_and(|follower| follower.answered)
}

/// Voters that answer their leader and lack no object. The meta group has no objects.
fn complete(group: &GroupInfo, observed: &Observed) -> usize {
    let Some(leader) = leader_of(group, observed) else { return 0 };
    let Some(seen) = observed.groups.get(&group.group) else { return 0 };
    let whole = |id: &u64| {
        let replica = seen.replicas.get(id);
        replica.is_some_and(|replica| group.group == META_GROUP || replica.objects_lacking == 0)
    };
    leader.members.voters.iter().filter(|id| answers(leader, **id) && whole(id)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::meta::{Follower, GroupStatus, Members, NodeLife, NodeStatusReply};

    fn node(uuid: u8) -> NodeInfo {
        NodeInfo { node_uuid: vec![uuid; 16].into(), ..NodeInfo::default() }
    }

    /// Replica n is on node n; the first one leads and hears of `answering`.
    fn report(uuid: u8, leads: bool, answering: &[u64], missing: u64) -> NodeStatusReply {
        let follower = |id: &u64| Follower { replica_id: *id, matched: 1, answered: true };
        let group = GroupStatus {
            group: 0,
            replica_id: uuid.into(),
            role: if leads { "leader" } else { "follower" }.to_owned(),
            members: Some(Members { voters: vec![1, 2, 3], ..Members::default() }),
            followers: answering.iter().map(follower).collect(),
            objects_missing: missing,
            ..GroupStatus::default()
        };
        NodeStatusReply {
            node_uuid: vec![uuid; 16].into(),
            groups: vec![group],
            ..NodeStatusReply::default()
        }
    }

    fn map() -> ClusterMap {
        ClusterMap {
            nodes: vec![node(1), node(2), node(3)],
            groups: vec![GroupInfo::default()],
            ..ClusterMap::default()
        }
    }

    fn judged(map: &ClusterMap, reports: &[NodeStatusReply]) -> Judged {
        Judged::of(map, &Observed::of(reports, &Observed::default()))
    }

    #[test]
    fn a_whole_cluster_lacks_nothing() {
        let reports = [report(1, true, &[2, 3], 0), report(2, false, &[], 0), report(3, false, &[], 0)];
        let whole = Judged { answering: 3, groups: 1, ..Judged::default() };
        assert_eq!(judged(&map(), &reports), whole);
    }

    #[test]
    fn an_absent_node_and_a_replica_without_its_objects_count_as_less_copies() {
        let reports = [report(1, true, &[2], 0), report(2, false, &[], 0)];
        let short = Judged { answering: 2, away: 1, groups: 1, under_replicated: 1, ..Judged::default() };
        assert_eq!(judged(&map(), &reports), short);
        let reports = [report(1, true, &[2, 3], 0), report(2, false, &[], 4), report(3, false, &[], 0)];
        assert_eq!(judged(&map(), &reports).under_replicated, 1);
        let mut smaller = map();
        smaller.nodes[2].life = Some(NodeLife { lost: true, ..NodeLife::default() });
        let reports = [report(1, true, &[2], 0), report(2, false, &[], 0)];
        let lost = Judged { answering: 2, lost: 1, groups: 1, ..Judged::default() };
        assert_eq!(judged(&smaller, &reports), lost, "two nodes hold all that two nodes can");
    }

    #[test]
    fn nobody_who_leads_is_told() {
        let reports = [report(2, false, &[], 0), report(3, false, &[], 0)];
        let without = judged(&map(), &reports);
        assert_eq!((without.leaderless, without.under_replicated), (1, 1));
        let alone = judged(&map(), &[report(1, true, &[], 0)]);
        assert_eq!(alone.leaderless, 1, "it has not noticed yet that nobody follows");
        assert_eq!(judged(&map(), &[report(1, true, &[2], 0)]).leaderless, 0);
    }
}
