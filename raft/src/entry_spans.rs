//! Spans of what becomes of a traced proposal on each replica. On the proposer they belong to the proposal's trace; a
//! follower's have traces of their own, with links, because one append or batch has many proposals in it.

use openraft::EntryPayload;
use rowhouse_proto::TraceContext;
use rowhouse_proto::trace::{adopt, follow};
use tracing::Span;

use crate::codec::Entry;
use crate::{GroupId, ReplicaId};

/// Spans of one append or batch: enough to see what it is about.
const SPANS_MAX: usize = 16;

/// A step of an entry's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From the append until the entries are durable.
    LogSync,
    /// Into the state.
    Apply,
}

/// Spans that end when this is dropped; none for entries whose trace nobody records.
#[derive(Default)]
pub(crate) struct EntrySpans {
    _spans: Vec<Span>,
}

impl EntrySpans {
    /// Begins the spans of a step of these entries. `replica` is the one that takes it.
    pub fn begin<'e>(
        step: Step,
        group: Option<GroupId>,
        replica: ReplicaId,
        entries: impl Iterator<Item = &'e Entry>,
    ) -> Self {
        let mut spans = Vec::new();
        let mut following: Option<Span> = None;
        for (entry, context) in entries.filter_map(|entry| Some((entry, traced(entry)?))).take(SPANS_MAX) {
            if entry.log_id.leader_id.node_id == replica {
                let span = span(step, group, replica, entry.log_id.index);
                adopt(&span, context);
                spans.push(span);
            } else {
                let span = following.get_or_insert_with(|| span(step, group, replica, entry.log_id.index));
                follow(span, context);
            }
        }
        spans.extend(following);
        Self { _spans: spans }
    }
}

fn span(step: Step, group: Option<GroupId>, replica: ReplicaId, index: u64) -> Span {
    match step {
        Step::LogSync => {
            tracing::info_span!(parent: None, "raft.log_sync", raft.group = group, raft.replica = replica, raft.index = index)
        }
        Step::Apply => {
            tracing::info_span!(parent: None, "raft.apply", raft.group = group, raft.replica = replica, raft.index = index)
        }
    }
}

/// The context beside a proposal, if somebody records its trace.
pub(crate) fn traced(entry: &Entry) -> Option<TraceContext> {
    let EntryPayload::Normal(envelope) = &entry.payload else { return None };
    TraceContext::from_bytes(&envelope.trace).filter(TraceContext::is_sampled)
}
