//! A large body as its client sends it, chunk by chunk. Nothing is read before there is room for a whole
//! chunk, so a client is never faster than the shard.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use rowhouse_proto::{CHUNK_BYTES, ErrorCode};

use super::chunker::{Chunker, Digest};
use crate::body::leased;
use crate::cluster::{Admission, ByteLease};
use crate::limits::Pace;

/// A whole chunk must arrive within this many timeouts. A client that sends byte by byte would otherwise keep room
/// that other uploads wait for.
const CHUNK_TIMEOUTS: u32 = 8;

/// One chunk, shared by all lanes. Its room in memory is free again when the last lane and the last message have
/// dropped it.
pub struct Chunk {
    pub index: u32,
    pub body: Bytes,
    pub crc32c: u32,
}

/// Reads a body, cuts it into chunks, hashes it.
pub struct Intake {
    /// Read already, and not cut yet.
    data: std::vec::IntoIter<Bytes>,
    open: Bytes,
    rest: Body,
    asked: bool,
    chunker: Chunker,
    admission: Admission,
    /// Bounds idleness, of the client and in the queue for room: a large body may take as long as it takes.
    timeout: Duration,
    index: u32,
    /// At which the user may send; no timeout counts the time it takes.
    pace: Option<Pace>,
    /// Bytes of the last chunk.
    unpaid: usize,
}

impl Intake {
    /// `head` was read already; `rest` follows it. `timeout` bounds each silence of the client and each wait for
    /// room.
    pub fn new(
        head: Vec<Bytes>,
        rest: Body,
        admission: Admission,
        timeout: Duration,
        pace: Option<Pace>,
    ) -> Self {
        Self {
            data: head.into_iter(),
            open: Bytes::new(),
            rest,
            asked: false,
            chunker: Chunker::default(),
            admission,
            timeout,
            index: 0,
            pace,
            unpaid: 0,
        }
    }

    /// `None` at the end of the body.
    pub async fn chunk(&mut self) -> Result<Option<Arc<Chunk>>, ErrorCode> {
        // Before there is room for the next one: who waits for the pace keeps nobody from room.
        if let Some(pace) = &self.pace {
            pace.pay(std::mem::take(&mut self.unpaid)).await;
        }
        let lease = self.admission.chunk(CHUNK_BYTES, self.timeout).await?;
        let whole = tokio::time::timeout(CHUNK_TIMEOUTS * self.timeout, self.cut());
        let body = whole.await.unwrap_or(Err(ErrorCode::RequestTimeout))?;
        body.map(|body| self.number(body, lease)).transpose()
    }

    async fn cut(&mut self) -> Result<Option<Bytes>, ErrorCode> {
        loop {
            while !self.open.is_empty() {
                if let Some(body) = self.chunker.push(&mut self.open) {
                    return Ok(Some(body));
                }
            }
            self.open = match self.data.next() {
                Some(data) => data,
                None => match self.receive().await? {
                    Some(data) => data,
                    None => break,
                },
            };
        }
        Ok(self.chunker.rest())
    }

    /// The body's length, hash and first bytes; call it after the last chunk.
    pub fn digest(&mut self) -> Digest {
        std::mem::take(&mut self.chunker).digest()
    }

    /// Whether the client was asked for more than had come at first.
    pub fn asked(&self) -> bool {
        self.asked
    }

    /// The part of the body that the client has yet to send.
    pub fn into_rest(self) -> Body {
        self.rest
    }

    fn number(&mut self, body: Bytes, lease: ByteLease) -> Result<Arc<Chunk>, ErrorCode> {
        self.unpaid = body.len();
        let index = self.index;
        self.index = index.checked_add(1).ok_or(ErrorCode::Internal)?;
        Ok(Arc::new(Chunk { index, crc32c: crc32c::crc32c(&body), body: leased(body, lease) }))
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, ErrorCode> {
        self.asked = true;
        let next = async {
            loop {
                match self.rest.frame().await {
                    None => return Ok(None),
                    Some(Err(_)) => return Err(ErrorCode::BrokenStream),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Ok(Some(data)),
                        // An empty piece or a trailer is no sign of life.
                        Ok(_) | Err(_) => {}
                    },
                }
            }
        };
        tokio::time::timeout(self.timeout, next).await.unwrap_or(Err(ErrorCode::RequestTimeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn intake(body: Body, room: usize) -> Intake {
        let head = vec![Bytes::from_static(b"he"), Bytes::new(), Bytes::from_static(b"ad ")];
        Intake::new(head, body, Admission::new(1, 0, room), PATIENCE, None)
    }

    #[tokio::test]
    async fn a_body_arrives_whole_and_in_order() {
        let mut intake = intake(Body::from(vec![b'x'; CHUNK_BYTES]), 2 * CHUNK_BYTES);
        let first = intake.chunk().await.expect("arrives").expect("first");
        let second = intake.chunk().await.expect("arrives").expect("second");
        assert_eq!((first.index, first.body.len()), (0, CHUNK_BYTES));
        assert!(first.body.starts_with(b"head xxx"));
        assert_eq!((second.index, &second.body[..]), (1, &b"xxxxx"[..]));
        assert_eq!(second.crc32c, crc32c::crc32c(b"xxxxx"));
        drop((first, second));
        assert!(intake.chunk().await.expect("its end").is_none());
        assert_eq!(intake.digest().length, CHUNK_BYTES as u64 + 5);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_before_there_is_room() {
        let mut intake = intake(Body::from(vec![b'x'; 2 * CHUNK_BYTES]), CHUNK_BYTES);
        let first = intake.chunk().await.expect("arrives");
        assert_eq!(intake.chunk().await.err(), Some(ErrorCode::Overloaded));
        drop(first);
        assert!(intake.chunk().await.is_ok());
        assert!(intake.asked());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_not_asked_for_what_there_is_no_room_for() {
        let mut intake = intake(Body::from("more"), CHUNK_BYTES - 1);
        assert_eq!(intake.chunk().await.err(), Some(ErrorCode::Overloaded));
        assert!(!intake.asked());
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_is_bounded_and_length_is_not() {
        let slow = stream::unfold((), |()| async {
            tokio::time::sleep(PATIENCE / 2).await;
            Some((Ok::<_, std::io::Error>(Bytes::from(vec![0; CHUNK_BYTES / 8])), ()))
        });
        let dripping = stream::unfold((), |()| async {
            tokio::time::sleep(PATIENCE / 2).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let mut dripping = intake(Body::from_stream(dripping), CHUNK_BYTES);
        assert_eq!(dripping.chunk().await.err(), Some(ErrorCode::RequestTimeout), "it is never silent");
        let mut endless = intake(Body::from_stream(slow.take(64)), CHUNK_BYTES);
        for _ in 0..8 {
            assert!(endless.chunk().await.expect("arrives").is_some());
        }
        let mut silent =
            intake(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()), CHUNK_BYTES);
        assert_eq!(silent.chunk().await.err(), Some(ErrorCode::RequestTimeout));
        let gone = stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        let mut broken = intake(Body::from_stream(gone), CHUNK_BYTES);
        assert_eq!(broken.chunk().await.err(), Some(ErrorCode::BrokenStream));
    }
}
