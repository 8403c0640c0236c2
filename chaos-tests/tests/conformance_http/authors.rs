//! Many users who write at once, and the ledger of what each was told: what any reader of events must see.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rowhouse_chaos_tests::http1::Connection;
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie};
use rowhouse_chaos_tests::request::request;

use super::world::World;

/// Every so many writes of a user, one deletes what was put before.
const DELETE_EVERY: usize = 5;
/// Users that write at the same time.
const HANDS: usize = 6;
/// A write whose answer does not come by then may or may not have happened.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two writes of a hand.
const PAUSE: Duration = Duration::from_millis(15);

/// One write: its line on a feed, and whether it was acknowledged.
#[derive(Clone, Debug)]
struct Written {
    line: String,
    sure: bool,
}

/// A user who writes, and all that it wrote.
pub struct Author {
    pub z32: String,
    session: Session,
    written: Mutex<Vec<Written>>,
}

impl Author {
    pub async fn sign_up(world: &World) -> Self {
        let user = User::random();
        let mut connection = world.connect().await;
        let session = signup_by_cookie(&mut connection, &world.address.to_string(), &user).await;
        Self { session: session.expect("a signup"), z32: user.z32, written: Mutex::default() }
    }

    fn note(&self, line: String, sure: bool) {
        self.written.lock().expect("nobody panics").push(Written { line, sure });
    }

    /// Lines of this author whose writes were acknowledged.
    pub fn acknowledged(&self) -> Vec<String> {
        let written = self.written.lock().expect("nobody panics");
        written.iter().filter(|written| written.sure).map(|written| written.line.clone()).collect()
    }

    /// Why what a reader was told of this author is not what it wrote; None if it is.
    ///
    /// Each acknowledged write once and in order, one whose outcome nobody knows at most once, nothing else.
    pub fn contradiction(&self, told: &[String]) -> Option<String> {
        let written = self.written.lock().expect("nobody panics").clone();
        let mut seen: Vec<&String> = told.iter().collect();
        seen.sort_unstable();
        if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("{} was told twice", pair[0]));
        }
        let known = |line: &&String| written.iter().any(|written| written.line == **line);
        if let Some(line) = told.iter().find(|line| !known(line)) {
            return Some(format!("{line} was told, and nobody wrote it"));
        }
        let sure: Vec<&String> = written.iter().filter(|it| it.sure).map(|it| &it.line).collect();
        let told: Vec<&String> = told.iter().filter(|line| sure.contains(line)).collect();
        (told != sure).then(|| {
            let at = told.iter().zip(&sure).take_while(|(one, other)| one == other).count();
            let (found, wanted) = (told.get(at), sure.get(at));
            format!("{} of {} told, {found:?} in place of {wanted:?}", told.len(), sure.len())
        })
    }

    /// Write number `number`, through this gateway; never repeated.
    async fn write(&self, world: &World, number: usize, connection: &mut Option<Connection>) {
        let before = format!("/pub/mapky.app/{}", number.saturating_sub(1));
        let deletes = number % DELETE_EVERY == DELETE_EVERY - 1 && self.has_put(&before);
        let path = if deletes { before } else { format!("/pub/mapky.app/{number}") };
        let (method, line) = if deletes { ("DELETE", "DEL") } else { ("PUT", "PUT") };
        let target = format!("/storage/{}{path}", self.z32);
        let headers = [(self.session.header, self.session.value.as_str())];
        let host = world.address.to_string();
        let bytes = request(method, &target, &host, &headers, path.as_bytes());
        let exchange = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => world.connect_anywhere().await?,
            };
            let response = open.exchange(&bytes, false).await?;
            *connection = (!response.closes).then_some(open);
            Ok::<_, rowhouse_chaos_tests::error::Error>(response.status)
        };
        let status = tokio::time::timeout(PATIENCE, exchange).await;
        let sure = matches!(status, Ok(Ok(201 | 204)));
        self.note(format!("{line} pubky://{}{path}", self.z32), sure);
    }

    fn has_put(&self, path: &str) -> bool {
        let written = self.written.lock().expect("nobody panics");
        let line = format!("PUT pubky://{}{path}", self.z32);
        written.iter().any(|written| written.sure && written.line == line)
    }
}

/// All authors write in turn until told to stop.
pub async fn write_until(world: &World, authors: &[Author], stop: &AtomicBool) {
    let share = authors.len().div_ceil(HANDS).max(1);
    let hands = authors.chunks(share).map(|mine| async move {
        let mut connection = None;
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            for author in mine {
                author.write(world, number, &mut connection).await;
                tokio::time::sleep(PAUSE).await;
            }
            number += 1;
        }
    });
    futures::future::join_all(hands).await;
}

/// Signs up so many authors.
pub async fn authors(world: &World, count: usize) -> Vec<Author> {
    let mut authors = Vec::new();
    for _ in 0..count {
        authors.push(Author::sign_up(world).await);
    }
    authors
}
