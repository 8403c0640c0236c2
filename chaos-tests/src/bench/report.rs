//! Results as a table for people and JSON for scripts.

use serde::Serialize;

/// One cell of the matrix.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub system: String,
    pub scenario: String,
    pub size: usize,
    pub concurrency: usize,
    pub quickack: bool,
    pub repetitions: usize,
    pub operations: u64,
    pub operations_per_s: f64,
    pub operations_per_s_min: f64,
    pub operations_per_s_max: f64,
    pub mb_per_s: f64,
    /// Events read from the feed, where that is what is measured.
    pub events_per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub server_processes: usize,
    pub server_cpu_percent: f64,
    pub server_cpu_us_per_operation: f64,
    pub server_memory_mib: f64,
    pub load_cpu_percent: f64,
    pub disk_kib_per_operation: f64,
    pub disk_flushes_per_operation: f64,
}

/// All cells of a run, and the machine they ran on.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub system: String,
    pub urls: Vec<String>,
    pub users: usize,
    pub signups_per_s: f64,
    pub rows: Vec<Row>,
}

impl Report {
    /// The report for scripts.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// A markdown table, so that it can go into a document as it is.
    pub fn to_table(&self) -> String {
        let mut text = format!(
            "{}: {} users, {:.0} signups/s on one connection\n\n\
             | scenario | C | n | ops/s (min–max) | MB/s | p50 ms | p99 | p99.9 | errors | server CPU % | CPU µs/op | MiB | load CPU % | KiB/op disk | flush/op |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
            self.system, self.users, self.signups_per_s
        );
        for row in &self.rows {
            text.push_str(&line(row));
        }
        for row in self.rows.iter().filter(|row| row.events_per_s > 0.0) {
            text.push_str(&format!(
                "\n{} C={}: {:.0} events/s\n",
                row.scenario, row.concurrency, row.events_per_s
            ));
        }
        for row in self.rows.iter().filter(|row| row.first_error.is_some()) {
            let error = row.first_error.as_deref().unwrap_or_default();
            text.push_str(&format!("\n{} C={}: first error: {error}\n", row.scenario, row.concurrency));
        }
        text
    }
}

fn line(row: &Row) -> String {
    format!(
        "| {}_{}{} | {} | {} | **{:.0}** ({:.0}–{:.0}) | {:.2} | {:.2} | {:.2} | {:.2} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.2} |\n",
        row.scenario,
        size_name(row.size),
        if row.quickack { " quickack" } else { "" },
        row.concurrency,
        row.repetitions,
        row.operations_per_s,
        row.operations_per_s_min,
        row.operations_per_s_max,
        row.mb_per_s,
        row.p50_ms,
        row.p99_ms,
        row.p999_ms,
        row.errors,
        row.server_cpu_percent,
        row.server_cpu_us_per_operation,
        row.server_memory_mib,
        row.load_cpu_percent,
        row.disk_kib_per_operation,
        row.disk_flushes_per_operation,
    )
}

fn size_name(size: usize) -> String {
    const MIB: usize = 1024 * 1024;
    match size {
        size if size >= MIB && size % MIB == 0 => format!("{}m", size / MIB),
        size if size >= 1024 && size % 1024 == 0 => format!("{}k", size / 1024),
        size => size.to_string(),
    }
}
