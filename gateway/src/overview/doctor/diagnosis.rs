//! All findings about a cluster, in the order in which somebody should read them.

use serde::Serialize;

use super::super::build::Report;
use super::command::Ctl;
use super::finding::{Finding, Severity};
use super::losses::{IfLost, losses};
use super::{cluster, nodes, record, shards};

/// The whole in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody has to act.
    Well,
    /// Somebody has to.
    Act,
    /// Too little is known to say.
    Unknown,
}

impl Verdict {
    /// The exit code of `ctl doctor`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Act => 1,
            Self::Unknown => 2,
        }
    }

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Act => "findings that need action",
            Self::Unknown => "cannot tell",
        }
    }
}

/// The JSON that scripts get: fields are only ever added.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Diagnosis {
    pub verdict: Verdict,
    /// Why nothing is known; absent unless the verdict is `unknown`.
    pub problem: Option<String>,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// What the loss of each node, zone and gateway would do, one at a time.
    pub if_lost: Vec<IfLost>,
}

impl Diagnosis {
    /// Nothing is known, for this reason.
    pub fn unknown(problem: String) -> Self {
        Self { verdict: Verdict::Unknown, problem: Some(problem), findings: Vec::new(), if_lost: Vec::new() }
    }
}

/// Judges a report. If no node answers there is nothing to judge.
pub fn diagnose(report: &Report) -> Diagnosis {
    // One that hangs answers, and can do nothing.
    let entry = report.nodes.iter().filter(|node| node.reachable).min_by_key(|node| node.log_hangs);
    let Some(entry) = entry else {
        let problems: Vec<&str> = report.nodes.iter().filter_map(|node| node.problem.as_deref()).collect();
        return Diagnosis::unknown(format!("no node tells its status: {}", problems.join("; ")));
    };
    let ctl = Ctl::new(&entry.address);
    let mut findings = shards::findings(report, ctl);
    findings.extend(nodes::findings(report, ctl));
    findings.extend(cluster::findings(report, ctl));
    findings.extend(record::findings(report, ctl));
    findings.sort_by_key(|finding| finding.severity);
    let must_act = findings.iter().any(|finding| finding.severity != Severity::Notice);
    let verdict = if must_act { Verdict::Act } else { Verdict::Well };
    Diagnosis { verdict, problem: None, findings, if_lost: losses(report) }
}
