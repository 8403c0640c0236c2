//! Spans and the contexts of other processes. Without an exporter none of this does anything.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::TraceContext;

/// Makes `span` a child of the span with this context.
pub fn adopt(span: &Span, context: TraceContext) {
    // Fails only when the span is not recorded, and then there is nothing to link.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote(context)));
}

/// Links `span`, which has a trace of its own, to the span with this context.
pub fn follow(span: &Span, context: TraceContext) {
    span.add_link(remote(context));
}

/// The context of `span`, if an exporter gave it one.
pub fn context_of(span: &Span) -> Option<TraceContext> {
    if span.is_none() {
        return None;
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    own.is_valid().then(|| TraceContext {
        trace_id: own.trace_id().to_bytes(),
        span_id: own.span_id().to_bytes(),
        flags: own.trace_flags().to_u8(),
    })
}

/// As `context_of`, if the trace is recorded.
pub fn sampled_context_of(span: &Span) -> Option<TraceContext> {
    context_of(span).filter(TraceContext::is_sampled)
}

fn remote(context: TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        true,
        TraceState::default(),
    )
}
