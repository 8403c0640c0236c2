//! Follows `/events/` as a reader that polls does, beside a load of writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::target::Target;
use crate::error::Error;
use crate::feed::{FeedLine, FeedPage, LIMIT_MAX, page_request};
use crate::http1::Connection;

/// After an answer that is no page.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// One reader of the feed.
pub struct Tailer {
    target: Arc<Target>,
    cursor: u64,
    connection: Option<Connection>,
}

impl Tailer {
    /// A reader that has read everything there is.
    pub async fn at_the_end(target: &Arc<Target>) -> Result<Self, Error> {
        let mut tailer = Self { target: Arc::clone(target), cursor: 0, connection: None };
        while !tailer.page().await?.is_empty() {}
        Ok(tailer)
    }

    /// Polls until the deadline, each time after a pause; `seen` is called with each page. Answers how many polls failed.
    pub async fn follow(
        &mut self,
        deadline: Instant,
        pause: Duration,
        mut seen: impl FnMut(Vec<FeedLine>),
    ) -> u64 {
        let mut errors = 0;
        while Instant::now() < deadline {
            match self.page().await {
                Ok(lines) => seen(lines),
                Err(_) => {
                    errors += 1;
                    self.connection = None;
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
            tokio::time::sleep(pause).await;
        }
        errors
    }

    async fn page(&mut self) -> Result<Vec<FeedLine>, Error> {
        let mut open = match self.connection.take() {
            Some(open) => open,
            None => self.target.connect(0).await?,
        };
        let bytes = page_request(&self.target.host, self.cursor, LIMIT_MAX);
        let response = open.exchange(&bytes, false).await?;
        if response.status != 200 {
            return Err(Error::Answer(format!("{} {}", response.status, response.text())));
        }
        let page = FeedPage::parse(&response.text(), self.cursor, LIMIT_MAX).map_err(Error::Answer)?;
        self.cursor = page.cursor.unwrap_or(self.cursor);
        self.connection = (!response.closes).then_some(open);
        Ok(page.lines)
    }
}
