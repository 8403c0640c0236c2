//! Directories of many files: how they are filled and emptied, and what is asked of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;

use super::target::{Member, Target};
use crate::error::Error;
use crate::request::request;

/// Names of one page.
const PAGE: u32 = 1000;
/// Connections that fill and empty.
const CONNECTIONS: usize = 64;
/// Files between two lines of progress.
const PROGRESS_FILES: u32 = 50_000;

/// What one cell of a scenario asks for. Scenarios that are not about directories ask for `Whole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// The first page of the directory of so many files.
    Begin(u32),
    Middle(u32),
    End(u32),
    /// PUT of a new file into a directory that was empty before this run.
    Empty,
    /// PUT of a new file into the directory of so many files, anywhere among them.
    Full(u32),
    /// The first name of the directory whose files were deleted.
    Page,
    /// The children of the directory above it.
    Shallow,
    /// A file of its name, which is refused.
    Collision,
    /// The newest event of the user.
    Newest,
}

impl Part {
    /// All that is asked of a directory of `files` files by `list_million`.
    pub fn pages(files: u32) -> [Self; 3] {
        [Self::Begin(files), Self::Middle(files), Self::End(files)]
    }

    /// All that is asked of the directory whose files were deleted.
    pub const OF_DELETED: [Self; 4] = [Self::Page, Self::Shallow, Self::Collision, Self::Newest];

    /// As in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Begin(_) => "at the beginning",
            Self::Middle(_) => "in the middle",
            Self::End(_) => "at the end",
            Self::Empty => "empty directory",
            Self::Full(_) => "full directory",
            Self::Page => "page",
            Self::Shallow => "shallow page",
            Self::Collision => "collision",
            Self::Newest => "newest event",
        }
    }

    /// The resource that is asked for, and the status that counts as success. A new file is named by a random number
    /// and what makes it new.
    pub fn url(self, member: &Member, random: u32, new: &str) -> (String, u16) {
        let z32 = &member.z32;
        let many = |query: String| format!("/storage/{z32}/pub/bench/many/?limit={PAGE}{query}");
        let behind = |number: u32| many(format!("&cursor={z32}/pub/bench/many/{number:08}"));
        match self {
            Self::Whole | Self::Begin(_) => (many(String::new()), 200),
            Self::Middle(files) => (behind(files / 2), 200),
            Self::End(files) => (behind(files.saturating_sub(PAGE + 1)), 200),
            Self::Empty => (format!("/storage/{z32}/pub/bench/few/{random:08}-{new}"), 201),
            Self::Full(files) => {
                let among = random % files.max(1);
                (format!("/storage/{z32}/pub/bench/many/{among:08}-{new}"), 201)
            }
            Self::Page => (format!("/storage/{z32}/pub/bench/gone/x/?limit=1"), 200),
            Self::Shallow => (format!("/storage/{z32}/pub/bench/gone/?shallow=true"), 200),
            Self::Collision => (format!("/storage/{z32}/pub/bench/gone/x"), 409),
            Self::Newest => (format!("/events-stream?user={z32}&reverse=true&limit=1"), 200),
        }
    }

    /// Whether it is a PUT, and not a GET.
    pub fn writes(self) -> bool {
        matches!(self, Self::Empty | Self::Full(_) | Self::Collision)
    }
}

/// Gives the first user the directory of `files` files.
pub async fn fill(target: &Arc<Target>, files: u32) -> Result<(), Error> {
    each("filling", target, files, "PUT", "/pub/bench/many", 201).await
}

/// Gives the first user the directory with one file, whose name is the last of all.
pub async fn begin_deleted(target: &Arc<Target>) -> Result<(), Error> {
    let mut connection = target.connect(0).await?;
    let response = connection.exchange(&change(target, "PUT", "/pub/bench/gone/x/last")?, false).await?;
    if response.status == 201 { Ok(()) } else { Err(Error::Answer(response.text())) }
}

/// Adds `files` files to it and deletes them.
pub async fn delete_all(target: &Arc<Target>, files: u32) -> Result<(), Error> {
    each("filling", target, files, "PUT", "/pub/bench/gone/x", 201).await?;
    each("deleting", target, files, "DELETE", "/pub/bench/gone/x", 204).await
}

/// One request for each file, on all connections at once.
async fn each(
    what: &'static str,
    target: &Arc<Target>,
    files: u32,
    method: &'static str,
    directory: &'static str,
    expected: u16,
) -> Result<(), Error> {
    let (next, started) = (Arc::new(AtomicU32::new(0)), Instant::now());
    let mut workers = JoinSet::new();
    for slot in 0..CONNECTIONS {
        let (target, next) = (Arc::clone(target), Arc::clone(&next));
        let mut connection = target.connect(slot).await?;
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= files {
                    return Ok::<_, Error>(());
                }
                if number > 0 && number % PROGRESS_FILES == 0 {
                    eprintln!("{what}: {number} of {files} files, {:.0} s", started.elapsed().as_secs_f64());
                }
                let request = change(&target, method, &format!("{directory}/{number:08}"))?;
                let response = connection.exchange(&request, false).await?;
                if response.status != expected {
                    return Err(Error::Answer(format!("{what}: {} {}", response.status, response.text())));
                }
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|error| Error::Cluster(error.to_string()))??;
    }
    Ok(())
}

fn change(target: &Target, method: &str, path: &str) -> Result<Vec<u8>, Error> {
    let member = target.members.first().ok_or_else(|| Error::Cluster("no user".into()))?;
    let url = format!("/storage/{}{path}", member.z32);
    let body: &[u8] = if method == "PUT" { b"x" } else { b"" };
    let headers = [(member.session.header, member.session.value.as_str())];
    Ok(request(method, &url, &target.host, &headers, body))
}
