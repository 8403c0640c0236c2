//! The polling loops of deployed indexers, as they are: pubky-nexus over the whole feed and user by user, and a reader
//! of fifty users at once. They follow while others write, and must see each acknowledged write once and in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rowhouse_chaos_tests::feed::{StreamEvent, parse_stream};
use rowhouse_chaos_tests::request::request;

use super::authors::{Author, authors, write_until};
use super::world::World;

/// As many as one request may name.
const USERS: usize = 50;
/// Between two rounds of an indexer. Deployed ones wait five seconds.
const ROUND: Duration = Duration::from_millis(100);
const GLOBAL_LIMIT: usize = 1000;
const USER_LIMIT: usize = 50;
const BATCH_LIMIT: usize = 100;
/// Rounds that may go by until everything is read once nobody writes any more.
const LAST_ROUNDS: usize = 600;

/// Lines told of each user.
type Told = BTreeMap<String, Vec<String>>;

/// How long others write, and what ends it.
pub struct Season<'a> {
    pub time: Duration,
    /// Whether enough has happened to end.
    pub ripe: &'a dyn Fn() -> bool,
}

/// All three indexers beside writers; the findings, and how many writes were acknowledged.
pub async fn run(world: &World, season: Season<'_>) -> (Vec<String>, usize) {
    let authors = authors(world, USERS).await;
    let (stop, written) = (AtomicBool::new(false), AtomicBool::new(false));
    let writing = async {
        let began = Instant::now();
        let waiting = async {
            while began.elapsed() < season.time || !(season.ripe)() {
                tokio::time::sleep(ROUND).await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(write_until(world, &authors, &stop), waiting);
        written.store(true, Ordering::Relaxed);
    };
    let (mut global, mut each, mut batch) =
        (Indexer::new(&authors), Indexer::new(&authors), Indexer::new(&authors));
    tokio::join!(
        writing,
        global.follow(world, &authors, &written, Kind::Global),
        each.follow(world, &authors, &written, Kind::Each),
        batch.follow(world, &authors, &written, Kind::Batch),
    );
    let mut findings = Vec::new();
    for (name, indexer) in [("nexus, global", global), ("nexus, by user", each), ("batch", batch)] {
        findings.extend(indexer.findings.iter().map(|what| format!("{name}: {what}")));
        findings.extend(indexer.contradictions(&authors).iter().map(|what| format!("{name}: {what}")));
    }
    (findings, authors.iter().map(|author| author.acknowledged().len()).sum())
}

#[derive(Clone, Copy)]
enum Kind {
    Global,
    Each,
    Batch,
}

/// What an indexer keeps.
struct Indexer {
    /// Of the whole feed.
    cursor: u64,
    /// Of each user: a score of a sorted set, which is a double.
    scores: BTreeMap<String, f64>,
    /// Of each user, as text.
    texts: BTreeMap<String, String>,
    told: Told,
    findings: Vec<String>,
}

impl Indexer {
    fn new(authors: &[Author]) -> Self {
        let users = || authors.iter().map(|author| author.z32.clone());
        Self {
            cursor: 0,
            scores: users().map(|user| (user, 0.0)).collect(),
            texts: users().map(|user| (user, "0".to_owned())).collect(),
            told: users().map(|user| (user, Vec::new())).collect(),
            findings: Vec::new(),
        }
    }

    /// Round after round until nobody writes any more and all of it was told.
    async fn follow(&mut self, world: &World, authors: &[Author], written: &AtomicBool, kind: Kind) {
        let mut last_rounds = 0;
        while last_rounds < LAST_ROUNDS && self.findings.is_empty() {
            let over = written.load(Ordering::Relaxed);
            match kind {
                Kind::Global => self.global(world).await,
                Kind::Each => self.each(world).await,
                Kind::Batch => self.batch(world).await,
            }
            if over {
                last_rounds += 1;
                if self.contradictions(authors).is_empty() {
                    return;
                }
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    fn contradictions(&self, authors: &[Author]) -> Vec<String> {
        let none = Vec::new();
        let contradiction = |author: &Author| {
            let told = self.told.get(&author.z32).unwrap_or(&none);
            author.contradiction(told).map(|what| format!("{}: {what}", author.z32))
        };
        authors.iter().filter_map(contradiction).collect()
    }

    /// One answer's status and body; None: the connection broke.
    async fn get(world: &World, target: &str) -> Option<(u16, String)> {
        let bytes = request("GET", target, &world.address.to_string(), &[], b"");
        let response = world.exchange(&bytes, false).await.ok()?;
        Some((response.status, response.text()))
    }

    /// pubky-nexus on its own homeserver. It never looks at the status.
    async fn global(&mut self, world: &World) {
        let target = format!("/events/?cursor={}&limit={GLOBAL_LIMIT}", self.cursor);
        let Some((status, body)) = Self::get(world, &target).await else { return };
        let (mut cursor, mut events) = (None, Vec::new());
        for line in body.lines() {
            if let Some(text) = line.strip_prefix("cursor: ") {
                match text.parse::<u64>() {
                    Ok(number) => cursor = Some(number),
                    Err(_) => self.findings.push(format!("cursor {text:?}")),
                }
            } else if line.starts_with("PUT pubky://") || line.starts_with("DEL pubky://") {
                events.push(line.to_owned());
            } else if status == 200 {
                self.findings.push(format!("a malformed line: {line:.200}"));
            }
        }
        match cursor {
            Some(cursor) if !events.is_empty() && cursor > self.cursor => {
                self.cursor = cursor;
                events.into_iter().for_each(|line| self.tell(line));
            }
            None if events.is_empty() => {}
            Some(cursor) if events.is_empty() && cursor == self.cursor => {}
            _ => self.findings.push(format!("{} events with cursor {cursor:?}: dropped", events.len())),
        }
    }

    fn tell(&mut self, line: String) {
        let user = line.split_at(line.find("pubky://").map_or(0, |at| at + 8)).1.get(..52);
        if let Some(told) = user.and_then(|user| self.told.get_mut(user)) {
            told.push(line);
        }
    }

    /// pubky-nexus on every other homeserver: user after user, and the run ends at the first trouble.
    async fn each(&mut self, world: &World) {
        let users: Vec<String> = self.scores.keys().cloned().collect();
        for user in users {
            let stored = self.scores.get(&user).copied().unwrap_or(0.0) as u64;
            let target = format!("/events-stream?user={user}:{stored}&limit={USER_LIMIT}&path=/pub/");
            match Self::get(world, &target).await {
                Some((200, body)) => {
                    let mut last = stored;
                    for event in self.parsed(&target, &body) {
                        if event.cursor <= last {
                            return self.findings.push(format!("cursor {} after {last}", event.cursor));
                        }
                        last = event.cursor;
                        self.scores.insert(user.clone(), last as f64);
                        self.tell(line(&event));
                    }
                }
                Some((429 | 503, _)) => return,
                Some((status, body)) => {
                    return self.findings.push(format!("{target}: {status} {body:.200}"));
                }
                None => return,
            }
        }
    }

    /// A reader of fifty users at once, which keeps cursors as text and reads each body to its end.
    async fn batch(&mut self, world: &World) {
        let users: Vec<String> =
            self.texts.iter().map(|(user, cursor)| format!("user={user}:{cursor}")).collect();
        let target = format!("/events-stream?{}&path=/pub/mapky.app/&limit={BATCH_LIMIT}", users.join("&"));
        match Self::get(world, &target).await {
            Some((200, body)) => {
                let events = self.parsed("the batch", &body);
                if !events.is_sorted_by(|one, other| one.cursor < other.cursor) {
                    self.findings.push("a batch out of order".to_owned());
                }
                for event in events {
                    self.texts.insert(event.user.clone(), event.cursor.to_string());
                    self.tell(line(&event));
                }
            }
            Some((429 | 503, _)) | None => {}
            Some((status, body)) => self.findings.push(format!("the batch: {status} {body:.200}")),
        }
    }

    fn parsed(&mut self, what: &str, body: &str) -> Vec<StreamEvent> {
        parse_stream(body).unwrap_or_else(|wrong| {
            self.findings.push(format!("{what}: {wrong}"));
            Vec::new()
        })
    }
}

fn line(event: &StreamEvent) -> String {
    format!("{} pubky://{}{}", if event.deleted { "DEL" } else { "PUT" }, event.user, event.path)
}
