//! The root span of a request, the trace context that its RPCs carry, and the ids by which a client can report a failure
//! (docs/operations/traces.md). Queries, credentials and bodies never enter a span. Users and paths are attributes of
//! spans that are exported, never of log lines.

use std::fmt;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use opentelemetry::trace::TraceContextExt;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::trace::{adopt, context_of};
use rowhouse_proto::{TraceContext, hex};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::Target;
use super::request_trace::RequestTrace;
use super::trace_policy::TracePolicy;
use crate::routes::{ClientAddr, Scheme};

const TRACEPARENT: &str = "traceparent";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Of the W3C's Trace Context, level 2, and as yet a draft.
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");
const UNMATCHED: &str = "unmatched";
/// What stands behind it is a secret, whether a route takes it or not.
const TOKENS: &str = "/signup_tokens/";

impl TracePolicy {
    /// The context that the request came with, if its sender is honoured.
    fn caller(&self, request: &Request) -> Option<TraceContext> {
        let header = request.headers().get(TRACEPARENT)?;
        let address = request.extensions().get::<ClientAddr>()?;
        if !self.honours(address.0) {
            return None;
        }
        header.to_str().ok().and_then(TraceContext::from_traceparent)
    }
}

/// Runs the request in its root span, and puts a `RequestTrace` among its extensions. A refusal names the request.
pub async fn trace(State(policy): State<Arc<TracePolicy>>, mut request: Request, next: Next) -> Response {
    let id = RequestId(rand::random());
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        request_id = %id,
        trace_id = Empty,
        http.request.method = request.method().as_str(),
        http.route = route(&request),
        http.response.status_code = Empty,
        rowhouse.shard = Empty,
    );
    let caller = policy.caller(&request);
    if let Some(caller) = caller {
        adopt(&span, caller);
    }
    // Without an exporter the span has no identity: the caller's travels on as it came.
    let context = context_of(&span).or(caller);
    if let Some(context) = context {
        request.extensions_mut().insert(RequestTrace(context));
        if context.is_sampled() {
            // For log lines, which do not know contexts.
            span.record("trace_id", hex(&context.trace_id));
            describe(&span, &request);
        }
    }
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.set_attribute("error.type", status.as_str().to_owned());
    }
    if let Some(context) = context.filter(TraceContext::is_sampled) {
        response.extensions_mut().insert(RequestTrace(context));
    }
    if status.is_client_error() || status.is_server_error() {
        name_request(&mut response, id, context);
    }
    response
}

/// Tells the root span whose data the request is about, once that is known.
pub async fn trace_target(State(policy): State<Arc<TracePolicy>>, request: Request, next: Next) -> Response {
    let trace = request.extensions().get::<RequestTrace>();
    if trace.is_some_and(|trace| trace.0.is_sampled()) {
        let span = Span::current();
        if !request.uri().path().starts_with(TOKENS) {
            span.set_attribute("url.path", policy.name(request.uri().path().to_owned()));
        }
        if let Some(Target { user, .. }) = request.extensions().get() {
            span.set_attribute("pubky.user", policy.name(PublicKey::z32(user)));
        }
    }
    next.run(request).await
}

/// What the conventions ask of a server's span, beside its fields.
fn describe(span: &Span, request: &Request) {
    // A span that has a context has begun: its field would change nothing any more.
    span.context().span().update_name(format!("{} {}", request.method(), route(request)));
    let version = format!("{:?}", request.version());
    span.set_attribute("network.protocol.version", version.trim_start_matches("HTTP/").to_owned());
    if let Some(address) = request.extensions().get::<ClientAddr>() {
        span.set_attribute("client.address", address.0.to_canonical().to_string());
    }
    if let Some(Scheme(scheme)) = request.extensions().get() {
        span.set_attribute("url.scheme", *scheme);
    }
    if let Some(agent) = request.headers().get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok())
    {
        span.set_attribute("user_agent.original", agent.to_owned());
    }
}

/// What a user can tell us of a failure.
fn name_request(response: &mut Response, id: RequestId, context: Option<TraceContext>) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(Ok(context)) = context.map(|context| HeaderValue::try_from(context.to_traceparent())) {
        headers.insert(TRACE_RESPONSE, context);
    }
}

/// The template of the route that takes the request.
fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str)
}

/// A number that names one request in answers and log lines.
#[derive(Clone, Copy)]
struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
