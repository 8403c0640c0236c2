//! The numbers and the verdict of a survival run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::audit::AuditCounts;
use super::chains::ChainCounts;
use super::change::Change;
use super::faults::Victim;

/// Counts, findings and pauses of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SurvivalReport {
    pub seed: u64,
    pub seconds: f64,
    pub kills: BTreeMap<Victim, usize>,
    /// Changes of the cluster that were made, each ended by a whole cluster.
    pub changes: BTreeMap<Change, usize>,
    pub changes_wanted: usize,
    /// Replicas made during the run, each in another one's place.
    pub replicas_made: u64,
    /// Nodes at the end.
    pub nodes: usize,
    pub kills_amid_uploads: usize,
    pub kills_amid_downloads: usize,
    pub operations: usize,
    pub acknowledged_writes: usize,
    pub unknown_writes: usize,
    pub reads: usize,
    pub keys: usize,
    pub keys_undecided: usize,
    /// Large bodies that files refer to, each found whole on every disk of its shard.
    pub objects: usize,
    pub events: usize,
    /// What readers of the event feed saw, all of it compared with the shards' logs.
    pub audit: AuditCounts,
    /// Updates of what was read before, compared with the events of their files.
    pub chains: ChainCounts,
    pub hash_comparisons: u64,
    pub scans_compared: u64,
    /// Longest pause of writes for each kill of a node that led shards in use, sorted.
    pub write_gaps_ms: Vec<f64>,
    pub violations: Vec<String>,
}

impl SurvivalReport {
    /// Median of the write pauses in milliseconds; `None` without any.
    pub fn gap_median_ms(&self) -> Option<f64> {
        self.write_gaps_ms.get(self.write_gaps_ms.len() / 2).copied()
    }

    /// A run that killed or compared nothing proves nothing.
    pub fn untested(&self) -> Vec<&'static str> {
        let changes: usize = self.changes.values().sum();
        let checks = [
            (changes < self.changes_wanted, "not every change was made"),
            (changes > 0 && self.replicas_made == 0, "no replica moved"),
            (self.kills.len() < super::faults::VICTIMS.len(), "not every kind of process was killed"),
            (self.kills_amid_uploads == 0, "no kill struck while a large body was uploaded"),
            (self.kills_amid_downloads == 0, "no kill struck while a large body was downloaded"),
            (self.acknowledged_writes == 0, "no write was acknowledged"),
            (self.reads == 0, "nothing was read"),
            (self.objects == 0, "no large body was left to verify"),
            (self.events == 0, "no event log was read"),
            (self.audit.page_events == 0, "no page of the feed was compared"),
            (self.audit.resumes == 0, "no reader of the feed went back to an old cursor"),
            (self.audit.stream_events == 0, "no live stream was compared"),
            (self.audit.streams_opened < 2, "no live stream was resumed"),
            (self.chains.updates_by_condition == 0, "nothing was changed on a condition"),
            (self.chains.updates_under_lock == 0, "nothing was changed under a lock"),
            (self.hash_comparisons == 0, "no two replicas were compared"),
            (self.scans_compared == 0, "no two replicas were scanned"),
            (self.keys_undecided > 0, "some histories could not be decided"),
        ];
        checks.into_iter().filter(|(missing, _)| *missing).map(|(_, what)| what).collect()
    }
}

impl std::fmt::Display for SurvivalReport {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kills: usize = self.kills.values().sum();
        writeln!(out, "seed {}: {kills} kills {:?} in {:.0} s", self.seed, self.kills, self.seconds)?;
        if !self.changes.is_empty() {
            let (changes, made, nodes) = (&self.changes, self.replicas_made, self.nodes);
            writeln!(out, "changes {changes:?}, {made} replicas made, {nodes} nodes at the end")?;
        }
        writeln!(
            out,
            "{} kills amid large uploads, {} amid large downloads",
            self.kills_amid_uploads, self.kills_amid_downloads
        )?;
        writeln!(
            out,
            "{} operations: {} writes acknowledged, {} unknown, {} reads, {} keys ({} undecided)",
            self.operations,
            self.acknowledged_writes,
            self.unknown_writes,
            self.reads,
            self.keys,
            self.keys_undecided
        )?;
        writeln!(
            out,
            "{} events, {} large bodies on all disks of their shards, {} equal state hashes, {} equal scans",
            self.events, self.objects, self.hash_comparisons, self.scans_compared
        )?;
        let audit = self.audit;
        writeln!(
            out,
            "feed: {} pages with {} events, {} resumes, {} refused, {} broken",
            audit.pages, audit.page_events, audit.resumes, audit.refused, audit.broken
        )?;
        writeln!(
            out,
            "live streams: {} opened, {} ended by the cluster, {} events",
            audit.streams_opened, audit.streams_ended, audit.stream_events
        )?;
        let chains = self.chains;
        writeln!(
            out,
            "read and changed: {} on a condition, {} under a lock, {} refused, {} unknown",
            chains.updates_by_condition, chains.updates_under_lock, chains.refused, chains.unknown
        )?;
        if let (Some(median), Some(longest)) = (self.gap_median_ms(), self.write_gaps_ms.last()) {
            let count = self.write_gaps_ms.len();
            writeln!(
                out,
                "write gap after a leader's kill: median {median:.0} ms, longest {longest:.0} ms, n={count}"
            )?;
        }
        for violation in &self.violations {
            writeln!(out, "VIOLATION {violation}")?;
        }
        for untested in self.untested() {
            writeln!(out, "UNTESTED {untested}")?;
        }
        Ok(())
    }
}
