//! One thing that somebody should know or do.

use serde::Serialize;

/// Names in one sentence; a cluster may have thousands of shards.
const NAMED_MAX: usize = 8;

/// From bad to harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody is not served, or will not be soon. Act now.
    Critical,
    /// All is served, and the next loss may end that. Act today.
    Warning,
    /// Worth knowing; nobody has to act.
    Notice,
}

impl Severity {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// The JSON that scripts get: fields are only ever added.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    /// A stable word for scripts (docs/operations/see-the-cluster.md).
    pub kind: &'static str,
    /// A node's name, `shards`, `gateways`, `record`, or `cluster`.
    pub subject: String,
    /// One sentence.
    pub summary: String,
    /// What was seen that says so.
    pub evidence: String,
    /// What to do, in words; empty: nothing.
    pub advice: String,
    /// The next command; absent where no command helps.
    pub next: Option<String>,
    /// All shards concerned, and `meta`.
    pub shards: Vec<String>,
}

impl Finding {
    /// A finding without evidence, advice, command and shards.
    pub fn new(severity: Severity, kind: &'static str, subject: &str, summary: String) -> Self {
        Self {
            severity,
            kind,
            subject: subject.to_owned(),
            summary,
            evidence: String::new(),
            advice: String::new(),
            next: None,
            shards: Vec::new(),
        }
    }

    /// The finding with what was seen.
    pub fn because(self, evidence: impl Into<String>) -> Self {
        Self { evidence: evidence.into(), ..self }
    }

    /// The finding with what to do about it.
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    /// The finding with the next command.
    pub fn next(self, command: String) -> Self {
        Self { next: Some(command), ..self }
    }

    /// The finding with the shards it is about.
    pub fn of_shards(self, shards: Vec<String>) -> Self {
        Self { shards, ..self }
    }
}

/// The first few names, and how many more there are.
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    let shown = shown.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// `1 shard`, `17 shards`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
