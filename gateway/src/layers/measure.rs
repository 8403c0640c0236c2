//! How many requests, how they end, and how long they take: by route, never by path or user.
//!
//! A request is measured until its answer's head is there. Bodies take as long as their clients like, and live streams
//! for ever.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use rowhouse_proto::TraceContext;
use rowhouse_proto::durations::{Durations, REQUEST_SECONDS};

use super::request_trace::RequestTrace;

/// Route templates that are told apart; the routers have a quarter of them.
const ROUTES_MAX: usize = 128;
/// Requests that no route takes.
const UNMATCHED: &str = "unmatched";
/// Methods of HTTP and WebDAV; any other is `_OTHER`, as the semantic conventions have it.
const METHODS: [&str; 15] = [
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "LOCK",
    "UNLOCK",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "MOVE",
    "COPY",
    "TRACE",
];
const OTHER_METHOD: &str = "_OTHER";

struct Instruments {
    durations: Durations,
    abandoned: Counter<u64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter("rowhouse.gateway");
    meter
        .i64_observable_gauge("http.server.active_requests")
        .with_description("Requests of clients and operators whose answer has not begun.")
        .with_callback(|observer| observer.observe(ACTIVE.load(Ordering::Relaxed), &[]))
        .build();
    Instruments {
        durations: Durations::new(
            &meter,
            "http.server.request.duration",
            "Time from a request's head to its answer's head.",
            REQUEST_SECONDS,
        ),
        abandoned: meter
            .u64_counter("rowhouse.gateway.requests_abandoned")
            .with_description("Requests whose client left before their answer began, by route.")
            .build(),
    }
});

static ACTIVE: AtomicI64 = AtomicI64::new(0);
/// The templates that were met, each kept for the life of the process, so that no label is copied for a request.
static ROUTES: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

/// Which of a gateway's listeners a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The client API, on plain HTTP and Pubky TLS.
    Client,
    /// The operators' API.
    Admin,
}

/// The route of an answer that came from elsewhere than the routes; among the answer's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredBy(pub &'static str);

/// Measures requests of clients.
pub async fn measure_client(request: Request, next: Next) -> Response {
    measure(Face::Client, request, next).await
}

/// Measures requests of operators.
pub async fn measure_admin(request: Request, next: Next) -> Response {
    measure(Face::Admin, request, next).await
}

async fn measure(face: Face, request: Request, next: Next) -> Response {
    let measuring = Measuring::begin(face, &request);
    let response = next.run(request).await;
    measuring.end(&response);
    response
}

/// A request under way. Dropped before its end, it was abandoned.
struct Measuring {
    face: Face,
    method: &'static str,
    route: &'static str,
    began: Instant,
    ended: bool,
}

impl Measuring {
    fn begin(face: Face, request: &Request) -> Self {
        LazyLock::force(&INSTRUMENTS);
        ACTIVE.fetch_add(1, Ordering::Relaxed);
        let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let route = matched.map_or(UNMATCHED, route);
        Self { face, method: method(request.method()), route, began: Instant::now(), ended: false }
    }

    fn end(mut self, response: &Response) {
        self.ended = true;
        if let Some(AnsweredBy(route)) = response.extensions().get() {
            self.route = route;
        }
        let status = i64::from(response.status().as_u16());
        let [face, method, route] = self.labels();
        let labels = [method, KeyValue::new("http.response.status_code", status), route, face];
        let trace: Option<&TraceContext> = response.extensions().get::<RequestTrace>().map(|trace| &trace.0);
        INSTRUMENTS.durations.record(self.began.elapsed().as_secs_f64(), &labels, trace);
    }

    fn labels(&self) -> [KeyValue; 3] {
        let face = match self.face {
            Face::Client => "client",
            Face::Admin => "admin",
        };
        [
            KeyValue::new("listener", face),
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("http.route", self.route),
        ]
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Ordering::Relaxed);
        if !self.ended {
            INSTRUMENTS.abandoned.add(1, &self.labels());
        }
    }
}

fn method(method: &Method) -> &'static str {
    known(&METHODS, method.as_str()).unwrap_or(OTHER_METHOD)
}

/// The template, as a label. One beyond the bound counts as unmatched.
fn route(matched: &str) -> &'static str {
    if let Some(met) = known(&ROUTES.read().unwrap_or_else(PoisonError::into_inner), matched) {
        return met;
    }
    let mut met = ROUTES.write().unwrap_or_else(PoisonError::into_inner);
    if met.len() >= ROUTES_MAX {
        return UNMATCHED;
    }
    let new: &'static str = Box::leak(matched.into());
    met.push(new);
    new
}

/// The one of these that reads like `text`, for as long as the process lives.
fn known(all: &[&'static str], text: &str) -> Option<&'static str> {
    all.iter().copied().find(|known| *known == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_kept_once_and_never_more_than_the_bound() {
        assert!(std::ptr::eq(route("/a/{b}"), route("/a/{b}")));
        for number in 0..2 * ROUTES_MAX {
            route(&format!("/{number}"));
        }
        assert_eq!(route("/one/more"), UNMATCHED);
        assert_eq!(route("/a/{b}"), "/a/{b}");
        assert_eq!(ROUTES.read().expect("a lock").len(), ROUTES_MAX);
    }

    #[test]
    fn strange_methods_are_one() {
        assert_eq!(method(&Method::GET), "GET");
        assert_eq!(method(&Method::from_bytes(b"PROPFIND").expect("a method")), "PROPFIND");
        assert_eq!(method(&Method::from_bytes(b"x-user-1").expect("a method")), OTHER_METHOD);
    }
}
