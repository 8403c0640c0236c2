//! The root span of a request, and the trace context its RPCs carry. Tenants are public keys; paths,
//! queries, credentials and bodies never enter a span.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use rowhouse_proto::TraceContext;
use tracing::Instrument;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::Target;

const TRACEPARENT: &str = "traceparent";

/// The context under which a request's RPCs go out, in its extensions when there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTrace(pub TraceContext);

/// Runs the request in its root span, and puts a `RequestTrace` among its extensions.
pub async fn trace(mut request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        "request",
        method = request.method().as_str(),
        tenant = Empty,
        shard = Empty,
        status = Empty
    );
    let caller = request
        .headers()
        .get(TRACEPARENT)
        .and_then(|header| header.to_str().ok())
        .and_then(TraceContext::from_traceparent);
    let context = if span.is_disabled() { caller } else { adopt(&span, caller) };
    if let Some(context) = context {
        request.extensions_mut().insert(RequestTrace(context));
    }
    if span.is_disabled() {
        return next.run(request).await;
    }
    if let Some(target) = request.extensions().get::<Target>() {
        span.record("tenant", target.user.z32());
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    response
}

/// Makes the caller's span the parent of ours. Without an exporter ours has no identity: the caller's
/// travels on as it came.
fn adopt(span: &tracing::Span, caller: Option<TraceContext>) -> Option<TraceContext> {
    if let Some(caller) = caller {
        let remote = SpanContext::new(
            TraceId::from_bytes(caller.trace_id),
            SpanId::from_bytes(caller.span_id),
            TraceFlags::new(caller.flags),
            true,
            TraceState::default(),
        );
        // It fails only where no exporter listens.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    if !own.is_valid() {
        return caller;
    }
    Some(TraceContext {
        trace_id: own.trace_id().to_bytes(),
        span_id: own.span_id().to_bytes(),
        flags: own.trace_flags().to_u8(),
    })
}
