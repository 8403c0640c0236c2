use rowhouse_proto::wire::meta::{GroupStatus, ReplicaInfo};

use super::*;

fn map() -> ClusterMap {
    let nodes = (1..=2)
        .map(|number| NodeInfo {
            node_uuid: vec![number; 16].into(),
            address: format!("127.0.0.1:{number}"),
            name: format!("n{number}"),
            ..NodeInfo::default()
        })
        .collect();
    let replicas = (1..=2)
        .map(|number| ReplicaInfo { replica_id: u64::from(number) + 10, node_uuid: vec![number; 16].into() })
        .collect();
    ClusterMap {
        cluster_id: vec![9; 16].into(),
        packet: vec![1].into(),
        nodes,
        groups: vec![GroupInfo { group: META_GROUP, epoch: 3, replicas, moving: None }],
        ..ClusterMap::default()
    }
}

fn answer(role: &str, term: u64, age: u64) -> Answer {
    let group = GroupStatus {
        group: META_GROUP,
        role: role.into(),
        term,
        lag: 4,
        applied: 7,
        ..GroupStatus::default()
    };
    Ok(NodeStatusReply {
        groups: vec![group],
        packet_age_s: age,
        packet_published_s: u64::MAX,
        pid: 77,
        ..NodeStatusReply::default()
    })
}

fn dead() -> Answer {
    Err(Error::Node { address: "127.0.0.1:2".into(), text: "no connection".into() })
}

#[test]
fn of_two_that_claim_to_lead_the_higher_term_counts() {
    let report = report(&map(), &[answer("leader", 8, 50), answer("leader", 7, 60)]);
    assert_eq!(report.groups[0].leader.as_deref(), Some("n1"));
    assert_eq!(report.groups[0].term, 8);
    assert_eq!(report.groups[0].lag, Some(4));
    assert_eq!(report.groups[0].group, "meta");
}

#[test]
fn a_dead_node_is_shown_and_hides_nothing_else() {
    let report = report(&map(), &[answer("leader", 8, 50), dead()]);
    assert!(!report.nodes[1].reachable);
    assert_eq!(report.groups[0].replicas[1].role, "unknown");
    assert_eq!(report.nodes[0].leads, 1);
    let text = text(&report);
    assert!(text.contains("no connection") && text.contains("n1:leader@7"), "{text}");
}

#[test]
fn the_records_age_is_the_youngest_known_and_never_is_no_number() {
    let report = report(&map(), &[answer("leader", 8, 50), answer("follower", 8, 60)]);
    assert_eq!(report.pkarr, Pkarr { age_s: Some(50), published_s: None });
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["pkarr"]["published_s"], serde_json::Value::Null);
    assert_eq!(json["groups"][0]["leader"], "n1");
}

#[test]
fn without_a_committed_packet_there_is_no_age() {
    let map = ClusterMap { packet: Vec::new().into(), ..map() };
    assert_eq!(report(&map, &[answer("leader", 8, 0), dead()]).pkarr.age_s, None);
}

#[test]
fn objects_a_node_lacks_are_shown() {
    let Ok(reply) = answer("leader", 8, 50) else { panic!("an answer") };
    let groups =
        reply.groups.iter().map(|group| GroupStatus { objects_missing: 5, ..group.clone() }).collect();
    let reply = NodeStatusReply { groups, ..reply };
    let report = report(&map(), &[Ok(reply), dead()]);
    assert_eq!(report.nodes[0].objects.as_ref().map(|objects| objects.missing), Some(5));
    assert!(report.nodes[1].objects.is_none());
    assert!(text(&report).contains("MISSING"));
}

#[test]
fn the_command_version_in_force_is_shown_and_what_each_node_understands() {
    let mut map = ClusterMap { command_version: 2, ..map() };
    (map.nodes[1].command_version_min, map.nodes[1].command_version_max) = (2, 3);
    let report = report(&map, &[answer("leader", 8, 50), dead()]);
    assert!(text(&report).contains("command version 2,"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (json["command_version"].as_u64(), json["nodes"][1]["command_version_max"].as_u64()),
        (Some(2), Some(3))
    );
}
