use rowhouse_proto::wire::meta::{
    ClusterMap, GroupStatus, Incident, Members, NodeLife, NodeStatusReply, ReplicaMove,
};

use super::build::Report;
use super::health::Health;
use super::moving::Stage;
use super::node::State;
use super::records::Pkarr;
use super::testing::*;
use super::text;
use super::view::Answer;

fn warned(report: &Report, part: &str) -> bool {
    report.warnings.iter().any(|line| line.contains(part))
}

#[test]
fn a_cluster_where_all_is_there_is_ok() {
    let report = judged(map(3), vec![up(1), up(2), up(3)]);
    assert_eq!((report.health, report.warnings.len()), (Health::Ok, 0), "{:?}", report.warnings);
    assert_eq!((report.groups[0].complete, report.groups[0].wanted), (3, 3));
    let text = text(&report);
    assert!(text.contains("health: ok") && text.contains("n1:leader@5000") && text.contains("3/3"), "{text}");
    let single = ClusterMap { nodes: vec![info(1)], ..map(1) };
    let only = GroupStatus {
        members: Some(Members { voters: vec![11], ..Members::default() }),
        ..status(1, "leader")
    };
    assert_eq!(judged(single, vec![Ok(reply(1, only))]).health, Health::Ok, "one node is all there is");
}

#[test]
fn of_two_that_claim_to_lead_the_higher_term_counts() {
    let older = GroupStatus { term: 7, ..status(2, "leader") };
    let report = judged(map(3), vec![up(1), Ok(reply(2, older)), up(3)]);
    assert_eq!(report.groups[0].leader.as_deref(), Some("n1"));
    assert_eq!((report.groups[0].term, report.groups[0].lag), (8, Some(4)));
    assert_eq!(report.groups[0].group, "meta");
}

#[test]
fn a_dead_node_is_shown_and_hides_nothing_else() {
    let report = judged(map(3), vec![up(1), dead(), up(3)]);
    assert_eq!((report.nodes[1].reachable, report.nodes[1].state), (false, State::Silent));
    assert_eq!(report.groups[0].replicas[1].role, "unknown");
    assert_eq!((report.nodes[0].leads, report.health), (1, Health::Degraded));
    let text = text(&report);
    assert!(text.contains("no connection") && text.contains("meta (2 of 3)"), "{text}");
}

#[test]
fn an_answer_counts_only_for_the_identity_that_gave_it() {
    let mut map = map(4);
    // Node 1 lost its disk and came back as node 4, under its old name and address.
    (map.nodes[3].name, map.nodes[3].address) = (map.nodes[0].name.clone(), map.nodes[0].address.clone());
    let returned = || Ok(NodeStatusReply { groups: Vec::new(), ..reply(4, status(4, "learner")) });
    let led = Ok(reply(2, status(2, "leader")));
    let report = judged(map, vec![returned(), led, up(3), returned()]);
    let states: Vec<State> = report.nodes.iter().map(|node| node.state).collect();
    assert_eq!(states, [State::Silent, State::Up, State::Up, State::Up], "by name, then by uuid");
    assert_eq!((report.nodes[0].pid, report.nodes[1].pid), (None, Some(77)));
    let text = text(&report);
    assert!(text.contains("another node answers there") && text.contains("n1 (01010101)"), "{text}");
}

#[test]
fn a_node_that_is_away_is_counted_down() {
    let with = |life_of_3: NodeLife, answer: Answer| {
        let mut map = map(4);
        life(&mut map, 3, life_of_3);
        judged(
            map,
            vec![up(1), up(2), answer, Ok(NodeStatusReply { groups: vec![], ..reply(4, status(4, "")) })],
        )
    };
    let report = with(away(42), dead());
    let node = &report.nodes[2];
    assert_eq!((node.state, node.away_s, node.replaced_in_s), (State::Away, Some(42), Some(558)));
    assert_eq!(report.health, Health::Degraded);
    assert!(text(&report).contains("away for 42 s, replaced in 9 min 18 s"));
    assert!(warned(&report, "`rowhouse ctl node replace`"));

    let late = with(away(700), dead());
    assert_eq!(late.nodes[2].replaced_in_s, Some(0));
    assert!(text(&late).contains("being replaced"));
    assert!(!warned(&late, "add a node"), "there is a fourth one");

    let back = with(away(42), up(3));
    assert_eq!(back.nodes[2].state, State::Away, "the cluster has not heard of it again");

    let lost = with(NodeLife { lost: true, ..NodeLife::default() }, dead());
    assert_eq!((lost.nodes[2].state, lost.nodes[2].replaced_in_s), (State::Lost, Some(0)));
}

#[test]
fn replicas_with_nowhere_to_go_are_told() {
    let mut map = map(3);
    life(&mut map, 3, away(700));
    let report = judged(map, vec![up(1), up(2), dead()]);
    assert!(warned(&report, "only 2 can take replicas: add a node"), "{:?}", report.warnings);
}

#[test]
fn leaving_and_draining_are_no_degradation() {
    let mut map = map(4);
    life(&mut map, 4, NodeLife { leaving: true, ..NodeLife::default() });
    let draining = Ok(NodeStatusReply { draining: true, ..reply(2, status(2, "follower")) });
    let empty = Ok(NodeStatusReply { groups: Vec::new(), ..reply(4, status(4, "")) });
    let report = judged(map, vec![up(1), draining, up(3), empty]);
    assert_eq!((report.nodes[1].state, report.nodes[3].state), (State::Draining, State::Leaving));
    assert_eq!(report.health, Health::Ok, "{:?}", report.warnings);
    assert!(
        warned(&report, "n4 is empty") && warned(&report, "--leaders-only --off"),
        "{:?}",
        report.warnings
    );
}

#[test]
fn a_replica_counts_only_if_it_votes_and_has_everything() {
    let cases = [
        (GroupStatus { role: "broken".into(), problem: "differs".into(), ..status(3, "") }, "differs"),
        (status(3, "learner"), "learner"),
        (GroupStatus { objects_missing: 2, objects_damaged: 1, ..status(3, "follower") }, "3 large bodies"),
        (GroupStatus { replica_id: 9, ..status(3, "follower") }, "it does not run"),
    ];
    for (third, reason) in cases {
        let report = judged(map(3), vec![up(1), up(2), Ok(reply(3, third))]);
        assert_eq!((report.health, report.groups[0].complete), (Health::Degraded, 2), "{reason}");
        let lacks = report.groups[0].replicas[2].lacks.clone().unwrap_or_default();
        assert!(lacks.contains(reason), "{lacks}");
    }
    let mut leader = status(1, "leader");
    leader.followers[2].matched = LAST_LOG - 1_001;
    let report = judged(map(3), vec![Ok(reply(1, leader.clone())), up(2), up(3)]);
    assert!(text(&report).contains("1001 entries behind"));
    leader.followers[2].matched = LAST_LOG;
    leader.members = Some(Members { voters: vec![11, 12], ..Members::default() });
    let report = judged(map(3), vec![Ok(reply(1, leader)), up(2), up(3)]);
    assert!(text(&report).contains("it does not vote"));
}

#[test]
fn a_shard_without_leader_is_the_worst() {
    let follower = |n| Ok(reply(n, status(n, "follower")));
    let report = judged(map(3), vec![dead(), follower(2), follower(3)]);
    assert_eq!((report.health, report.health.exit_code()), (Health::NoLeader, 2));
    assert!(report.warnings[0].contains("shards without a leader (1): meta"), "{:?}", report.warnings);
    let unplaced = ClusterMap { shard_count: 4, ..map(3) };
    assert_eq!(judged(unplaced, vec![up(1), up(2), up(3)]).health, Health::NoLeader);
}

fn moving_map() -> ClusterMap {
    let mut map = map(4);
    map.groups[0].group = 7;
    map.groups[0].moving = Some(ReplicaMove {
        add: Some(replica(4)),
        remove: 13,
        reason: "node n3 is leaving".into(),
        began_ms: NOW_MS - 12_000,
    });
    map
}

fn of_shard(answer: Answer) -> Answer {
    let mut reply = answer?;
    reply.groups.iter_mut().for_each(|group| group.group = 7);
    Ok(reply)
}

#[test]
fn a_move_is_shown_with_its_stage() {
    let learner = |applied, seen, missing| GroupStatus {
        applied,
        objects_seen: seen,
        objects_missing: missing,
        ..status(4, "learner")
    };
    let cases = [
        (dead(), Stage::Starting, "starting"),
        (Ok(reply(4, learner(740, None, 0))), Stage::CopyingLog, "log 740 of 5000"),
        (Ok(reply(4, learner(4_990, None, 0))), Stage::CopyingObjects, "looking for large bodies"),
        (Ok(reply(4, learner(4_990, Some(4_990), 3))), Stage::CopyingObjects, "3 large bodies to come"),
        (Ok(reply(4, learner(4_990, Some(4_990), 0))), Stage::Voting, "takes its place"),
    ];
    for (new, stage, progress) in cases {
        let answers = [up(1), up(2), up(3), new].map(of_shard).into_iter().collect();
        let report = judged(moving_map(), answers);
        let moving = report.groups[0].moving.as_ref().expect("it moves");
        assert_eq!((moving.stage, moving.for_s), (stage, 12));
        assert_eq!((moving.from.as_deref(), moving.to.as_deref()), (Some("n3"), Some("n4")));
        let text = text(&report);
        assert!(text.contains(progress) && text.contains("node n3 is leaving"), "{text}");
    }
}

#[test]
fn in_the_last_moment_of_a_move_the_new_replica_counts_for_the_old_one() {
    let voters = Some(Members { voters: vec![11, 12, 14], ..Members::default() });
    let leader = GroupStatus { members: voters, ..status(1, "leader") };
    let answers = vec![Ok(reply(1, leader)), up(2), up(3), up(4)].into_iter().map(of_shard).collect();
    let report = judged(moving_map(), answers);
    assert_eq!((report.groups[0].complete, report.groups[0].health), (3, Health::Ok));
}

#[test]
fn a_replica_too_many_leaves_without_another_in_its_place() {
    let mut map = moving_map();
    map.groups[0].replicas.push(replica(4));
    let leaving = map.groups[0].moving.as_mut().expect("it moves");
    (leaving.add, leaving.remove) = (None, 14);
    let leader = |voters: &[u64]| {
        let members = Some(Members { voters: voters.to_vec(), ..Members::default() });
        Ok(reply(1, GroupStatus { members, ..status(1, "leader") }))
    };
    for (voters, copies) in [(&[11, 12, 13, 14][..], 4), (&[11, 12, 13], 3)] {
        let answers = vec![leader(voters), up(2), up(3), up(4)].into_iter().map(of_shard).collect();
        let report = judged(map.clone(), answers);
        let group = &report.groups[0];
        assert_eq!((group.complete, group.wanted, group.health), (copies, copies, Health::Ok));
        assert!(text(&report).contains("leaves"));
    }
}

#[test]
fn the_records_age_is_the_youngest_known_and_never_is_no_number() {
    let report = judged(map(3), vec![up(1), up(2), up(3)]);
    assert_eq!(report.pkarr, Pkarr { age_s: Some(41), ..Pkarr::default() });
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["pkarr"]["published_s"], serde_json::Value::Null);
    assert_eq!((&json["groups"][0]["leader"], &json["health"]), (&"n1".into(), &"ok".into()));
    assert_eq!((&json["nodes"][0]["state"], &json["dead_after_s"]), (&"up".into(), &DEAD_AFTER_S.into()));
}

#[test]
fn without_a_committed_packet_there_is_no_age() {
    let map = ClusterMap { packet: Vec::new().into(), ..map(3) };
    assert_eq!(judged(map, vec![up(1), dead(), dead()]).pkarr.age_s, None);
}

#[test]
fn objects_a_node_lacks_are_shown() {
    let lacking = GroupStatus { objects_missing: 5, ..status(1, "leader") };
    let report = judged(map(3), vec![Ok(reply(1, lacking)), dead(), up(3)]);
    assert_eq!(report.nodes[0].objects.as_ref().map(|objects| objects.missing), Some(5));
    assert!(report.nodes[1].objects.is_none());
    assert!(text(&report).contains("MISSING"));
}

#[test]
fn the_command_version_in_force_is_shown_and_what_each_node_understands() {
    let mut map = ClusterMap { command_version: 2, ..map(3) };
    (map.nodes[1].command_version_min, map.nodes[1].command_version_max) = (2, 3);
    let report = judged(map, vec![up(1), dead(), up(3)]);
    assert!(text(&report).contains("command version 2,"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (json["command_version"].as_u64(), json["nodes"][1]["command_version_max"].as_u64()),
        (Some(2), Some(3))
    );
}

#[test]
fn what_several_nodes_tell_of_one_incident_counts_once_and_a_later_one_again() {
    let told = |n: u8, kind: &str, at_ms: &[u64]| {
        let incident = |at_ms: &u64| Incident {
            at_ms: *at_ms,
            kind: kind.into(),
            subject: "n3".into(),
            ..Incident::default()
        };
        Ok(NodeStatusReply {
            incidents: at_ms.iter().map(incident).collect(),
            ..reply(n, status(n, "follower"))
        })
    };
    let seen = |kind: &str| -> Vec<(u64, String)> {
        let report = judged(map(3), vec![told(1, kind, &[1_000, 50_000]), told(2, kind, &[1_400]), dead()]);
        report.incidents.iter().map(|it| (it.at_ms, it.node.clone())).collect()
    };
    let [first, second, third] =
        [(1_000, "n1"), (1_400, "n2"), (50_000, "n1")].map(|(at, by)| (at, by.to_owned()));
    assert_eq!(seen("node_silent"), [third.clone(), first.clone()]);
    assert_eq!(seen("actor_restarted"), [third, second, first], "each node has its own actors");
}
