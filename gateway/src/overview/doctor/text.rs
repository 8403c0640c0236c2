//! The diagnosis for people.

use std::fmt::Write as _;

use super::super::table::Table;
use super::diagnosis::Diagnosis;
use super::finding::{Finding, listed};
use super::losses::{IfLost, What};

/// Everything, the worst first.
pub fn text(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{}\n", diagnosis.verdict.as_str());
    if let Some(problem) = &diagnosis.problem {
        // A String takes whatever is written.
        let _whole = writeln!(text, "{problem}");
    }
    diagnosis.findings.iter().for_each(|finding| text.push_str(&described(finding)));
    if !diagnosis.if_lost.is_empty() {
        let _whole = write!(text, "\nwhat dies if this dies:\n{}", losses(&diagnosis.if_lost));
    }
    text
}

fn described(finding: &Finding) -> String {
    let mut text = format!("\n{}: {}\n", finding.severity.as_str(), finding.summary);
    let mut line = |what: &str, said: &str| {
        if !said.is_empty() {
            let _whole = writeln!(text, "  {what:<6} {said}");
        }
    };
    line("seen", &finding.evidence);
    line("shards", &listed(&finding.shards));
    line("do", &finding.advice);
    line("next", finding.next.as_deref().unwrap_or_default());
    text
}

fn losses(if_lost: &[IfLost]) -> Table {
    let mut table = Table::new(["IF LOST", "STOP", "NO SPARE LEFT", "ONLY COPY", "LEADS", "SO"]);
    for loss in if_lost {
        let what = match loss.what {
            What::Node => "node",
            What::Zone => "zone",
            What::Gateway => "gateway",
        };
        let count =
            |shards: &[String]| if shards.is_empty() { "-".to_owned() } else { shards.len().to_string() };
        table.row([
            format!("{what} {}", loss.name),
            count(&loss.quorum_lost),
            count(&loss.last_spare_lost),
            count(&loss.only_copy_lost),
            loss.leads.to_string(),
            loss.summary.clone(),
        ]);
    }
    table
}
