//! The smallest HTTP/1.1 client that can send exactly what a test wants, malformed or not.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Generous: tests share machines with compilers.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// All values of a header, joined as one line.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request a connection.
pub struct Client {
    address: SocketAddr,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("host: localhost\r\n");
        }
        let sized = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if !body.is_empty() && !sized {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers.iter().filter(|(_, value)| *value != "(none)") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        let answer = raw(self.address, &message).await;
        parse(&answer, method == "HEAD").unwrap_or_else(|| {
            panic!("no response to {method} {path}: {:?}", String::from_utf8_lossy(&answer))
        })
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, b"").await
    }
}

/// Sends bytes, ends the sending side's interest, and reads until the server closes. A reset counts as a close.
pub async fn raw(address: SocketAddr, message: &[u8]) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("listening");
        // The server may refuse and close before it has read all of it.
        let _ = stream.write_all(message).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the server answers or closes")
}

fn parse(answer: &[u8], head_only: bool) -> Option<Reply> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let body = answer[end + 4..].to_vec();
    assert!(!head_only || body.is_empty(), "a HEAD response has no body");
    Some(Reply { status, headers, body })
}
