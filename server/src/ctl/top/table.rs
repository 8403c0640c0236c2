//! One interval for people.

use rowhouse_gateway::overview::{Interval, Table, units};

/// The warnings, and a row for each node.
pub fn text(interval: &Interval) -> String {
    let mut table = Table::new([
        "NODE",
        "LEADS",
        "REPLICAS",
        "COMMITS/S",
        "APPLY LAG",
        "SYNCS/S",
        "P50 MS",
        "P99 MS",
        "CHUNKS",
        "REPAIR",
        "MOVING IN",
        "FREE",
        "CLOCK MS",
        "UP",
        "STATE",
    ]);
    for row in &interval.nodes {
        let dash = || "-".to_owned();
        let rate = |rate: Option<f64>| rate.map_or_else(dash, |rate| format!("{rate:.0}"));
        let duration = |us: Option<u64>| us.map_or_else(dash, |us| format!("{:.2}", us as f64 / 1000.0));
        let size = |size: Option<u64>| size.map_or_else(dash, units::bytes);
        let offset = |us: i64| format!("{:+.1}", us as f64 / 1000.0);
        table.row([
            row.label.clone(),
            row.leaders.to_string(),
            row.replicas.to_string(),
            rate(row.commits_per_s),
            row.apply_lag.to_string(),
            rate(row.log_syncs_per_s),
            duration(row.log_sync_p50_us),
            duration(row.log_sync_p99_us),
            size(row.chunk_bytes),
            row.to_repair.map_or_else(dash, |count| count.to_string()),
            row.moving_in.to_string(),
            size(row.free_bytes),
            row.clock_offset_us.map_or_else(dash, offset),
            row.uptime_s.map_or_else(dash, units::seconds),
            row.described.clone(),
        ]);
    }
    let warnings: String = interval.warnings.iter().map(|line| format!("! {line}\n")).collect();
    format!("health: {}\n{warnings}\n{table}", interval.health)
}

#[cfg(test)]
mod tests {
    use rowhouse_gateway::overview::{Row, State};

    use super::*;

    #[test]
    fn a_row_has_units_and_dashes_for_what_is_not_known() {
        let row = Row {
            name: "n1".into(),
            node_uuid: String::new(),
            state: State::Up,
            leaders: 6,
            replicas: 17,
            commits_per_s: Some(41.6),
            apply_lag: 3,
            log_syncs_per_s: None,
            log_sync_p50_us: Some(423),
            log_sync_p99_us: None,
            chunk_bytes: Some(1536),
            to_repair: Some(0),
            repaired_per_s: None,
            moving_in: 0,
            free_bytes: None,
            disk_bytes: None,
            clock_offset_us: Some(-1_500),
            uptime_s: Some(61),
            label: "n1".into(),
            described: "up".into(),
        };
        let warnings = vec!["n2 does not answer".to_owned()];
        let interval =
            Interval { at_ms: 7, seconds: 1.0, health: "degraded".into(), warnings, nodes: vec![row] };
        let text = text(&interval);
        assert!(text.starts_with("health: degraded\n! n2 does not answer\n"), "{text}");
        let cells: Vec<&str> =
            text.lines().last().expect("a row").split("  ").filter(|it| !it.is_empty()).collect();
        let cells: Vec<&str> = cells.into_iter().map(str::trim).collect();
        let expected = [
            "n1",
            "6",
            "17",
            "42",
            "3",
            "-",
            "0.42",
            "-",
            "1.5 KiB",
            "0",
            "0",
            "-",
            "-1.5",
            "1 min 1 s",
            "up",
        ];
        assert_eq!(cells, expected);
    }
}
