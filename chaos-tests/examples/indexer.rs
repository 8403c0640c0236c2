//! A small indexer: prints each public event of a homeserver once, in order, through restarts of either.
//!
//! ```text
//! indexer CURSOR_FILE GATEWAY_URL...
//! ```
//!
//! docs/indexer.md explains why each line is there. `tests/conformance_indexer.rs` runs it against a real cluster.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;

/// Most events of one page.
const LIMIT: usize = 1000;
/// Between polls once everything is read.
const POLL: Duration = Duration::from_millis(500);
/// After a refusal that does not say how long to wait, and after a broken connection.
const PAUSE: Duration = Duration::from_secs(1);
/// Nobody is made to wait longer, whatever an answer says.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// An answer that takes longer is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum IndexerError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the cursor file: {0}")]
    Cursor(#[from] io::Error),
    #[error("not a page of the feed: {0}")]
    Page(String),
}

/// Where the indexer is, and whom it asks.
pub struct Indexer {
    client: reqwest::Client,
    gateways: Vec<String>,
    gateway: usize,
    cursor_file: PathBuf,
    cursor: u64,
}

/// What one poll came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled {
    /// Each line is `PUT pubky://…` or `DEL pubky://…`.
    Events(Vec<String>),
    /// There is nothing new.
    Nothing,
    /// Come back later: the homeserver says so, or cannot be reached.
    Later(Duration),
}

impl Indexer {
    /// Goes on where the cursor file says. Gateways are URLs such as `http://127.0.0.1:6286`.
    pub fn open(cursor_file: &Path, gateways: Vec<String>) -> Result<Self, IndexerError> {
        let cursor = match fs::read_to_string(cursor_file) {
            Ok(text) => text.trim().parse().map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { client, gateways, gateway: 0, cursor_file: cursor_file.to_owned(), cursor })
    }

    /// Asks for the next page and handles each event; the cursor moves only after that.
    pub async fn poll(&mut self, mut handle: impl FnMut(&str)) -> Result<Polled, IndexerError> {
        let gateway = &self.gateways[self.gateway % self.gateways.len()];
        let url = format!("{gateway}/events/?cursor={}&limit={LIMIT}", self.cursor);
        let answered = async {
            let response = self.client.get(url).send().await?;
            let (status, wait) = (response.status(), retry_after(&response));
            Ok::<_, reqwest::Error>((status, wait, response.text().await?))
        };
        // A body that breaks off is no page: its cursor would be missing or wrong.
        let (status, wait, body) = match answered.await {
            Ok(answer) => answer,
            Err(_) => return Ok(self.later(PAUSE)),
        };
        match status {
            StatusCode::OK => {}
            // Other refusals will not pass by waiting: the request itself is wrong.
            StatusCode::TOO_MANY_REQUESTS => return Ok(self.later(wait)),
            status if status.is_server_error() => return Ok(self.later(wait)),
            status => return Err(IndexerError::Page(format!("{status} {body:.200}"))),
        }
        let Some((events, cursor)) = page(&body, self.cursor)? else { return Ok(Polled::Nothing) };
        events.iter().for_each(|event| handle(event));
        self.keep(cursor)?;
        Ok(Polled::Events(events))
    }

    /// Another gateway may do better.
    fn later(&mut self, pause: Duration) -> Polled {
        self.gateway += 1;
        Polled::Later(pause)
    }

    /// Whole or not at all, whenever the power fails: a new file takes the place of the old one.
    fn keep(&mut self, cursor: u64) -> Result<(), IndexerError> {
        let new = self.cursor_file.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(cursor.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.cursor_file)?;
        self.cursor = cursor;
        Ok(())
    }
}

fn retry_after(response: &reqwest::Response) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs).min(PAUSE_MAX)
}

/// Events and the new cursor; None: there are none.
fn page(body: &str, cursor: u64) -> Result<Option<(Vec<String>, u64)>, IndexerError> {
    if body.is_empty() {
        return Ok(None);
    }
    let wrong = |what: &str| IndexerError::Page(format!("{what}: {body:.200}"));
    let (events, last) = body.rsplit_once('\n').ok_or_else(|| wrong("one line"))?;
    let new = last.strip_prefix("cursor: ").and_then(|text| text.parse().ok());
    let new: u64 = new.ok_or_else(|| wrong("no cursor"))?;
    if new <= cursor {
        return Err(wrong("a cursor that does not rise"));
    }
    let events: Vec<String> = events.split('\n').map(str::to_owned).collect();
    let is_event = |line: &String| line.starts_with("PUT pubky://") || line.starts_with("DEL pubky://");
    if !events.iter().all(is_event) {
        return Err(wrong("no event"));
    }
    Ok(Some((events, new)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), IndexerError> {
    let mut words = std::env::args().skip(1);
    let (Some(cursor_file), gateways) = (words.next(), words.collect::<Vec<_>>()) else {
        return Err(IndexerError::Page("usage: indexer CURSOR_FILE GATEWAY_URL...".into()));
    };
    let mut indexer = Indexer::open(Path::new(&cursor_file), gateways)?;
    loop {
        match indexer.poll(|event| println!("{event}")).await? {
            Polled::Events(_) => {}
            Polled::Nothing => tokio::time::sleep(POLL).await,
            Polled::Later(pause) => tokio::time::sleep(pause).await,
        }
    }
}
