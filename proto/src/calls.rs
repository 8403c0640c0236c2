//! How long calls between the processes of a cluster take, by method and status, and the spans of those that are traced,
//! on either side.
//!
//! A call is measured until the head of its answer is there: streams have no duration of their own. A status that comes
//! behind a body is not seen.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use opentelemetry::{KeyValue, global};
use tonic::Code;
use tonic::transport::Channel;
use tower::{Layer, Service};
use tracing::Instrument;

use crate::durations::{Durations, REQUEST_SECONDS};
use crate::trace::{CallSpan, Side, context_of};

/// The names of all RPCs, in order.
const METHODS: &[&str] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));
/// The name of an RPC that is none of ours.
const OTHER_METHOD: &str = "_OTHER";
const GRPC_STATUS: &str = "grpc-status";

/// A connection to a node whose calls are measured.
pub type Calls = MeasuredCalls<Channel>;

static CLIENT: LazyLock<Durations> = LazyLock::new(|| {
    Durations::new(
        &global::meter("rowhouse.rpc"),
        "rpc.client.call.duration",
        "Time from a call to the head of its answer, as its caller sees it.",
        REQUEST_SECONDS,
    )
});
static SERVER: LazyLock<Durations> = LazyLock::new(|| {
    Durations::new(
        &global::meter("rowhouse.rpc"),
        "rpc.server.call.duration",
        "Time from a call's head to the head of its answer, as the node that answers sees it.",
        REQUEST_SECONDS,
    )
});

/// Measures every call that a server takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeasureCalls;

impl<S> Layer<S> for MeasureCalls {
    type Service = MeasuredCalls<S>;

    fn layer(&self, inner: S) -> MeasuredCalls<S> {
        MeasuredCalls { inner, side: Side::Server }
    }
}

/// A service whose calls are measured.
#[derive(Clone, Debug)]
pub struct MeasuredCalls<S> {
    inner: S,
    side: Side,
}

impl<S> MeasuredCalls<S> {
    /// Measures the calls that go out by `connection`.
    pub fn outgoing(connection: S) -> Self {
        Self { inner: connection, side: Side::Client }
    }
}

impl<S, B, R> Service<Request<B>> for MeasuredCalls<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = method(request.uri().path());
        let span = CallSpan::begin(self.side, method, request.headers_mut());
        let measuring =
            Measuring { side: self.side, method, began: Instant::now(), code: Code::Cancelled, span };
        let answer = measuring.span.span().in_scope(|| self.inner.call(request));
        let answer = answer.instrument(measuring.span.span().clone());
        Box::pin(async move {
            // Taken as a whole, or its drop would come before the answer.
            let mut measuring = measuring;
            let answer = answer.await;
            measuring.code = answer.as_ref().map_or(Code::Unavailable, |answer| status(answer.headers()));
            answer
        })
    }
}

/// A call under way; recorded when it ends, or is given up.
struct Measuring {
    side: Side,
    method: &'static str,
    began: Instant,
    code: Code,
    span: CallSpan,
}

impl Drop for Measuring {
    fn drop(&mut self) {
        self.span.end(self.side, self.code, name(self.code));
        let labels = [
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", self.method),
            KeyValue::new("rpc.response.status_code", name(self.code)),
        ];
        let durations = if self.side == Side::Client { &CLIENT } else { &SERVER };
        let trace = context_of(self.span.span());
        durations.record(self.began.elapsed().as_secs_f64(), &labels, trace.as_ref());
    }
}

/// The RPC that a path names.
fn method(path: &str) -> &'static str {
    let named = path.strip_prefix('/').unwrap_or(path);
    METHODS.binary_search(&named).map_or(OTHER_METHOD, |at| METHODS[at])
}

/// Without a status in its head an answer has a body, and begins well.
fn status(head: &HeaderMap) -> Code {
    head.get(GRPC_STATUS).map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}

/// The status as gRPC spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_the_contracts_and_no_others() {
        assert!(METHODS.is_sorted() && METHODS.len() > 20);
        assert_eq!(method("/rowhouse.shard.v1.Shard/Execute"), "rowhouse.shard.v1.Shard/Execute");
        assert_eq!(method("/rowhouse.chunk.v1.Chunk/Stage"), "rowhouse.chunk.v1.Chunk/Stage");
        assert_eq!(method("/rowhouse.shard.v1.Shard/Execute2"), OTHER_METHOD);
        assert_eq!(method("/any/user/1"), OTHER_METHOD);
    }

    #[test]
    fn a_status_is_read_from_the_head() {
        let mut head = HeaderMap::new();
        assert_eq!(name(status(&head)), "OK");
        head.insert(GRPC_STATUS, http::HeaderValue::from_static("14"));
        assert_eq!(name(status(&head)), "UNAVAILABLE");
    }
}
