use rowhouse_proto::wire::meta::{
    ClusterMap, GatewayInfo, GroupStatus, LeaderChange, NodeLife, NodeStatusReply, PacketStatus, Reach,
    ReplicaMove, VantagePoint,
};

use super::super::testing::{
    LAST_LOG, NOW_MS, away, dead, judged, life, map, replica, reply, status, up, uuid,
};
use super::super::view::Answer;
use super::*;

/// What makes a cluster well: gateways that are announced, and a record that is published.
fn well(nodes: u8) -> ClusterMap {
    let gateway =
        |n: u8| GatewayInfo { public_ip: format!("192.0.2.{n}"), tls_port: 1, ..GatewayInfo::default() };
    let mut map = ClusterMap { gateways: vec![gateway(1), gateway(2)], ..map(nodes) };
    map.groups.push(rowhouse_proto::wire::meta::GroupInfo { group: 0, ..map.groups[0].clone() });
    map
}

/// A node of `well`: it has the meta group and shard 0, and published the record.
fn fine(n: u8) -> NodeStatusReply {
    let role = if n == 1 { "leader" } else { "follower" };
    let mut reply = reply(n, status(n, role));
    reply.groups.push(GroupStatus { group: 0, ..status(n, role) });
    NodeStatusReply {
        packet_published_s: 30,
        used_bytes: 50,
        disk_bytes: 100,
        uptime_s: 7_200,
        clocks_heard: 3,
        clock_offset_us: 900,
        ..reply
    }
}

fn all_fine() -> Vec<Answer> {
    vec![Ok(fine(1)), Ok(fine(2)), Ok(fine(3))]
}

fn diagnosed(map: ClusterMap, answers: Vec<Answer>) -> Diagnosis {
    diagnose(&judged(map, answers))
}

/// The answers of three fine nodes, the second one changed.
fn with(change: impl FnOnce(&mut NodeStatusReply)) -> Vec<Answer> {
    let mut second = fine(2);
    change(&mut second);
    vec![Ok(fine(1)), Ok(second), Ok(fine(3))]
}

fn found<'a>(diagnosis: &'a Diagnosis, kind: &str) -> &'a Finding {
    let found = diagnosis.findings.iter().find(|finding| finding.kind == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {:?}", diagnosis.findings))
}

fn kinds(diagnosis: &Diagnosis) -> Vec<&'static str> {
    diagnosis.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_cluster_that_is_well_has_no_findings_and_tells_what_it_can_spare() {
    let diagnosis = diagnosed(well(3), all_fine());
    assert_eq!((kinds(&diagnosis), diagnosis.verdict.exit_code()), (vec![], 0));
    let lost: Vec<(&str, usize, usize, usize)> = diagnosis
        .if_lost
        .iter()
        .map(|it| (it.name.as_str(), it.quorum_lost.len(), it.last_spare_lost.len(), it.leads))
        .collect();
    assert_eq!(lost, [("n1", 0, 2, 2), ("n2", 0, 2, 0), ("n3", 0, 2, 0)]);
    assert!(text(&diagnosis).starts_with("well\n"), "{}", text(&diagnosis));
}

#[test]
fn a_dead_node_is_named_with_its_shards_and_what_would_die_next() {
    let answers = vec![Ok(fine(1)), dead(), Ok(fine(3))];
    let diagnosis = diagnosed(well(3), answers);
    assert_eq!((diagnosis.verdict, diagnosis.verdict.exit_code()), (Verdict::Act, 1));
    let silent = found(&diagnosis, "node_silent");
    assert_eq!(
        (silent.subject.as_str(), silent.shards.as_slice()),
        ("n2", &["meta".to_owned(), "0".into()][..])
    );
    assert!(
        silent.next.as_deref().is_some_and(|next| next == "rowhouse ctl node replace n2 --node 127.0.0.1:1")
    );
    let short = found(&diagnosis, "too_few_replicas");
    assert!(short.evidence.contains("n1 or n3") && short.evidence.contains("n2: its node does not answer"));
    let if_lost = |name: &str| diagnosis.if_lost.iter().find(|it| it.name == name);
    assert_eq!(if_lost("n1").map(|it| it.quorum_lost.len()), Some(2));
    assert!(if_lost("n2").is_none(), "it is gone already");
    let text = text(&diagnosis);
    assert!(text.contains("2 shards lose their quorum and stop"), "{text}");
}

#[test]
fn an_away_node_tells_when_it_is_replaced_and_an_empty_one_may_be_forgotten() {
    let mut map = well(4);
    life(&mut map, 2, away(42));
    let mut answers = vec![Ok(fine(1)), dead(), Ok(fine(3))];
    let fourth = || Ok(NodeStatusReply { groups: vec![], ..fine(4) });
    answers.push(fourth());
    let diagnosis = diagnosed(map, answers);
    let summary = &found(&diagnosis, "node_away").summary;
    assert!(summary.contains("42 s") && summary.contains("9 min 18 s"), "{summary}");
    let mut map = well(4);
    life(&mut map, 4, away(42));
    let mut answers = all_fine();
    answers.push(dead());
    let diagnosis = diagnosed(map, answers);
    assert!(
        found(&diagnosis, "node_away").next.as_deref().is_some_and(|next| next.contains("node remove n4"))
    );
}

#[test]
fn without_a_majority_the_shard_is_stopped_and_with_one_it_elects() {
    let follower = |n: u8| {
        let mut reply = fine(n);
        reply.groups.iter_mut().for_each(|group| group.role = "follower".into());
        Ok(reply)
    };
    let diagnosis = diagnosed(well(3), vec![dead(), dead(), follower(3)]);
    let stopped = found(&diagnosis, "quorum_lost");
    assert_eq!((stopped.severity, stopped.shards.len()), (Severity::Critical, 2));
    assert!(stopped.advice.contains("n1, n2") && stopped.evidence.contains("take part: n3"), "{stopped:?}");
    assert!(stopped.next.as_deref().is_some_and(|next| next.contains("shard recover meta --on n3")));
    let diagnosis = diagnosed(well(3), vec![dead(), follower(2), follower(3)]);
    assert!(!kinds(&diagnosis).contains(&"quorum_lost"));
    assert_eq!(found(&diagnosis, "no_leader").severity, Severity::Critical);
}

#[test]
fn a_leader_that_no_majority_answers_serves_nobody() {
    let lone = |node: &mut NodeStatusReply| {
        for group in &mut node.groups {
            group.followers.iter_mut().for_each(|follower| follower.answered = false);
        }
    };
    let mut leader = fine(1);
    lone(&mut leader);
    let broken = |n: u8| {
        let mut reply = fine(n);
        reply
            .groups
            .iter_mut()
            .for_each(|group| (group.role, group.problem) = ("broken".into(), "differs".into()));
        Ok(reply)
    };
    let diagnosis = diagnosed(well(3), vec![Ok(leader), broken(2), broken(3)]);
    assert_eq!(found(&diagnosis, "quorum_lost").severity, Severity::Critical);
}

#[test]
fn nothing_is_known_where_no_node_answers() {
    let diagnosis = diagnosed(well(3), vec![dead(), dead(), dead()]);
    assert_eq!((diagnosis.verdict, diagnosis.verdict.exit_code()), (Verdict::Unknown, 2));
    assert!(text(&diagnosis).contains("no connection"));
}

#[test]
fn a_broken_replica_is_moved_and_one_that_lags_completes_itself() {
    let diagnosis = diagnosed(well(3), with(|node| node.groups[1].problem = "differs".into()));
    let broken = found(&diagnosis, "replica_broken");
    assert_eq!(broken.shards, ["0"]);
    assert!(broken.evidence.contains("differs") && kinds(&diagnosis).contains(&"too_few_replicas"));
    assert!(broken.next.is_none() && broken.advice.contains("no node is there"), "three nodes");
    let mut answers = with(|node| node.groups[1].problem = "differs".into());
    answers.push(Ok(NodeStatusReply { groups: vec![], ..fine(4) }));
    let diagnosis = diagnosed(well(4), answers);
    let next = found(&diagnosis, "replica_broken").next.clone().expect("a node is free");
    assert!(next.contains("shard move 0 --from n2 --to n4"), "{next}");
    let diagnosis = diagnosed(well(3), with(|node| node.groups[1].objects_missing = 4));
    assert_eq!(kinds(&diagnosis), ["too_few_replicas"]);
    assert!(found(&diagnosis, "too_few_replicas").evidence.contains("4 large bodies or chunks"));
}

#[test]
fn space_certificates_and_clocks_are_told_in_time() {
    let one = |change: fn(&mut NodeStatusReply)| {
        let diagnosis = diagnosed(well(3), with(change));
        let told = diagnosis
            .findings
            .iter()
            .map(|it| (it.kind, it.severity, it.subject.clone()))
            .collect::<Vec<_>>();
        assert!(told.len() < 2, "{told:?}");
        told.into_iter().next().map(|(kind, severity, subject)| {
            assert_eq!(subject, "n2");
            (kind, severity)
        })
    };
    use Severity::{Critical, Warning};
    assert_eq!(one(|it| it.low_space = true), Some(("low_space", Critical)));
    assert_eq!(one(|it| it.log_hangs = true), Some(("log_hangs", Critical)));
    assert_eq!(one(|it| it.used_bytes = 90), Some(("disk_filling", Warning)));
    assert_eq!(one(|it| it.used_bytes = 89), None);
    assert_eq!(one(|it| it.certificate_expires_s = Some(0)), Some(("certificate_expired", Critical)));
    assert_eq!(
        one(|it| it.certificate_expires_s = Some(2 * 86_400)),
        Some(("certificate_expiring", Warning))
    );
    assert_eq!(one(|it| it.certificate_expires_s = Some(15 * 86_400)), None);
    assert_eq!(one(|it| it.clock_offset_us = -600_000), Some(("clock_held", Critical)));
    assert_eq!(one(|it| it.clock_offset_us = 100_000), Some(("clock_offset", Warning)));
    assert_eq!(one(|it| it.clock_offset_us = 99_000), None);
    let unheard: fn(&mut NodeStatusReply) = |it| (it.clock_offset_us, it.clocks_heard) = (600_000, 1);
    assert_eq!(one(unheard), None, "its own clock alone says nothing");
}

#[test]
fn notices_do_not_ask_for_action() {
    let diagnosis = diagnosed(well(3), with(|node| node.draining = true));
    assert_eq!((kinds(&diagnosis), diagnosis.verdict.exit_code()), (vec!["node_draining"], 0));
    let mut map = well(4);
    life(&mut map, 4, NodeLife { leaving: true, ..NodeLife::default() });
    let mut answers = all_fine();
    answers.push(Ok(NodeStatusReply { groups: vec![], ..fine(4) }));
    let diagnosis = diagnosed(map, answers);
    assert_eq!((kinds(&diagnosis), diagnosis.verdict), (vec!["node_empty"], Verdict::Well));
    let mut map = ClusterMap { command_version: 2, ..well(3) };
    map.nodes[1].command_version_max = 3;
    assert_eq!(kinds(&diagnosed(map, all_fine())), ["upgrade_under_way"]);
}

#[test]
fn gateways_and_the_record_are_the_way_in() {
    let none = ClusterMap { gateways: vec![], ..well(3) };
    let diagnosis = diagnosed(none, all_fine());
    assert_eq!((kinds(&diagnosis), diagnosis.verdict), (vec!["no_gateway"], Verdict::Act));
    let mut one = well(3);
    one.gateways.pop();
    let diagnosis = diagnosed(one, all_fine());
    assert_eq!((kinds(&diagnosis), diagnosis.verdict), (vec!["one_gateway"], Verdict::Well));
    assert!(diagnosis.if_lost.iter().any(|it| it.what == What::Gateway && it.name == "192.0.2.1:1"));
    let unsigned = ClusterMap { packet: Vec::new().into(), ..well(3) };
    assert_eq!(kinds(&diagnosed(unsigned, all_fine())), ["record_missing"]);
    let published = |published_s: u64, uptime_s: u64| {
        let node = |n| Ok(NodeStatusReply { packet_published_s: published_s, uptime_s, ..fine(n) });
        kinds(&diagnosed(well(3), vec![node(1), node(2), node(3)]))
    };
    assert_eq!(published(70 * 60, 9_999), Vec::<&str>::new());
    assert_eq!(published(70 * 60 + 1, 9_999), ["record_stale"]);
    assert_eq!(published(u64::MAX, 9_999), ["record_unpublished"]);
    assert_eq!(published(u64::MAX, 60), Vec::<&str>::new(), "it has just started");
}

#[test]
fn records_that_lead_elsewhere_or_nowhere_are_told() {
    let diagnosed_with = |packets: PacketStatus| {
        let node = |n| Ok(NodeStatusReply { packets: Some(packets.clone()), ..fine(n) });
        diagnosed(well(3), vec![node(1), Ok(fine(2)), Ok(fine(3))])
    };
    let foreign = diagnosed_with(PacketStatus { foreign: true, ..PacketStatus::default() });
    assert_eq!((kinds(&foreign), foreign.verdict), (vec!["record_foreign"], Verdict::Act));
    let reach = |address: &str, problem: &str| Reach { address: address.into(), problem: problem.into() };
    let packets = PacketStatus {
        reach: vec![reach("192.0.2.1:1", "refused"), reach("192.0.2.2:1", "")],
        ..PacketStatus::default()
    };
    let diagnosis = diagnosed_with(packets);
    assert_eq!(
        (kinds(&diagnosis), &diagnosis.findings[0].evidence[..]),
        (vec!["gateway_unreachable"], "192.0.2.1:1: refused")
    );
    let way = |problem: &str| VantagePoint { problem: problem.into(), ..VantagePoint::default() };
    let ways = |ways: Vec<VantagePoint>| {
        diagnosed_with(PacketStatus { vantage_points: ways, ..PacketStatus::default() })
    };
    let diagnosis = ways(vec![way("no answer"), way("refused")]);
    assert_eq!((kinds(&diagnosis), &diagnosis.findings[0].subject[..]), (vec!["network_unreachable"], "n1"));
    assert_eq!(kinds(&ways(vec![way("no answer"), way("")])), Vec::<&str>::new(), "a relay answers");
}

#[test]
fn restless_leaders_are_told_and_quiet_ones_are_not() {
    let elections = |count: u64, ago_ms: u64| {
        let change = |term| LeaderChange {
            at_ms: NOW_MS - ago_ms,
            group: 0,
            term,
            from_node: uuid(1).into(),
            to_node: uuid(2).into(),
        };
        let changes: Vec<LeaderChange> = (1..=count).map(change).collect();
        // Two nodes saw the same.
        let node = |n| Ok(NodeStatusReply { leader_changes: changes.clone(), ..fine(n) });
        let report = judged(well(3), vec![node(1), node(2), Ok(fine(3))]);
        assert_eq!(report.elections.len() as u64, count);
        kinds(&diagnose(&report))
    };
    assert_eq!(elections(5, 1_000), ["restless_leaders"]);
    assert_eq!(elections(4, 1_000), Vec::<&str>::new());
    assert_eq!(elections(5, 11 * 60 * 1_000), Vec::<&str>::new());
}

#[test]
fn a_move_is_a_notice_until_it_takes_too_long() {
    let moved = |for_s: u64| {
        let mut map = well(4);
        map.groups[1].moving = Some(ReplicaMove {
            add: Some(replica(4)),
            remove: 13,
            reason: "node n3 is leaving".into(),
            began_ms: NOW_MS - for_s * 1000,
        });
        let mut answers = all_fine();
        let learner = GroupStatus { group: 0, applied: LAST_LOG / 2, ..status(4, "learner") };
        answers.push(Ok(NodeStatusReply { groups: vec![learner], ..fine(4) }));
        let diagnosis = diagnosed(map, answers);
        assert!(diagnosis.findings[0].evidence.contains("from n3 to n4"), "{:?}", diagnosis.findings);
        (kinds(&diagnosis), diagnosis.verdict)
    };
    assert_eq!(moved(12), (vec!["moves_under_way"], Verdict::Well));
    assert_eq!(moved(3_600), (vec!["move_slow"], Verdict::Act));
}

#[test]
fn too_few_nodes_are_told_before_and_after_a_loss() {
    let two = |map: ClusterMap| {
        let voters = Some(rowhouse_proto::wire::meta::Members { voters: vec![11, 12], ..Default::default() });
        let node = |n| {
            let mut reply = fine(n);
            reply.groups.iter_mut().for_each(|group| group.members = voters.clone());
            Ok(reply)
        };
        diagnosed(map, vec![node(1), node(2)])
    };
    let diagnosis = two(well(2));
    assert_eq!((kinds(&diagnosis), diagnosis.verdict), (vec!["few_nodes"], Verdict::Well));
    let mut map = well(3);
    life(&mut map, 2, NodeLife { lost: true, ..NodeLife::default() });
    let diagnosis = diagnosed(map, vec![up(1), dead(), up(3)]);
    assert_eq!(found(&diagnosis, "node_lost").subject, "n2");
    assert_eq!(found(&diagnosis, "nowhere_to_rebuild").severity, Severity::Warning);
    let mut map = well(4);
    life(&mut map, 2, NodeLife { lost: true, ..NodeLife::default() });
    let fourth = || Ok(NodeStatusReply { groups: vec![], ..fine(4) });
    let kinds_of_four = kinds(&diagnosed(map, vec![Ok(fine(1)), dead(), Ok(fine(3)), fourth()]));
    assert!(kinds_of_four.contains(&"node_lost") && !kinds_of_four.contains(&"nowhere_to_rebuild"));
    let mut map = well(4);
    life(&mut map, 4, NodeLife { lost: true, ..NodeLife::default() });
    let mut answers = all_fine();
    answers.push(dead());
    let diagnosis = diagnosed(map, answers);
    assert_eq!(found(&diagnosis, "node_lost").severity, Severity::Notice, "it holds nothing");
    let unplaced = ClusterMap { shard_count: 4, groups: well(3).groups[..1].to_vec(), ..well(3) };
    assert!(kinds(&diagnosed(unplaced, all_fine())).contains(&"not_placed"));
}

#[test]
fn a_zone_fails_as_one() {
    let mut map = well(3);
    map.nodes[0].zone = "cellar".into();
    map.nodes[1].zone = "cellar".into();
    map.nodes[2].zone = "attic".into();
    let diagnosis = diagnosed(map, all_fine());
    let zones: Vec<(&str, usize)> = diagnosis
        .if_lost
        .iter()
        .filter(|it| it.what == What::Zone)
        .map(|it| (it.name.as_str(), it.quorum_lost.len()))
        .collect();
    assert_eq!(zones, [("cellar", 2)]);
}

#[test]
fn the_json_is_what_the_page_says() {
    let diagnosis = diagnosed(well(3), vec![Ok(fine(1)), dead(), Ok(fine(3))]);
    let json = serde_json::to_value(&diagnosis).expect("json");
    assert_eq!((&json["verdict"], &json["problem"]), (&"act".into(), &serde_json::Value::Null));
    let finding = &json["findings"][0];
    for field in ["severity", "kind", "subject", "summary", "evidence", "advice", "next", "shards"] {
        assert!(finding.get(field).is_some(), "{field} of {finding}");
    }
    assert_eq!(json["if_lost"][0]["what"], "node");
}
