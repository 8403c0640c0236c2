//! The root span of a request, the trace context that its RPCs carry, and the ids by which a client can report a failure
//! (docs/operations/traces.md). Queries, credentials and bodies never enter a span. Users and paths are attributes of
//! spans that are exported, never of log lines.

use std::fmt;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::TraceContext;
use rowhouse_proto::trace::{adopt, context_of};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::Target;
use crate::routes::ClientAddr;

const TRACEPARENT: &str = "traceparent";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Of the W3C's Trace Context, level 2, and as yet a draft.
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");
const UNMATCHED: &str = "unmatched";
/// Its path is a secret.
const TOKEN_ROUTE: &str = "/signup_tokens/{token}";
/// Tells the key of hashed names from all other keys that come from the homeserver's secret.
const HASH_CONTEXT: &str = "rowhouse 2026-11-26 names in traces";

/// The context under which a request's RPCs go out, in its extensions when there is one; in the answer's if it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTrace(pub TraceContext);

/// How requests are traced.
pub struct Tracing {
    /// Whose `traceparent` is honoured.
    sources: Vec<IpNet>,
    /// With this key users and paths are hashed; `None`: they are recorded as they are.
    hash_key: Option<[u8; 32]>,
}

impl Tracing {
    /// Honours `traceparent` of clients in `sources`. `hashes`: users and paths are recorded as keyed hashes, which are the
    /// same on every gateway of the homeserver with this secret.
    pub fn new(sources: Vec<IpNet>, hashes: bool, homeserver_secret: &[u8; 32]) -> Self {
        let hash_key = hashes.then(|| blake3::derive_key(HASH_CONTEXT, homeserver_secret));
        Self { sources, hash_key }
    }

    /// Strangers could have all their requests recorded, or hide one in another's trace.
    fn caller(&self, request: &Request) -> Option<TraceContext> {
        let header = request.headers().get(TRACEPARENT)?;
        let address = request.extensions().get::<ClientAddr>()?.0.to_canonical();
        let is_known = self.sources.iter().any(|source| source.contains(&address));
        is_known.then(|| header.to_str().ok().and_then(TraceContext::from_traceparent)).flatten()
    }

    fn name(&self, name: String) -> String {
        match &self.hash_key {
            None => name,
            Some(key) => blake3::keyed_hash(key, name.as_bytes()).to_hex()[..16].to_owned(),
        }
    }
}

/// Runs the request in its root span, and puts a `RequestTrace` among its extensions. A refusal names the request.
pub async fn trace(State(tracing): State<Arc<Tracing>>, mut request: Request, next: Next) -> Response {
    let id = RequestId(rand::random());
    let span = tracing::info_span!(
        "request",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        request_id = %id,
        http.request.method = request.method().as_str(),
        http.route = route(&request),
        http.response.status_code = Empty,
        rowhouse.shard = Empty,
    );
    let caller = tracing.caller(&request);
    if let Some(caller) = caller {
        adopt(&span, caller);
    }
    // Without an exporter the span has no identity: the caller's travels on as it came.
    let context = context_of(&span).or(caller);
    if let Some(context) = context {
        request.extensions_mut().insert(RequestTrace(context));
        if context.is_sampled() {
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
pub async fn trace_target(State(tracing): State<Arc<Tracing>>, request: Request, next: Next) -> Response {
    let trace = request.extensions().get::<RequestTrace>();
    if trace.is_some_and(|trace| trace.0.is_sampled()) {
        let span = Span::current();
        if route(&request) != TOKEN_ROUTE {
            span.set_attribute("url.path", tracing.name(request.uri().path().to_owned()));
        }
        if let Some(Target { user, .. }) = request.extensions().get() {
            span.set_attribute("pubky.user", tracing.name(PublicKey::z32(user)));
        }
    }
    next.run(request).await
}

/// What the conventions ask of a server's span, beside its fields.
fn describe(span: &Span, request: &Request) {
    span.record("otel.name", format!("{} {}", request.method(), route(request)));
    let version = format!("{:?}", request.version());
    span.set_attribute("network.protocol.version", version.trim_start_matches("HTTP/").to_owned());
    if let Some(address) = request.extensions().get::<ClientAddr>() {
        span.set_attribute("client.address", address.0.to_canonical().to_string());
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
