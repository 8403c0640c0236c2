//! What became of each key, for people and for scripts. It shows no secret.

use rowhouse_gateway::overview::Table;
use rowhouse_proto::settings::{HIDDEN, Kind};
use serde::Serialize;

use super::fate::{Fate, Line, Source};
use super::import::setting;
use crate::settings::literal;

const SETTINGS_SET: &str = "rowhouse ctl cluster settings set --node HOST:PORT";

/// The report as JSON has it.
#[derive(Serialize)]
pub struct Report {
    keys: Vec<Entry>,
    /// To be run once the cluster lives: what the cluster itself keeps.
    commands: Vec<String>,
}

/// One key.
#[derive(Serialize)]
struct Entry {
    key: String,
    /// `kept`, `renamed`, `command`, `meaningless`, `missing` or `unknown`.
    fate: &'static str,
    /// `file` or `default`: who gave the value.
    source: &'static str,
    /// The setting, flag or variable that it became, with its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    becomes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

impl Report {
    /// The report on these keys.
    pub fn of(lines: &[Line]) -> Self {
        let flags = lines.iter().filter_map(|line| match &line.fate {
            Fate::Command { flag, value } => Some(format!(" {flag} {value}")),
            _ => None,
        });
        let flags: String = flags.collect();
        let commands = if flags.is_empty() { Vec::new() } else { vec![format!("{SETTINGS_SET}{flags}")] };
        Self { keys: lines.iter().map(entry).collect(), commands }
    }
}

fn entry(line: &Line) -> Entry {
    let (becomes, why) = match &line.fate {
        Fate::Setting { path, value, why } => {
            let secret = setting(path).is_some_and(|key| matches!(key.kind, Kind::Secret));
            let value = if secret { HIDDEN.to_owned() } else { literal(value).unwrap_or_default() };
            (Some(format!("{path} = {value}")), *why)
        }
        Fate::Command { flag, value } => (Some(format!("{flag} {value}")), None),
        Fate::Variable { name, value } => (Some(format!("{name}={value}")), None),
        Fate::Meaningless(why) | Fate::Missing(why) => (None, Some(*why)),
        Fate::Unknown => (None, Some("pubky-homeserver does not know it either")),
    };
    Entry {
        key: line.key.clone(),
        fate: line.fate.word(&line.key),
        source: match line.source {
            Source::File => "file",
            Source::Default => "default",
        },
        becomes,
        why,
    }
}

/// The report for people: a table, warnings, and what is left to do.
pub fn text(report: &Report) -> String {
    let mut table = Table::new(["KEY", "FATE", "BECOMES, OR WHY NOT"]);
    for entry in &report.keys {
        let key = match entry.source {
            "default" => format!("({})", entry.key),
            _ => entry.key.clone(),
        };
        let parts = [entry.becomes.as_deref(), entry.why];
        let told: Vec<&str> = parts.into_iter().flatten().collect();
        table.row([key, entry.fate.to_owned(), told.join("; ")]);
    }
    let mut text = format!("{table}\nKeys in parentheses are not in the file.\n");
    let count = |fate: &str| report.keys.iter().filter(|entry| entry.fate == fate).count();
    for (fate, what) in [("unknown", "unknown and ignored"), ("missing", "of things that are not there yet")]
    {
        if count(fate) > 0 {
            text.push_str(&format!("warning: keys {what}: {}\n", count(fate)));
        }
    }
    if !report.commands.is_empty() {
        text.push_str("The cluster itself keeps some of them. Once it lives, run:\n");
        report.commands.iter().for_each(|command| text.push_str(&format!("  {command}\n")));
    }
    text
}
