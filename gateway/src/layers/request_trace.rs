//! `RequestTrace`: the trace of one request.

use rowhouse_proto::TraceContext;

/// The context under which a request's RPCs go out, in its extensions when there is one; in the answer's if it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTrace(pub TraceContext);
