//! A stream of server-sent events, read event by event as they come.

use std::net::SocketAddr;

use crate::error::Error;
use crate::http1::{Connection, Response};

const BLOCK_END: &[u8] = b"\n\n";
const KEEP_ALIVE: &str = ":";
/// Letters of a public key.
const KEY_LETTERS: usize = 52;
/// Letters of a hash in padded base64.
const HASH_LETTERS: usize = 44;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    pub deleted: bool,
    /// The owner's key in z-base-32.
    pub user: String,
    /// From the root on, decoded.
    pub path: String,
    pub cursor: u64,
    /// Of the content, in base64; None: DEL.
    pub hash: Option<String>,
}

/// What comes next on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamItem {
    Event(StreamEvent),
    KeepAlive,
    /// The server ended the body, and properly.
    End,
}

/// An open `/events-stream`.
pub struct EventStream {
    connection: Connection,
    pending: Vec<u8>,
    /// All of the body was read.
    ended: bool,
    /// Its body stays empty.
    pub head: Response,
}

impl EventStream {
    /// Sends the request and reads the head. Errs with the status and the text of a refusal.
    pub async fn open(address: SocketAddr, request: &[u8]) -> Result<Self, Error> {
        let mut connection = Connection::open(address, false).await?;
        connection.send(request).await?;
        let mut head = Response::default();
        connection.receive_head(&mut head).await?;
        if head.status != 200 {
            connection.receive_body(&mut head, false).await?;
            return Err(Error::Answer(format!("{} {}", head.status, head.text())));
        }
        // A batch may come as a whole. A body that ends with its connection would have no proper end.
        let ended = head.header("content-length").is_some();
        if ended {
            connection.receive_body(&mut head, false).await?;
        } else if head.header("transfer-encoding").as_deref() != Some("chunked") {
            return Err(Error::Http("a stream of unknown length"));
        }
        Ok(Self { connection, pending: std::mem::take(&mut head.body), ended, head })
    }

    /// Waits for the next item. Errs if the connection breaks, or if the bytes are no stream of events.
    pub async fn next(&mut self) -> Result<StreamItem, Error> {
        loop {
            if let Some(at) = self.pending.windows(2).position(|window| window == BLOCK_END) {
                let block = String::from_utf8_lossy(&self.pending[..at]).into_owned();
                self.pending.drain(..at + BLOCK_END.len());
                return item(&block).map_err(Error::Answer);
            }
            if self.ended || !self.connection.next_chunk(&mut self.pending).await? {
                self.ended = true;
                let whole = self.pending.is_empty();
                return if whole { Ok(StreamItem::End) } else { Err(Error::Http("cut in an event")) };
            }
        }
    }

    /// All events up to the end.
    pub async fn rest(&mut self) -> Result<Vec<StreamEvent>, Error> {
        let mut events = Vec::new();
        loop {
            match self.next().await? {
                StreamItem::Event(event) => events.push(event),
                StreamItem::KeepAlive => {}
                StreamItem::End => return Ok(events),
            }
        }
    }
}

/// The events of a whole body. Errs with what is wrong with it.
pub fn parse_stream(body: &str) -> Result<Vec<StreamEvent>, String> {
    let Some(blocks) = body.strip_suffix("\n\n") else {
        return if body.is_empty() { Ok(Vec::new()) } else { Err("the last event is not ended".into()) };
    };
    let mut events = Vec::new();
    for block in blocks.split("\n\n") {
        if let StreamItem::Event(event) = item(block)? {
            events.push(event);
        }
    }
    Ok(events)
}

/// Exactly the lines that the protocol has, in their order.
fn item(block: &str) -> Result<StreamItem, String> {
    if block == KEEP_ALIVE {
        return Ok(StreamItem::KeepAlive);
    }
    let wrong = || format!("no event: {block:.300?}");
    let lines: Vec<&str> = block.split('\n').collect();
    let (deleted, hash) = match lines.as_slice() {
        ["event: PUT", _, _, hash] => (false, hash.strip_prefix("data: content_hash: ")),
        ["event: DEL", _, _] => (true, None),
        _ => return Err(wrong()),
    };
    if !deleted && hash.is_none_or(|hash| hash.len() != HASH_LETTERS) {
        return Err(wrong());
    }
    let url = lines[1].strip_prefix("data: pubky://").ok_or_else(wrong)?;
    let (user, path) = url.split_at_checked(KEY_LETTERS).ok_or_else(wrong)?;
    let cursor = lines[2].strip_prefix("data: cursor: ").and_then(|cursor| cursor.parse().ok());
    Ok(StreamItem::Event(StreamEvent {
        deleted,
        user: user.to_owned(),
        path: path.to_owned(),
        cursor: cursor.ok_or_else(wrong)?,
        hash: hash.map(str::to_owned),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "o1gg96ewuojmopcjbz8895478wdtxtzzuxnfjjz8o8e77csa1ngo";

    fn put(cursor: u64) -> String {
        let hash = "A".repeat(HASH_LETTERS);
        format!(
            "event: PUT\ndata: pubky://{KEY}/pub/a\ndata: cursor: {cursor}\ndata: content_hash: {hash}\n\n"
        )
    }

    #[test]
    fn events_and_keep_alives_are_told_apart() {
        let del = format!("event: DEL\ndata: pubky://{KEY}/pub/a\ndata: cursor: 8\n\n");
        let events = parse_stream(&format!("{}:\n\n{del}", put(7))).expect("a stream");
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].cursor, events[0].deleted, events[0].hash.is_some()), (7, false, true));
        assert_eq!((events[1].cursor, events[1].deleted, events[1].path.as_str()), (8, true, "/pub/a"));
        assert_eq!(parse_stream(""), Ok(Vec::new()));
    }

    #[test]
    fn other_bytes_are_refused() {
        for (what, with) in [
            ("event: PUT", "event: MOVE"),
            ("data: pubky://", "data: https://"),
            ("data: cursor: 7", "data: cursor: -7"),
            ("data: content_hash: A", "data: content_hash: "),
            ("\n\n", "\n"),
            ("event: PUT\n", "id: 7\nevent: PUT\n"),
        ] {
            assert!(parse_stream(&put(7).replace(what, with)).is_err(), "{with}");
        }
    }
}
