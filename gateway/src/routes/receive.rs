//! Bodies of the account routes are small and read whole, within the gateway's bounds of time and bytes. axum's own
//! extractors read them, so that clients get the refusals they know.

use std::error::Error;
use std::iter::successors;
use std::net::{IpAddr, Ipv6Addr};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Json, OptionalFromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use rowhouse_proto::{ErrorCode, Refusal};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::body::AccountBody;
use crate::respond::refuse;

/// The client of a connection, in every request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddr(pub IpAddr);

/// `http` or `https`, as the client's URL begins; in every request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Scheme(pub &'static str);

/// Counts attempts of anonymous signups and exchanges; empty when unknown.
pub fn client_addr(parts: &Parts) -> String {
    parts.extensions.get::<ClientAddr>().map(|addr| addr.0.to_string()).unwrap_or_default()
}

/// The whole body.
pub async fn bytes(app: &App, parts: &Parts, body: Body) -> Result<Bytes, Response> {
    within(app, Bytes::from_request(request(app, parts, body), &())).await
}

/// The body as JSON, which its Content-Type must say.
pub async fn json<T: DeserializeOwned>(app: &App, parts: &Parts, body: Body) -> Result<T, Response> {
    let request = request(app, parts, body);
    within(app, <Json<T> as FromRequest<()>>::from_request(request, &())).await.map(|Json(value)| value)
}

/// `None` without a Content-Type, whatever the body.
pub async fn optional_json<T: DeserializeOwned>(
    app: &App,
    parts: &Parts,
    body: Body,
) -> Result<Option<T>, Response> {
    let request = request(app, parts, body);
    let read = <Json<T> as OptionalFromRequest<()>>::from_request(request, &());
    within(app, read).await.map(|value| value.map(|Json(value)| value))
}

fn request(app: &App, parts: &Parts, body: Body) -> Request {
    let known = parts.extensions.get::<ClientAddr>().map(|addr| addr.0);
    let address = known.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let lease = app.cluster.admission().account(address);
    let mut request = Request::new(Body::new(AccountBody::new(body, &parts.headers, lease)));
    *request.headers_mut() = parts.headers.clone();
    request
}

async fn within<T, E: Error + IntoResponse + 'static>(
    app: &App,
    reading: impl Future<Output = Result<T, E>>,
) -> Result<T, Response> {
    match tokio::time::timeout(app.limits.body_timeout_s, reading).await {
        Ok(read) => read.map_err(refused),
        Err(_elapsed) => Err(refuse(ErrorCode::RequestTimeout)),
    }
}

/// The body's own refusal if that is behind it, else what the extractor says of a body.
fn refused(error: impl Error + IntoResponse + 'static) -> Response {
    let mut causes = successors(Some(&error as &(dyn Error + 'static)), |&error| error.source());
    match causes.find_map(|cause| cause.downcast_ref::<Refusal>().cloned()) {
        Some(refusal) => refuse(refusal),
        None => error.into_response(),
    }
}
