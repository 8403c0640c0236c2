//! W3C trace context: from a request into this node's span, and on beside the command.

use bytes::Bytes;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use rowhouse_proto::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes `span` a child of the request's, if it came with a trace.
pub fn adopt(span: &Span, trace: &[u8]) {
    let Some(context) = TraceContext::from_bytes(trace) else { return };
    let parent = SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        true,
        TraceState::default(),
    );
    // Fails only when the span is not recorded, and then there is nothing to link.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
}

/// The context that travels beside the command: this span's if it is recorded, else the request's own.
pub fn carry(span: &Span, received: &Bytes) -> Bytes {
    let context = span.context();
    let own = context.span().span_context().clone();
    if !own.is_valid() {
        return if TraceContext::from_bytes(received).is_some() { received.clone() } else { Bytes::new() };
    }
    let context = TraceContext {
        trace_id: own.trace_id().to_bytes(),
        span_id: own.span_id().to_bytes(),
        flags: own.trace_flags().to_u8(),
    };
    Bytes::copy_from_slice(&context.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unrecorded_request_keeps_its_trace() {
        let context = TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
        let trace = Bytes::copy_from_slice(&context.to_bytes());
        adopt(&Span::none(), &trace);
        assert_eq!(carry(&Span::none(), &trace), trace);
        assert!(carry(&Span::none(), &Bytes::from_static(b"malformed")).is_empty());
    }
}
