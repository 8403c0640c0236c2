//! The spans of an RPC on both sides, named as the semantic conventions of OpenTelemetry name them. Only calls of a trace
//! that is recorded have spans: all others cost a look at the current span.

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Code;
use tracing::Span;
use tracing::field::Empty;

use super::{TraceContext, adopt, sampled_context_of};
use crate::hex;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who calls.
    Client,
    /// Who answers.
    Server,
}

/// The span of a call on one side.
pub struct CallSpan(Span);

impl CallSpan {
    /// The span of a call that goes out, whose head then carries the trace on; of a call that came in, if its head carries
    /// one. `method` is `package.Service/Method`.
    pub fn begin(side: Side, method: &'static str, head: &mut HeaderMap) -> Self {
        match side {
            Side::Client => Self(client(method, head).unwrap_or_else(Span::none)),
            Side::Server => Self(server(method, head).unwrap_or_else(Span::none)),
        }
    }

    /// To run the call in.
    pub fn span(&self) -> &Span {
        &self.0
    }

    /// The call ended. Only codes that are the server's fault are errors of a server's span.
    pub fn end(&self, side: Side, code: Code, name: &'static str) {
        if self.0.is_none() {
            return;
        }
        self.0.record("rpc.response.status_code", name);
        let at_fault = matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        if code != Code::Ok && (side == Side::Client || at_fault) {
            self.0.record("error.type", name);
            self.0.record("otel.status_code", "ERROR");
        }
    }
}

fn client(method: &'static str, head: &mut HeaderMap) -> Option<Span> {
    sampled_context_of(&Span::current())?;
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        "error.type" = Empty,
    );
    let context = sampled_context_of(&span)?;
    head.insert(TRACEPARENT, HeaderValue::from_str(&context.to_traceparent()).ok()?);
    Some(span)
}

fn server(method: &'static str, head: &HeaderMap) -> Option<Span> {
    let caller = head.get(TRACEPARENT)?.to_str().ok().and_then(TraceContext::from_traceparent)?;
    if !caller.is_sampled() {
        return None;
    }
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        "error.type" = Empty,
        rowhouse.shard = Empty,
        trace_id = hex(&caller.trace_id),
    );
    adopt(&span, caller);
    Some(span)
}
