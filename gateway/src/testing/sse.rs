//! A client of event streams: it reads a response piece by piece, while it is open.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Generous: tests share machines with compilers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A response that has begun.
pub struct OpenStream {
    stream: TcpStream,
    /// All that has come, head and chunk sizes included.
    came: Vec<u8>,
}

impl OpenStream {
    pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("listening");
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.expect("open");
        let mut open = Self { stream, came: Vec::new() };
        open.until("\r\n\r\n").await;
        open
    }

    /// Everything so far, once it contains this.
    pub async fn until(&mut self, text: &str) -> String {
        let reading = async {
            while !self.text().contains(text) {
                let read = self.stream.read_buf(&mut self.came).await.expect("open");
                assert!(read > 0, "it ended before {text:?}: {}", self.text());
            }
        };
        if tokio::time::timeout(PATIENCE, reading).await.is_err() {
            panic!("{text:?} never came: {}", self.text());
        }
        self.text()
    }

    /// Reads some more.
    pub async fn more(&mut self) {
        let reading = self.stream.read_buf(&mut self.came);
        let read = tokio::time::timeout(PATIENCE, reading).await.expect("more comes").expect("open");
        assert!(read > 0, "it ended: {}", self.text());
    }

    /// Whether it ended as a response ends: with the last chunk.
    pub async fn ends_properly(&mut self) -> bool {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        let reading = async {
            while !self.came.ends_with(END) {
                match self.stream.read_buf(&mut self.came).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return false,
                }
            }
            true
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("it ends")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.came).into_owned()
    }

    /// The ids of the events so far.
    pub fn cursors(&self) -> Vec<u64> {
        let text = self.text();
        let cursors = text.lines().filter_map(|line| line.strip_prefix("data: cursor: "));
        cursors.map(|cursor| cursor.parse().expect("an id")).collect()
    }
}
