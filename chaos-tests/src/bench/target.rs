//! Prepares a homeserver for measurement: users with sessions, files to read, a directory to list.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::error::Error;
use crate::feed::parse_stream;
use crate::http1::Connection;
use crate::identity::{Session, User, signup_by_cookie};
use crate::request::request;

/// Files of each user that GETs read and overwriting PUTs hit: 64 users make 1,024.
pub const FILES_PER_USER: usize = 16;
/// A directory of this many files is listed.
pub const LIST_FILES: usize = 1000;
/// Only these many users get such a directory: filling one takes a slow server seconds.
pub const LIST_USERS: usize = 4;
/// Connections that prepare; signups are anonymous and may be limited, so they use one.
const SETUP_CONNECTIONS: usize = 16;
/// A refused signup (429) is tried again this often, a little later each time.
const SIGNUP_ATTEMPTS: u32 = 200;
const SIGNUP_PAUSE: Duration = Duration::from_millis(100);

/// A user of the run: key in z-base-32, the pair that signs in anew, and a session.
#[derive(Clone, Debug)]
pub struct Member {
    pub z32: String,
    pub user: Arc<User>,
    pub session: Session,
    /// Of the newest event when the run began; see `Target::note_cursors`.
    pub cursor: u64,
}

/// A homeserver under load: where it listens and who may write.
#[derive(Clone, Debug)]
pub struct Target {
    pub addresses: Vec<SocketAddr>,
    pub host: String,
    pub quickack: bool,
    pub members: Vec<Member>,
    pub signups_per_s: f64,
}

/// `http://host:port` to its address and Host header.
pub fn parse_url(url: &str) -> Result<(SocketAddr, String), Error> {
    let host = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let address =
        host.to_socket_addrs()?.next().ok_or_else(|| Error::Cluster(format!("{host} has no address")))?;
    Ok((address, host.to_owned()))
}

impl Target {
    /// Signs up the users at the first server that answers. Fails if a signup is refused.
    pub async fn prepare(urls: &[String], users: usize, quickack: bool) -> Result<Self, Error> {
        let parsed = urls.iter().map(|url| parse_url(url)).collect::<Result<Vec<_>, _>>()?;
        let host =
            parsed.first().map(|(_, host)| host.clone()).ok_or_else(|| Error::Cluster("no URL".into()))?;
        let addresses = parsed.into_iter().map(|(address, _)| address).collect();
        let mut target = Self { addresses, host, quickack, members: Vec::new(), signups_per_s: 0.0 };
        let started = Instant::now();
        let mut connection = target.connect(0).await?;
        for _ in 0..users {
            let member = target.sign_up(&mut connection).await?;
            target.members.push(member);
        }
        target.signups_per_s = users as f64 / started.elapsed().as_secs_f64();
        Ok(target)
    }

    /// Connections take the addresses in turn.
    pub async fn connect(&self, slot: usize) -> Result<Connection, Error> {
        Connection::open(self.addresses[slot % self.addresses.len()], self.quickack).await
    }

    async fn sign_up(&self, connection: &mut Connection) -> Result<Member, Error> {
        let mut last = None;
        for _ in 0..SIGNUP_ATTEMPTS {
            let user = User::random();
            match signup_by_cookie(connection, &self.host, &user).await {
                Ok(session) => {
                    return Ok(Member { z32: user.z32.clone(), user: Arc::new(user), session, cursor: 0 });
                }
                Err(Error::Answer(answer)) if answer.contains("429") || answer.contains("503") => {
                    last = Some(Error::Answer(answer));
                    tokio::time::sleep(SIGNUP_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Answer("no signup".into())))
    }

    /// Files that GETs read and overwriting PUTs hit.
    pub async fn fill_files(&self, size: usize) -> Result<(), Error> {
        let body = vec![b'x'; size];
        let puts = self.members.iter().flat_map(|member| {
            (0..FILES_PER_USER)
                .map(|file| self.put(member, &file_path(size, file), &body))
                .collect::<Vec<_>>()
        });
        self.send_all(puts.collect()).await
    }

    /// Writes the files that listings are made of.
    pub async fn fill_directories(&self) -> Result<(), Error> {
        let puts = self.members.iter().take(LIST_USERS).flat_map(|member| {
            (0..LIST_FILES)
                .map(|file| self.put(member, &format!("/pub/bench/list/{file:06}"), b"x"))
                .collect::<Vec<_>>()
        });
        self.send_all(puts.collect()).await
    }

    /// Gives each user an event, and remembers its cursor.
    pub async fn note_cursors(&mut self) -> Result<(), Error> {
        let puts = self.members.iter().map(|member| self.put(member, "/pub/bench/cursor", b"x"));
        self.send_all(puts.collect()).await?;
        let mut connection = self.connect(0).await?;
        for member in &mut self.members {
            let url = format!("/events-stream?user={}&reverse=true&limit=1", member.z32);
            let response = connection.exchange(&request("GET", &url, &self.host, &[], b""), false).await?;
            let events = parse_stream(&response.text()).map_err(Error::Answer)?;
            let newest =
                events.first().ok_or_else(|| Error::Answer(format!("no event of {}", member.z32)))?;
            member.cursor = newest.cursor;
        }
        Ok(())
    }

    pub(super) fn put(&self, member: &Member, path: &str, body: &[u8]) -> Vec<u8> {
        let target = format!("/storage/{}{path}", member.z32);
        request("PUT", &target, &self.host, &[(member.session.header, &member.session.value)], body)
    }

    pub(super) async fn send_all(&self, requests: Vec<Vec<u8>>) -> Result<(), Error> {
        let mut workers = JoinSet::new();
        let share = requests.len().div_ceil(SETUP_CONNECTIONS).max(1);
        for (slot, part) in requests.chunks(share).enumerate() {
            let part = part.to_vec();
            let mut connection = self.connect(slot).await?;
            workers.spawn(async move {
                for request in part {
                    let response = connection.exchange(&request, false).await?;
                    if response.status != 201 {
                        return Err(Error::Answer(format!(
                            "filling: {} {}",
                            response.status,
                            response.text()
                        )));
                    }
                }
                Ok(())
            });
        }
        while let Some(done) = workers.join_next().await {
            done.map_err(|error| Error::Cluster(error.to_string()))??;
        }
        Ok(())
    }
}

/// Path of one file of the given size.
pub fn file_path(size: usize, file: usize) -> String {
    format!("/pub/bench/f{size}/{file:03}")
}
