//! The rules of observability/alerts: they read only what is measured, each alert has a test that it fires in, and a
//! runbook that says what to do. promtool judges and tests them where it is at hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::sources::root;

const RULES: &str = "observability/alerts";
const TESTS: &str = "observability/alerts/tests";
const RUNBOOKS: &str = "docs/runbooks";
const METRICS: &str = "docs/operations/metrics.md";
/// What a runbook says, in this order.
const HEADINGS: [&str; 3] = ["## What it means", "## How to look", "## What to do"];
/// Beginnings of the names of what is measured.
const AREAS: [&str; 5] = ["rowhouse_", "http_server_", "rpc_", "process_", "event"];
/// What a histogram's series have behind its name.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Everything that is wrong with them.
pub fn offences() -> Vec<String> {
    let rules = files(RULES, "yml");
    assert!(!rules.is_empty(), "found no rules");
    let text = rules.iter().map(read).collect::<Vec<_>>().join("\n");
    let tests = files(TESTS, "yml").iter().map(read).collect::<Vec<_>>().join("\n");
    let page = fs::read_to_string(root().join(METRICS)).unwrap_or_default();
    let mut offences = unknown(&text, &documented(&page));
    offences.extend(untested(&text, &tests));
    offences.extend(without_runbook(&text));
    offences.extend(refused(&rules));
    offences
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let of_kind = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(of_kind).collect();
    found.sort();
    found
}

fn read(file: &PathBuf) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The value of a key on each line that has it.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim().trim_start_matches("- ").strip_prefix(key)).map(str::trim)
}

/// The first column of the tables: the names that Prometheus sees.
fn documented(page: &str) -> BTreeSet<&str> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

fn unknown(rules: &str, documented: &BTreeSet<&str>) -> Vec<String> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    let code = rules.lines().filter(|line| !line.trim_start().starts_with('#') && !line.contains("summary:"));
    let words = code.flat_map(|line| line.split(|char| !is_name(char)));
    let named: BTreeSet<&str> =
        words.filter(|word| AREAS.iter().any(|area| word.starts_with(area))).collect();
    let base = |name: &str| {
        let part = PARTS.iter().find_map(|part| name.strip_suffix(part));
        documented.contains(name) || part.is_some_and(|histogram| documented.contains(histogram))
    };
    let missing = named.into_iter().filter(|name| !base(name));
    missing.map(|name| format!("a rule reads {name}, which {METRICS} does not have")).collect()
}

/// Alerts that fire in no test.
fn untested(rules: &str, tests: &str) -> Vec<String> {
    let checks: Vec<&str> = tests.split("alertname:").skip(1).collect();
    let fires = |alert: &str| {
        checks.iter().any(|check| {
            let this = check.split("- eval_time:").next().unwrap_or_default();
            this.split_whitespace().next() == Some(alert) && this.contains("exp_labels:")
        })
    };
    let silent = values(rules, "alert:").filter(|alert| !fires(alert));
    silent.map(|alert| format!("{alert} fires in no test")).collect()
}

fn without_runbook(rules: &str) -> Vec<String> {
    let (alerts, cited) = (values(rules, "alert:").count(), values(rules, "runbook:").collect::<Vec<_>>());
    let mut offences = Vec::new();
    if alerts != cited.len() {
        offences.push(format!("{alerts} alerts name {} runbooks", cited.len()));
    }
    for runbook in &cited {
        let text = fs::read_to_string(root().join(runbook)).unwrap_or_default();
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        if found != HEADINGS {
            offences.push(format!("{runbook} has the headings {found:?}"));
        }
        let named = values(rules, "alert:").filter(|alert| text.contains(&format!("`{alert}`"))).count();
        if named == 0 {
            offences.push(format!("{runbook} names no alert"));
        }
    }
    for file in files(RUNBOOKS, "md") {
        let name = format!("{RUNBOOKS}/{}", file.file_name().unwrap_or_default().to_string_lossy());
        if !name.ends_with("README.md") && !cited.contains(&name.as_str()) {
            offences.push(format!("no alert leads to {name}"));
        }
    }
    offences
}

/// What promtool says against them.
fn refused(rules: &[PathBuf]) -> Vec<String> {
    let tests = files(TESTS, "yml");
    let asked = [(&["check", "rules"][..], rules), (&["test", "rules"][..], &tests)];
    let mut said = Vec::new();
    for (arguments, files) in asked {
        let Ok(output) = Command::new("promtool").args(arguments).args(files).output() else {
            eprintln!("promtool is not installed: the rules of alerts are NOT TESTED");
            return Vec::new();
        };
        if !output.status.success() {
            said.extend(
                [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()),
            );
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str =
        "  - alert: A\n    expr: rate(rowhouse_a_seconds_bucket[5m]) > rowhouse_b\n    # rowhouse_c\n";

    #[test]
    fn rules_read_what_is_documented() {
        let documented = documented("| `rowhouse_a_seconds` | x |\n| name |");
        assert_eq!(unknown(RULE, &documented).len(), 1);
        assert!(unknown(RULE, &documented)[0].contains("rowhouse_b,"));
    }

    #[test]
    fn an_alert_must_fire_in_a_test() {
        let quiet = "- eval_time: 1m\n  alertname: A\n  exp_alerts: []\n- eval_time: 1m\n  alertname: B\n  exp_labels: x";
        assert_eq!(untested(RULE, quiet), ["A fires in no test"]);
        assert!(untested(RULE, "alertname: A\n  exp_alerts:\n  - exp_labels: {}\n").is_empty());
    }
}
