//! The settings file that is written: one for nodes and gateways alike, each takes its own keys.

use std::collections::BTreeSet;

use super::fate::{Fate, Line, Source};
use crate::settings::{GatewaySettings, NodeSettings, Settings, literal};

/// What no file of the other program can say.
const OWN: &str = "\
# It serves every node and gateway. What is a process's own goes into flags or the environment:
#   rowhouse node    --config FILE --data-dir PATH --listen IP:PORT --name NAME --seed HOST:PORT
#   rowhouse gateway --config FILE --node HOST:PORT
";

/// The file's text. `name` is the file that was imported.
pub fn text(name: &str, lines: &[Line]) -> String {
    let mut text = format!("# Made by `rowhouse ctl config import` from {name}.\n{OWN}");
    let mut section = "";
    let mut seen = BTreeSet::new();
    for key in GatewaySettings::keys().chain(NodeSettings::keys()) {
        let Some((line, literal)) = lines.iter().find_map(|line| set(line, key.path)) else { continue };
        if !seen.insert(key.path) {
            continue;
        }
        if key.section() != section {
            section = key.section();
            text.push_str(&format!("\n[{section}]\n"));
        }
        let default = if line.source == Source::Default { ", not in the file" } else { "" };
        text.push_str(&format!("{} = {literal}  # {}{default}\n", key.name(), line.key));
    }
    text
}

fn set<'a>(line: &'a Line, wanted: &str) -> Option<(&'a Line, String)> {
    match &line.fate {
        Fate::Setting { path, value, .. } if *path == wanted => Some((line, literal(value)?)),
        _ => None,
    }
}
