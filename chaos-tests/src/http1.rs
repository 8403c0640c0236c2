//! A small HTTP/1.1 client over one TCP connection: exact bytes out, exact bytes back.
//!
//! The load generator uses it because it costs little CPU, the conformance table because it sends
//! what no well-behaved client would. Deliberately absent: pooling, redirects, TLS, pipelining.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::error::Error;

/// No server answers with a longer head; more is a broken peer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Largest body kept: a full listing page of 1,000 long paths fits.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Loopback connects at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_CHUNK_BYTES: usize = 16 * 1024;

/// One answer. Reused between exchanges, so that a load generator allocates nothing per request.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// Status line and header lines, without the empty line.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
    /// The server will close, or the body had no length.
    pub closes: bool,
}

impl Response {
    /// All values of a header, in order.
    pub fn headers(&self, name: &str) -> Vec<String> {
        header_lines(&self.head)
            .filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// Value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The body as text; invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One HTTP/1.1 connection, kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Acknowledge at once: a peer with Nagle on does not stall for the delayed acknowledgement.
    quickack: bool,
}

impl Connection {
    /// Connects, without Nagle's delay; `quickack` also acknowledges at once (Linux).
    pub async fn open(address: SocketAddr, quickack: bool) -> Result<Self, Error> {
        Self::connected(address, TcpStream::connect(address), quickack).await
    }

    /// From a chosen address of this machine: servers count what one address asks for.
    pub async fn open_from(from: IpAddr, address: SocketAddr) -> Result<Self, Error> {
        let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(from, 0))?;
        Self::connected(address, socket.connect(address), false).await
    }

    async fn connected(
        address: SocketAddr,
        connecting: impl Future<Output = std::io::Result<TcpStream>>,
        quickack: bool,
    ) -> Result<Self, Error> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let stream = connected
            .map_err(|_| Error::Timeout(CONNECT_TIMEOUT, format!("a connection to {address}")))??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_CHUNK_BYTES), quickack })
    }

    /// Writes raw bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).await?;
        Ok(())
    }

    /// No more bytes will be sent; the answer may still come.
    pub async fn finish_sending(&mut self) -> Result<(), Error> {
        self.stream.shutdown().await?;
        Ok(())
    }

    /// One request and its answer. `to_head`: the request is a HEAD, so no body follows.
    pub async fn exchange(&mut self, request: &[u8], to_head: bool) -> Result<Response, Error> {
        let mut response = Response::default();
        self.send(request).await?;
        self.receive(&mut response, to_head).await?;
        Ok(response)
    }

    /// Reads one response into `response`, whose buffers are reused. `to_head`: the request was HEAD, so no body
    /// follows.
    pub async fn receive(&mut self, response: &mut Response, to_head: bool) -> Result<(), Error> {
        self.receive_head(response).await?;
        self.receive_body(response, to_head).await
    }

    /// Reads the head of a response alone. Its body comes by `receive_body`, or by `next_chunk` as it is sent.
    pub async fn receive_head(&mut self, response: &mut Response) -> Result<(), Error> {
        response.body.clear();
        loop {
            let head_length = self.read_head().await?;
            response.head.clear();
            response.head.extend_from_slice(&self.buffer[..head_length]);
            self.buffer.drain(..head_length + 4);
            response.status = parse_status(&response.head)?;
            if response.status != 100 {
                return Ok(());
            }
        }
    }

    /// Reads the whole body that follows the head.
    pub async fn receive_body(&mut self, response: &mut Response, to_head: bool) -> Result<(), Error> {
        let framing = framing(&response.head, response.status, to_head)?;
        response.closes = framing == Framing::UntilClose || asks_to_close(&response.head);
        match framing {
            Framing::Length(length) => self.read_exactly(length, &mut response.body).await,
            Framing::Chunked => self.read_chunked(&mut response.body).await,
            Framing::UntilClose => self.read_to_close(&mut response.body).await,
        }
    }

    /// Adds the next chunk of a chunked body to `body`; false at the body's proper end.
    pub async fn next_chunk(&mut self, body: &mut Vec<u8>) -> Result<bool, Error> {
        let line = self.read_line().await?;
        let size = std::str::from_utf8(&line).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or(Error::Http("bad chunk size"))?;
        if size + body.len() > BODY_BYTES_MAX {
            return Err(Error::Http("body too long"));
        }
        if size == 0 {
            while !self.read_line().await?.is_empty() {}
            return Ok(false);
        }
        self.read_exactly(size, body).await?;
        if !self.read_line().await?.is_empty() {
            return Err(Error::Http("chunk not ended"));
        }
        Ok(true)
    }

    /// Whether the server closes the connection without another byte.
    pub async fn closes_silently(&mut self) -> Result<bool, Error> {
        match self.fill().await {
            Ok(read) => Ok(read == 0),
            Err(Error::Io(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn fill(&mut self) -> Result<usize, Error> {
        if self.quickack {
            // Not sticky on Linux: the kernel falls back to delayed acknowledgements by itself.
            socket2::SockRef::from(&self.stream).set_tcp_quickack(true)?;
        }
        self.buffer.reserve(READ_CHUNK_BYTES);
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }

    async fn fill_some(&mut self) -> Result<(), Error> {
        if self.fill().await? == 0 {
            return Err(Error::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    async fn read_head(&mut self) -> Result<usize, Error> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer[searched..], b"\r\n\r\n") {
                return Ok(searched + at);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Error::Http("head too long"));
            }
            searched = self.buffer.len().saturating_sub(3);
            self.fill_some().await?;
        }
    }

    async fn read_exactly(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), Error> {
        while self.buffer.len() < length {
            self.fill_some().await?;
        }
        body.extend_from_slice(&self.buffer[..length]);
        self.buffer.drain(..length);
        Ok(())
    }

    async fn read_to_close(&mut self, body: &mut Vec<u8>) -> Result<(), Error> {
        while self.fill().await? > 0 {
            if self.buffer.len() > BODY_BYTES_MAX {
                return Err(Error::Http("body too long"));
            }
        }
        body.append(&mut self.buffer);
        Ok(())
    }

    async fn read_chunked(&mut self, body: &mut Vec<u8>) -> Result<(), Error> {
        while self.next_chunk(body).await? {}
        Ok(())
    }

    async fn read_line(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.buffer[..at].to_vec();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Error::Http("line too long"));
            }
            self.fill_some().await?;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

fn framing(head: &[u8], status: u16, to_head: bool) -> Result<Framing, Error> {
    if to_head || status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    let mut framing = Framing::UntilClose;
    for (key, value) in header_lines(head) {
        if key.eq_ignore_ascii_case(b"transfer-encoding") {
            return Ok(Framing::Chunked);
        }
        if key.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
            let length: usize = length.ok_or(Error::Http("bad content-length"))?;
            if length > BODY_BYTES_MAX {
                return Err(Error::Http("body too long"));
            }
            framing = Framing::Length(length);
        }
    }
    Ok(framing)
}

fn asks_to_close(head: &[u8]) -> bool {
    header_lines(head)
        .any(|(key, value)| key.eq_ignore_ascii_case(b"connection") && value.eq_ignore_ascii_case(b"close"))
}

fn parse_status(head: &[u8]) -> Result<u16, Error> {
    let digits = head.get(9..12).ok_or(Error::Http("short status line"))?;
    let status = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    status.filter(|_| head.starts_with(b"HTTP/1.")).ok_or(Error::Http("bad status line"))
}

fn header_lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(bytes: &'static [u8], to_head: bool) -> Result<Response, Error> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            for part in bytes.chunks(7) {
                stream.write_all(part).await.expect("the client reads");
                stream.flush().await.expect("the client reads");
            }
            stream
        };
        let ask = async {
            Connection::open(address, true).await?.exchange(b"GET / HTTP/1.1\r\n\r\n", to_head).await
        };
        let ((), response) = tokio::join!(async { drop(serve.await) }, ask);
        response
    }

    #[tokio::test]
    async fn reads_a_body_by_its_length() {
        let response =
            answered(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello", false).await;
        let response = response.expect("a whole answer");
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert_eq!(response.headers("x-a"), ["1", "2"]);
        assert!(!response.closes);
    }

    #[tokio::test]
    async fn reads_chunks_and_skips_a_continue() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(answered(bytes, false).await.expect("a whole answer").text(), "abcde");
    }

    #[tokio::test]
    async fn heads_and_304_have_no_body() {
        let head =
            answered(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true).await.expect("a whole answer");
        assert_eq!((head.status, head.body.len()), (200, 0));
        let unchanged = answered(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n", false).await;
        assert!(unchanged.expect("a whole answer").closes);
    }

    #[tokio::test]
    async fn a_cut_answer_is_an_error() {
        assert!(answered(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", false).await.is_err());
        assert!(answered(b"nonsense nonsense\r\n\r\n", false).await.is_err());
    }
}
