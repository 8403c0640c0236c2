//! `GET /KEY` and `PUT /KEY`, as pkarr's clients ask them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ipnet::IpNet;
use pkarr::{PKARR_DHT_STORED_NODES, PKARR_INVALID_SIGNED_PACKET_SEQ, PublicKey, SignedPacket};
use rowhouse_node::network::Network;
use serde::Deserialize;

use super::address::PerAddress;
use super::cache::{Cache, fresh_s, ttl_s};
use super::listener::Peer;

/// Signature, timestamp and DNS packet.
const PAYLOAD_BYTES_MAX: usize = 1072;

/// What requests share.
pub struct Relay {
    pub network: Arc<dyn Network>,
    pub cache: Cache,
    /// Of every request.
    pub requests: PerAddress,
    /// Of those that ask the DHT.
    pub look_ups: PerAddress,
    /// Networks without limits: that of the homeserver's own nodes.
    pub trusted: Vec<IpNet>,
}

#[derive(Deserialize)]
struct Wish {
    #[serde(default)]
    policy: Policy,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
enum Policy {
    CacheOnly,
    #[default]
    CacheFirst,
    NetworkOnly,
}

type Answer = Result<Response, Refusal>;

/// Why not, and after how many seconds it may be asked again.
struct Refusal(StatusCode, &'static str, Option<u64>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0, self.1).into_response();
        if let Some(seconds) = self.2 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

pub fn router(relay: Arc<Relay>) -> Router {
    Router::new()
        .route("/", get(|| async { "Rowhouse - Pkarr relay" }))
        .route("/{key}", get(look_up).put(publish))
        .layer(DefaultBodyLimit::max(PAYLOAD_BYTES_MAX))
        .layer(from_fn(for_pages_of_any_origin))
        .with_state(relay)
}

/// Browsers have no other way to the DHT.
async fn for_pages_of_any_origin(request: Request, next: Next) -> Response {
    let asks_first = request.method() == Method::OPTIONS;
    let mut response =
        if asks_first { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, PUT, OPTIONS"),
        ("access-control-allow-headers", "*"),
        ("access-control-expose-headers", "*"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Relay {
    fn admit(&self, limit: &PerAddress, address: IpAddr) -> Result<(), Refusal> {
        let canonical = address.to_canonical();
        if self.trusted.iter().any(|network| network.contains(&canonical)) {
            return Ok(());
        }
        limit
            .take(address)
            .map_err(|seconds| Refusal(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded", Some(seconds)))
    }
}

async fn look_up(
    State(relay): State<Arc<Relay>>,
    ConnectInfo(Peer(address)): ConnectInfo<Peer>,
    Path(key): Path<String>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Answer {
    relay.admit(&relay.requests, address)?;
    let key = parse(&key)?;
    let cached = relay.cache.get(&key);
    let is_fresh = cached.as_ref().is_some_and(|packet| fresh_s(packet) > 0);
    if wish.policy == Policy::CacheOnly || wish.policy == Policy::CacheFirst && is_fresh {
        return cached.map(|packet| found(&packet, &headers)).ok_or_else(not_found);
    }
    relay.admit(&relay.look_ups, address)?;
    let look = relay.network.look(&key).await;
    if look.is_unheard() {
        // An old answer is better than none, for whoever does not insist.
        let old = cached.filter(|_| wish.policy == Policy::CacheFirst);
        return old.map(|packet| found(&packet, &headers)).ok_or_else(unavailable);
    }
    let cached_us = cached.as_ref().map_or(0, |packet| packet.timestamp().as_u64());
    if !look.is_readable_above(cached_us) {
        let newer = [(PKARR_INVALID_SIGNED_PACKET_SEQ, look.newest_us.to_string())];
        return Ok((StatusCode::NOT_FOUND, newer).into_response());
    }
    let newest = match (look.newest, cached) {
        (Some(packet), Some(cached)) if cached.more_recent_than(&packet) => Some(cached),
        (Some(packet), _) => {
            relay.cache.put(&packet);
            Some(packet)
        }
        (None, cached) => cached.filter(|_| wish.policy == Policy::CacheFirst),
    };
    newest.map(|packet| found(&packet, &headers)).ok_or_else(not_found)
}

async fn publish(
    State(relay): State<Arc<Relay>>,
    ConnectInfo(Peer(address)): ConnectInfo<Peer>,
    Path(key): Path<String>,
    body: Bytes,
) -> Answer {
    relay.admit(&relay.requests, address)?;
    let packet = SignedPacket::from_relay_payload(&parse(&key)?, &body)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "not a packet that this key signed", None))?;
    let conflict = || Refusal(StatusCode::CONFLICT, "there is a newer packet", None);
    let key = packet.public_key();
    if relay.cache.get(&key).is_some_and(|cached| cached.more_recent_than(&packet)) {
        return Err(conflict());
    }
    relay.admit(&relay.look_ups, address)?;
    let look = relay.network.look(&key).await;
    if look.newest_us > packet.timestamp().as_u64() {
        if let Some(newer) = &look.newest {
            relay.cache.put(newer);
        }
        return Err(conflict());
    }
    let published = relay.network.publish(&packet, &look).await;
    if published.took == 0 {
        return Err(if published.newer > 0 { conflict() } else { unavailable() });
    }
    relay.cache.put(&packet);
    Ok((StatusCode::NO_CONTENT, [(PKARR_DHT_STORED_NODES, published.stored.to_string())]).into_response())
}

fn parse(key: &str) -> Result<PublicKey, Refusal> {
    PublicKey::try_from(key).map_err(|_| Refusal(StatusCode::BAD_REQUEST, "not a public key", None))
}

fn not_found() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "there is no packet", None)
}

fn unavailable() -> Refusal {
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "the DHT does not answer", Some(1))
}

fn found(packet: &SignedPacket, asked: &HeaderMap) -> Response {
    let modified = packet.timestamp().format_http_date();
    let known = asked.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let head = [
        ("content-type", "application/pkarr.org/relays#payload".to_owned()),
        ("cache-control", format!("public, max-age={}", ttl_s(packet))),
        ("last-modified", modified.clone()),
        ("memento-datetime", packet.last_seen().format_http_date()),
    ];
    if known == Some(modified.as_str()) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, packet.to_relay_payload()).into_response()
}
