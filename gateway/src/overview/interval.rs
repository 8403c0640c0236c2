//! The nodes between two looks at a cluster: what `ctl top` and the status page show of each.

use std::collections::BTreeMap;

use serde::Serialize;

use super::build::Report;
use super::node::{Node, State};
use super::rates::Rates;

/// One interval. The JSON that scripts get: fields are only ever added.
#[derive(Debug, Serialize)]
pub struct Interval {
    /// Unix time in ms.
    pub at_ms: u64,
    /// Between this look and the one before; 0: this is the first.
    pub seconds: f64,
    pub health: String,
    pub warnings: Vec<String>,
    /// The busiest first.
    pub nodes: Vec<Row>,
}

/// One node. Rates are absent where there is nothing to compare with.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub node_uuid: String,
    pub state: State,
    pub leaders: usize,
    pub replicas: usize,
    pub commits_per_s: Option<f64>,
    /// Entries known to be committed and not applied yet, by its slowest replica.
    pub apply_lag: u64,
    pub log_syncs_per_s: Option<f64>,
    /// What half of the interval's syncs, and 99 of 100, did not exceed; absent where there was none.
    pub log_sync_p50_us: Option<u64>,
    pub log_sync_p99_us: Option<u64>,
    /// Of chunks that count, on its disk.
    pub chunk_bytes: Option<u64>,
    /// Objects and chunks that it lacks or knows to be damaged.
    pub to_repair: Option<u64>,
    pub repaired_per_s: Option<f64>,
    /// Replicas on their way to it.
    pub moving_in: usize,
    pub free_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
    pub clock_offset_us: Option<i64>,
    pub uptime_s: Option<u64>,
    /// The name, and a part of the uuid where it is not the only one of its name.
    pub label: String,
    /// The state in a few words.
    pub described: String,
}

/// Judges one look, with the rates since the one before.
pub fn interval(report: &Report, rates: &BTreeMap<String, Rates>, seconds: f64) -> Interval {
    let mut nodes: Vec<Row> =
        report.nodes.iter().map(|node| row(report, node, rates.get(&node.node_uuid))).collect();
    let busy = |row: &Row| row.commits_per_s.unwrap_or_default();
    nodes.sort_by(|a, b| {
        busy(b).total_cmp(&busy(a)).then(b.leaders.cmp(&a.leaders)).then_with(|| a.name.cmp(&b.name))
    });
    let (health, warnings) = (report.health.as_str().to_owned(), report.warnings.clone());
    Interval { at_ms: report.now_ms, seconds, health, warnings, nodes }
}

fn row(report: &Report, node: &Node, rates: Option<&Rates>) -> Row {
    let objects = node.objects.as_ref();
    let comes = |to: &Option<String>| to.as_ref() == Some(&node.node_uuid);
    let moving = report.groups.iter().filter_map(|group| group.moving.as_ref());
    Row {
        name: node.name.clone(),
        node_uuid: node.node_uuid.clone(),
        state: node.state,
        leaders: node.leads,
        replicas: node.replicas,
        commits_per_s: rates.map(|rates| rates.commits),
        apply_lag: node.apply_lag,
        log_syncs_per_s: rates.map(|rates| rates.log_syncs),
        log_sync_p50_us: rates.and_then(|rates| rates.log_sync_p50_us),
        log_sync_p99_us: rates.and_then(|rates| rates.log_sync_p99_us),
        chunk_bytes: objects.map(|objects| objects.live_bytes),
        to_repair: objects.map(|objects| objects.missing + objects.damaged),
        repaired_per_s: rates.map(|rates| rates.repaired),
        moving_in: moving.filter(|moving| comes(&moving.to_uuid)).count(),
        free_bytes: node.free_bytes,
        disk_bytes: node.disk_bytes,
        clock_offset_us: node.clock_offset_us,
        uptime_s: node.uptime_s,
        label: node.label.clone(),
        described: node.described(),
    }
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::{
        ClusterMap, Durations, GroupInfo, GroupStatus, NodeInfo, NodeStatusReply, ReplicaInfo,
    };

    use super::super::build::report;
    use super::super::rates::rates;
    use super::super::view::View;
    use super::*;

    /// Two nodes; the second leads shard 0 with so many entries committed, the first does not answer or has so much.
    fn look(committed: u64, first: Result<u64, String>) -> Report {
        let uuid = |n: u8| bytes_of(n);
        let info =
            |n: u8| NodeInfo { node_uuid: uuid(n).into(), name: format!("n{n}"), ..NodeInfo::default() };
        let replicas =
            [1, 2].map(|n| ReplicaInfo { replica_id: n.into(), node_uuid: uuid(n).into() }).to_vec();
        let map = ClusterMap {
            nodes: [1, 2].map(info).to_vec(),
            groups: vec![GroupInfo { group: 0, replicas, ..GroupInfo::default() }],
            ..ClusterMap::default()
        };
        let reply = |n: u8, role: &str, committed, applied| NodeStatusReply {
            node_uuid: uuid(n).into(),
            groups: vec![GroupStatus {
                group: 0,
                replica_id: n.into(),
                role: role.into(),
                term: 1,
                committed,
                applied,
                ..GroupStatus::default()
            }],
            pid: n.into(),
            log_syncs: committed / 2,
            // As many in the first bucket as in the second; what came before took longer.
            log_sync_durations: Some(Durations {
                upper_us: vec![100, 300, 1000],
                counts: vec![committed / 4, committed / 4, 0, 100],
            }),
            uptime_s: 61,
            clocks_heard: 2,
            clock_offset_us: -1_500,
            ..NodeStatusReply::default()
        };
        let answers = vec![
            first.map(|committed| reply(1, "follower", committed, committed - 3)),
            Ok(reply(2, "leader", committed, committed)),
        ];
        report(&View::new(map, answers, 7))
    }

    fn bytes_of(n: u8) -> Vec<u8> {
        vec![n; 16]
    }

    #[test]
    fn rates_are_differences_and_the_busiest_node_is_first() {
        let (before, now) = (look(100, Ok(100)), look(300, Ok(300)));
        let interval = interval(&now, &rates(&before, &now, 2.0), 2.0);
        let of = |at: usize| {
            (&*interval.nodes[at].name, interval.nodes[at].commits_per_s, interval.nodes[at].apply_lag)
        };
        assert_eq!((of(0), of(1)), (("n2", Some(100.0), 0), ("n1", Some(0.0), 3)));
        let busiest = &interval.nodes[0];
        assert_eq!(busiest.log_syncs_per_s, Some(50.0));
        assert_eq!(
            (busiest.log_sync_p50_us, busiest.log_sync_p99_us),
            (Some(100), Some(296)),
            "of this interval"
        );
    }

    #[test]
    fn what_cannot_be_compared_has_no_rate() {
        let (before, now) = (look(100, Err("gone".into())), look(300, Ok(300)));
        let interval = interval(&now, &rates(&before, &now, 2.0), 2.0);
        let silent = interval.nodes.iter().find(|row| row.name == "n1").expect("a row");
        assert_eq!((silent.commits_per_s, silent.uptime_s), (None, Some(61)));
        assert_eq!((silent.log_sync_p50_us, silent.log_sync_p99_us), (None, None));
        let first = super::interval(&now, &rates(&now, &now, 0.0), 0.0);
        assert!(first.nodes.iter().all(|row| row.commits_per_s.is_none()), "one look compares nothing");
        let gone = look(300, Err("gone".into()));
        let gone = super::interval(&gone, &BTreeMap::new(), 0.0);
        let gone = gone.nodes.iter().find(|row| row.name == "n1").expect("a row");
        assert_eq!((gone.state, gone.free_bytes, gone.clock_offset_us), (State::Silent, None, None));
    }
}
