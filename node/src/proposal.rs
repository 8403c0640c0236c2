//! Proposals, measured and traced: every command of this node goes into a log by here.

use std::sync::LazyLock;
use std::time::Instant;

use bytes::Bytes;
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use rowhouse_proto::TraceContext;
use rowhouse_proto::durations::Durations;
use rowhouse_proto::trace::{context_of, sampled_context_of};
use rowhouse_raft::ProposeError;
use tracing::{Instrument, Span};

use crate::{Group, meta};

/// From a sync of a fast disk up to the deadline of a proposal.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const REASONS: [&str; 3] = ["not_leader", "busy", "unknown"];

struct Instruments {
    durations: Durations,
    failed: Counter<u64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter("rowhouse.node");
    let failed = meter
        .u64_counter("rowhouse.raft.proposals_failed")
        .with_description(
            "Proposals to groups led from here that were not applied, as far as is known, by reason.",
        )
        .build();
    // Rates need a first value: the second one of a rare event tells too late.
    REASONS.iter().for_each(|reason| failed.add(0, &[KeyValue::new("reason", *reason)]));
    Instruments {
        durations: Durations::new(
            &meter,
            "rowhouse.raft.proposal.duration",
            "Time from a proposal until it is committed, and applied by the leader, by kind of group.",
            SECONDS,
        ),
        failed,
    }
});

/// Shows from the start what was not counted yet.
pub fn begin() {
    LazyLock::force(&INSTRUMENTS);
}

/// Proposes a command as `Group::propose` does. `received` is the trace that came with its request, which travels beside
/// the command where no span of this node does.
pub async fn propose(group: &Group, command: Bytes, received: Bytes) -> Result<Bytes, ProposeError> {
    let span = span(group.id().into());
    let context = context_of(&span).or_else(|| TraceContext::from_bytes(&received));
    let trace = context.map(|context| Bytes::copy_from_slice(&context.to_bytes())).unwrap_or_default();
    let began = Instant::now();
    let proposed = group.propose(command, trace).instrument(span).await;
    let reason = match &proposed {
        Ok(_) => {
            let kind = if group.id() == meta::GROUP { "meta" } else { "shard" };
            let labels = [KeyValue::new("group", kind)];
            INSTRUMENTS.durations.record(began.elapsed().as_secs_f64(), &labels, context.as_ref());
            return proposed;
        }
        Err(ProposeError::NotLeader { .. }) => REASONS[0],
        Err(ProposeError::Busy) => REASONS[1],
        Err(_) => REASONS[2],
    };
    INSTRUMENTS.failed.add(1, &[KeyValue::new("reason", reason)]);
    proposed
}

/// From the proposal until it is applied here, in the current span's trace if that is recorded.
fn span(group: u32) -> Span {
    match sampled_context_of(&Span::current()) {
        Some(_) => tracing::info_span!("raft.propose", raft.group = group),
        None => Span::none(),
    }
}
