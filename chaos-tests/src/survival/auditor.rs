//! A reader of the public feed during a run: any gateway, any page size, now and then from an old cursor again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::worker::Shared;
use crate::error::Error;
use crate::feed::{FeedPage, LIMIT_MAX, page_request, refusal};
use crate::http1::{Connection, Response};
use crate::oracle::PageSeen;

/// An answer that takes longer is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// After a refusal, as `Retry-After` asks for.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
const BROKEN_PAUSE: Duration = Duration::from_millis(20);
/// Between pages: the cores belong to the cluster.
const PAUSE_MS_MAX: u64 = 40;
/// One in so many pages is followed by a look back.
const LOOK_BACK_EVERY: u32 = 15;
/// Pages read on from an old cursor before the reader comes back.
const LOOK_BACK_PAGES: u32 = 4;
/// Pages kept of one reader; beyond it the reader rests.
const PAGES_MAX: usize = 200_000;
/// Page sizes are powers of two up to this, or the most there may be.
const LIMIT_BITS: u32 = 10;
/// Attempts at a page once nothing is killed any more.
const FINAL_ATTEMPTS: usize = 60;

/// What a reader of the feed saw and met.
#[derive(Default)]
pub struct FeedSeen {
    pub pages: Vec<PageSeen>,
    /// Looks back to an old cursor.
    pub resumes: usize,
    /// Answers of 429 and 503.
    pub refused: usize,
    /// Connections that broke, and answers that did not come.
    pub broken: usize,
}

/// One reader of `/events/`.
pub struct Auditor {
    shared: Arc<Shared>,
    random: StdRng,
    gateway: usize,
    connection: Option<Connection>,
    /// As far as it has followed.
    cursor: u64,
    pub seen: FeedSeen,
}

impl Auditor {
    /// Reader `number` of a run with this seed.
    pub fn new(shared: Arc<Shared>, number: u64, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(500 + number));
        Self { shared, random, gateway: 0, connection: None, cursor: 0, seen: FeedSeen::default() }
    }

    /// Follows the feed until the run stops.
    pub async fn run(mut self) -> Self {
        while !self.shared.stop.load(Ordering::Relaxed) && self.seen.pages.len() < PAGES_MAX {
            let limit = self.choose_limit();
            if let Some(reached) = self.page(self.cursor, limit).await {
                self.cursor = reached;
                if self.random.random_ratio(1, LOOK_BACK_EVERY) {
                    self.look_back().await;
                }
            }
            let pause = self.random.random_range(0..=PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self
    }

    /// Reads the whole feed once more. Fails if its pages do not come, now that nothing is killed.
    pub async fn finish(&mut self) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let reached = self.page_surely(after).await?;
            if reached == after {
                return Ok(());
            }
            after = reached;
        }
    }

    async fn page_surely(&mut self, after: u64) -> Result<u64, Error> {
        for _ in 0..FINAL_ATTEMPTS {
            if let Some(reached) = self.page(after, LIMIT_MAX).await {
                return Ok(reached);
            }
        }
        Err(Error::Answer(format!("no page after {after} once the run was over")))
    }

    /// From a cursor that was given out before, or from any number below it.
    async fn look_back(&mut self) {
        self.seen.resumes += 1;
        let given: Vec<u64> = self.seen.pages.iter().filter_map(|page| page.cursor).collect();
        let Some(mut after) = given.choose(&mut self.random).copied() else { return };
        if self.random.random() {
            after = self.random.random_range(0..=after);
        }
        for _ in 0..LOOK_BACK_PAGES {
            let limit = self.choose_limit();
            match self.page(after, limit).await {
                Some(reached) if reached > after => after = reached,
                _ => return,
            }
        }
    }

    fn choose_limit(&mut self) -> usize {
        let most = 1 << self.random.random_range(0..=LIMIT_BITS);
        self.random.random_range(1..=most).min(LIMIT_MAX)
    }

    /// One page through any gateway: how far it reached; None: there was none.
    async fn page(&mut self, after: u64, limit: usize) -> Option<u64> {
        let asked_ns = self.shared.recorder.now_ns();
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(after, limit)).await;
        let Ok(Ok(response)) = answered else {
            self.seen.broken += 1;
            self.turn_away(BROKEN_PAUSE).await;
            return None;
        };
        if response.status != 200 {
            self.refused(&response).await;
            return None;
        }
        match FeedPage::parse(&response.text(), after, limit) {
            Ok(page) => {
                let seen = PageSeen::new(asked_ns, after, limit, &page);
                let reached = seen.reached();
                self.seen.pages.push(seen);
                Some(reached)
            }
            Err(what) => {
                self.shared.find(format!("/events/ after {after}: {what}"));
                None
            }
        }
    }

    async fn refused(&mut self, response: &Response) {
        self.seen.refused += 1;
        let wrong = match response.status {
            429 | 503 => refusal(response),
            status => Some(format!("status {status} {:.200}", response.text())),
        };
        if let Some(what) = wrong {
            self.shared.find(format!("/events/: {what}"));
        }
        self.turn_away(REFUSED_PAUSE).await;
    }

    async fn exchange(&mut self, after: u64, limit: usize) -> Result<Response, Error> {
        let kept = self.connection.take();
        let mut open = match kept {
            // Page by page from one gateway or another.
            Some(open) if self.random.random() => open,
            _ => {
                self.gateway += usize::from(self.random.random::<bool>());
                Connection::open(self.address(), false).await?
            }
        };
        let response = open.exchange(&page_request(&self.shared.host, after, limit), false).await?;
        self.connection = (!response.closes).then_some(open);
        Ok(response)
    }

    fn address(&self) -> SocketAddr {
        self.shared.gateways[self.gateway % self.shared.gateways.len()]
    }

    async fn turn_away(&mut self, pause: Duration) {
        self.connection = None;
        self.gateway += 1;
        tokio::time::sleep(pause).await;
    }
}
