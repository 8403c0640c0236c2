//! A socket in the cluster's folder, through which other terminals ask the running `rowhouse dev` for changes.
//!
//! One line of JSON each way. Who may write to the folder may ask.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The socket's name.
const FILE: &str = "control";
/// Longest message; both kinds are a name and a sentence.
const MESSAGE_BYTES_MAX: u64 = 4 * 1024;
/// The other end runs on this machine, and has nothing else to do.
const MESSAGE_WITHIN: Duration = Duration::from_secs(5);
/// After a connection that could not be accepted: too many files are open.
const PAUSE: Duration = Duration::from_millis(200);

/// A change that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    AddNode,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The node of this name starts.
    Added(String),
    Refused(String),
}

/// The end of the socket in `rowhouse dev`.
pub struct Control {
    listener: UnixListener,
}

/// A request, and the way back.
pub struct Asked {
    pub request: Request,
    stream: UnixStream,
}

impl Control {
    /// Listens in the folder, which the caller has locked: a socket that is there is of an earlier process.
    pub fn listen(root: &Path) -> io::Result<Self> {
        let (_folder, path) = short(root)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { listener: UnixListener::bind(&path)? })
    }

    /// The next request that can be understood.
    pub async fn next(&self) -> Asked {
        loop {
            let accepted = self.listener.accept().await;
            let Ok((mut stream, _)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match within(MESSAGE_WITHIN, receive(&mut stream)).await {
                Ok(request) => return Asked { request, stream },
                Err(error) => tracing::warn!(%error, "a request was not understood"),
            }
        }
    }
}

impl Asked {
    /// Tells who asked. That one may have gone meanwhile; what was done stays done.
    pub async fn answer(mut self, answer: &Answer) {
        if let Err(error) = send(&mut self.stream, answer).await {
            tracing::warn!(%error, "nobody heard the answer to a request");
        }
    }
}

/// Asks the `rowhouse dev` that runs in the folder; `patience` is how long its answer may take.
pub async fn ask(root: &Path, request: Request, patience: Duration) -> io::Result<Answer> {
    let (_folder, path) = short(root)?;
    let mut stream = UnixStream::connect(&path).await?;
    send(&mut stream, &request).await?;
    within(patience, receive(&mut stream)).await
}

/// A path to the socket that is short whatever the folder's is: addresses of sockets have 108 bytes at most. It holds as
/// long as the file is open.
fn short(root: &Path) -> io::Result<(File, PathBuf)> {
    let folder = File::open(root)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{FILE}", folder.as_raw_fd()));
    Ok((folder, path))
}

async fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    within(MESSAGE_WITHIN, stream.write_all(&line)).await
}

async fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream.take(MESSAGE_BYTES_MAX)).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}

async fn within<T>(most: Duration, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(most, done).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_answered_even_in_a_folder_with_a_long_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("x".repeat(120));
        std::fs::create_dir(&root).unwrap();
        let patience = Duration::from_secs(20);
        assert!(ask(&root, Request::AddNode, patience).await.is_err(), "nobody listens");
        drop(Control::listen(&root).unwrap());
        let control = Control::listen(&root).unwrap();
        let answered = async {
            // Somebody who says nothing to the point is passed over.
            let (_folder, path) = short(&root).unwrap();
            UnixStream::connect(&path).await.unwrap().write_all(b"hello\n").await.unwrap();
            ask(&root, Request::AddNode, patience).await.unwrap()
        };
        let serve = async {
            let asked = control.next().await;
            assert_eq!(asked.request, Request::AddNode);
            asked.answer(&Answer::Added("node-4".into())).await;
        };
        let (answer, ()) = tokio::join!(answered, serve);
        assert_eq!(answer, Answer::Added("node-4".into()));
    }
}
