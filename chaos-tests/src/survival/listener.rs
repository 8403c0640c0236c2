//! A reader of a few users' live stream during a run, which reconnects with its cursors whenever the stream ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::worker::Shared;
use crate::error::Error;
use crate::feed::{EventStream, StreamEvent, StreamItem};
use crate::request::request;

/// Users of one stream.
const USERS: usize = 3;
/// A connection is given up after a while, as clients on the road do.
const STAY_MS: std::ops::Range<u64> = 300..6000;
const PAUSE: Duration = Duration::from_millis(100);
/// Attempts at the rest once nothing is killed any more.
const FINAL_ATTEMPTS: usize = 60;
const FINAL_TIMEOUT: Duration = Duration::from_secs(60);

/// What a reader of live streams saw.
#[derive(Default)]
pub struct StreamsSeen {
    /// Of each user, over all connections.
    pub told: BTreeMap<String, Vec<StreamEvent>>,
    pub opened: usize,
    /// Streams that the server ended or that broke.
    pub ended: usize,
}

/// One reader of `/events-stream`.
pub struct Listener {
    shared: Arc<Shared>,
    random: StdRng,
    gateway: usize,
    pub seen: StreamsSeen,
}

impl Listener {
    /// Of the first users of a run with this seed.
    pub fn new(shared: Arc<Shared>, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(700));
        let users = shared.accounts.iter().take(USERS).map(|account| (account.z32.clone(), Vec::new()));
        let seen = StreamsSeen { told: users.collect(), ..StreamsSeen::default() };
        Self { shared, random, gateway: 0, seen }
    }

    /// Listens until the run stops.
    pub async fn run(mut self) -> Self {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let stay = Duration::from_millis(self.random.random_range(STAY_MS));
            if let Ok(result) = tokio::time::timeout(stay, self.listen(true)).await {
                self.seen.ended += 1;
                self.note(result);
            }
            self.gateway += 1;
            tokio::time::sleep(PAUSE).await;
        }
        self
    }

    /// Reads what is left. Fails if it does not come, now that nothing is killed.
    pub async fn finish(&mut self) -> Result<(), Error> {
        for _ in 0..FINAL_ATTEMPTS {
            match tokio::time::timeout(FINAL_TIMEOUT, self.listen(false)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(result) => self.note(result),
                Err(_) => {}
            }
            self.gateway += 1;
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::Answer("no event stream came to its end once the run was over".into()))
    }

    /// An answer that no reader deserves is a finding; that a stream breaks is none.
    fn note(&self, result: Result<(), Error>) {
        if let Err(Error::Answer(what)) = result
            && !what.starts_with("503 ")
            && !what.starts_with("429 ")
        {
            self.shared.find(format!("/events-stream: {what}"));
        }
    }

    /// One connection, up to its end. What it told before it is given up stays.
    async fn listen(&mut self, live: bool) -> Result<(), Error> {
        let mut stream = EventStream::open(self.address(), &self.request(live)).await?;
        self.seen.opened += 1;
        loop {
            match stream.next().await? {
                StreamItem::Event(event) => match self.seen.told.get_mut(&event.user) {
                    Some(told) => told.push(event),
                    None => return Err(Error::Answer(format!("an event nobody asked for: {event:?}"))),
                },
                StreamItem::KeepAlive => {}
                StreamItem::End => return Ok(()),
            }
        }
    }

    fn request(&self, live: bool) -> Vec<u8> {
        let users = self.seen.told.iter().map(|(user, told)| match told.last() {
            Some(last) => format!("user={user}:{}", last.cursor),
            None => format!("user={user}"),
        });
        let users = users.collect::<Vec<_>>().join("&");
        request("GET", &format!("/events-stream?{users}&live={live}"), &self.shared.host, &[], b"")
    }

    fn address(&self) -> SocketAddr {
        self.shared.gateways[self.gateway % self.shared.gateways.len()]
    }
}
