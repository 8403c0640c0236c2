//! A relay as a vantage point. It may hang, redirect, refuse for hours or answer without end: it costs one request at a
//! time, of a bounded duration and a bounded number of bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pkarr::{PKARR_DHT_STORED_NODES, PKARR_INVALID_SIGNED_PACKET_SEQ, PublicKey, SignedPacket};
use reqwest::header::{CACHE_CONTROL, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use rowhouse_proto::wire::meta::VantagePoint;
use tokio::sync::Semaphore;

use super::health::Health;
use super::look::{Look, Published};
use crate::Error;
use crate::state::packet::PACKET_BYTES_MAX;

/// The relay's own look-up on the DHT is in it.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Requests under way at one relay.
const REQUESTS_MAX: usize = 32;
/// A relay that hangs costs each request its whole deadline.
const FAILURES_BORNE: u32 = 1;
/// A relay that says how long it wants to be left alone may mean this at least.
const ASKED_MIN: Duration = Duration::from_secs(1);

/// One relay.
pub struct Relay {
    url: Url,
    http: Client,
    slots: Semaphore,
    health: Health,
}

/// A client that follows no redirection: a relay that points elsewhere is not one.
pub fn http() -> Result<Client, Error> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(REQUEST_MAX)
        .build()
        .map_err(|error| Error::Pkarr(error.to_string()))
}

impl Relay {
    /// Fails if `url` is no base of other addresses.
    pub fn new(url: &str, http: Client) -> Result<Self, Error> {
        let mut url = Url::parse(url).map_err(|error| Error::Pkarr(format!("relay {url}: {error}")))?;
        if url.cannot_be_a_base() {
            return Err(Error::Pkarr(format!("{url} is no address of a relay")));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let health = Health::new(url.as_str(), FAILURES_BORNE);
        Ok(Self { url, http, slots: Semaphore::new(REQUESTS_MAX), health })
    }

    /// For operators.
    pub fn told(&self) -> VantagePoint {
        self.health.told()
    }

    /// Nothing heard while it is left alone, or if its answer is of no use.
    pub async fn look(&self, key: &PublicKey) -> Look {
        let Ok(_slot) = self.slots.acquire().await else { return Look::default() };
        let Some(visit) = self.health.visit() else { return Look::default() };
        match self.ask(key).await {
            Ok(look) => {
                visit.answered();
                look
            }
            Err(trouble) => {
                visit.failed(trouble.problem, trouble.pause);
                Look::default()
            }
        }
    }

    /// Puts the packet there; the relay puts it into the DHT.
    pub async fn publish(&self, packet: &SignedPacket) -> Published {
        let alone = || Published::failed(format!("{} is left alone for a while", self.url));
        let Ok(_slot) = self.slots.acquire().await else { return alone() };
        let Some(visit) = self.health.visit() else { return alone() };
        match self.put(packet).await {
            Ok(published) => {
                visit.answered();
                published
            }
            Err(trouble) => {
                let problem = format!("{}: {}", self.url, trouble.problem);
                visit.failed(trouble.problem, trouble.pause);
                Published::failed(problem)
            }
        }
    }

    /// For a publication behind a look-up that it did not answer.
    pub fn left_out(&self) -> Published {
        Published::failed(format!("{} did not answer the look-up before", self.url))
    }

    fn address(&self, key: &PublicKey) -> Result<Url, Trouble> {
        self.url.join(&key.to_z32()).map_err(Trouble::of)
    }

    async fn ask(&self, key: &PublicKey) -> Result<Look, Trouble> {
        let mut url = self.address(key)?;
        url.set_query(Some("policy=NetworkOnly"));
        let request = self.http.get(url).header(CACHE_CONTROL, "no-cache, no-store, must-revalidate");
        let response = request.send().await.map_err(Trouble::of)?;
        match response.status() {
            StatusCode::OK => {
                let payload = body(response).await?;
                SignedPacket::from_relay_payload(key, &payload).map(Look::found).map_err(Trouble::of)
            }
            StatusCode::NOT_FOUND => {
                let newer = number(response.headers(), PKARR_INVALID_SIGNED_PACKET_SEQ);
                Ok(newer.map_or_else(Look::nothing, Look::unreadable))
            }
            _ => Err(Trouble::refused(&response)),
        }
    }

    async fn put(&self, packet: &SignedPacket) -> Result<Published, Trouble> {
        let request = self.http.put(self.address(&packet.public_key())?).body(packet.to_relay_payload());
        let response = request.send().await.map_err(Trouble::of)?;
        match response.status() {
            status if status.is_success() => {
                // Relays that do not tell have stored it somewhere.
                let stored = number(response.headers(), PKARR_DHT_STORED_NODES).unwrap_or(1);
                Ok(Published::stored(usize::try_from(stored).unwrap_or(0)))
            }
            StatusCode::CONFLICT | StatusCode::PRECONDITION_REQUIRED => Ok(Published::refused()),
            _ => Err(Trouble::refused(&response)),
        }
    }
}

/// Why an answer is of no use, and for how long the relay wants to be left alone.
struct Trouble {
    problem: String,
    pause: Option<Duration>,
}

impl Trouble {
    fn of(error: impl std::error::Error + 'static) -> Self {
        Self { problem: rowhouse_proto::causes(&error), pause: None }
    }

    /// The body is not read: it may have no end.
    fn refused(response: &Response) -> Self {
        let asked = number(response.headers(), RETRY_AFTER.as_str());
        let pause =
            asked.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).max(ASKED_MIN));
        Self { problem: format!("it answers {}", response.status()), pause }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

async fn body(mut response: Response) -> Result<Bytes, Trouble> {
    let mut payload = BytesMut::with_capacity(PACKET_BYTES_MAX);
    while let Some(chunk) = response.chunk().await.map_err(Trouble::of)? {
        if payload.len() + chunk.len() > PACKET_BYTES_MAX {
            return Err(Trouble { problem: "it sends more than a packet has".to_owned(), pause: None });
        }
        payload.extend_from_slice(&chunk);
    }
    Ok(payload.freeze())
}
