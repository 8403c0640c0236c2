//! `Frames`: the events of a source as pieces of a response body, up to the stream's limit. A source has a page of
//! events at hand and reads the next one when it is told to: nothing runs ahead of the client.

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::EventRecord;
use tokio::time::Instant;

use super::metrics::events_sent;
use super::sse::{Names, write_event};
use crate::cluster::{Admission, ByteLease};
use crate::reference_metrics::stream_read;
use crate::respond::Rejection;

/// Rows asked for at once.
const PAGE_ROWS: u16 = 100;
/// Under which streams count their events.
const ROUTE: &str = "/events-stream";
/// What an event takes in memory beside its path, generously.
const RECORD_BYTES: usize = 160;
/// A piece ends with the event that reaches this: two or three of them fill a connection's buffer.
const FRAME_BYTES: usize = 8 * 1024;

/// Where the events of a stream come from, in its order.
pub trait Source: Send + 'static {
    /// The next event of those that were read; `None` where it must be read first, and at the end.
    fn take(&mut self) -> Option<EventRecord>;

    /// Everything up to the end that the last read saw was taken.
    fn is_at_end(&self) -> bool;

    /// Goes on from the end: what has come since is to be read.
    fn resume(&mut self, due: Due);

    /// Reads what must be read before the next event, `rows` at once at most. What was refused may be read again.
    fn read(&mut self, rows: u32) -> impl Future<Output = Result<(), Rejection>> + Send;
}

/// Where something may have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    Everywhere,
    /// In these shards.
    Shards(Vec<u32>),
}

/// Room for a page, which may wait long for a client that is slow. Refused as `Overloaded`.
pub fn room_for(events: &[EventRecord], admission: &Admission) -> Result<ByteLease, ErrorCode> {
    let mut lease = admission.bytes();
    lease.grow(events.iter().map(|event| event.path.len() + RECORD_BYTES).sum())?;
    Ok(lease)
}

/// A client's cursor as shards and pages take it: there 0 is none, while a client's 0 in reverse is before all events.
pub fn wire_cursor(cursor: Option<u64>, reverse: bool) -> u64 {
    match cursor {
        Some(0) if reverse => 1,
        Some(id) => id,
        None => 0,
    }
}

/// The events of a source as bytes.
pub struct Frames<S> {
    source: S,
    /// Events until the stream ends; `None`: no bound.
    left: Option<u16>,
    names: Names,
}

impl<S: Source> Frames<S> {
    /// Ends after `limit` events.
    pub fn new(source: S, limit: Option<u16>) -> Self {
        Self { source, left: limit, names: Names::default() }
    }

    /// The next piece of the body, if there are events at hand.
    pub fn next(&mut self) -> Option<Bytes> {
        let (mut out, mut events) = (String::new(), 0);
        while out.len() < FRAME_BYTES && !self.is_over() {
            let Some(event) = self.source.take() else { break };
            write_event(&mut out, self.names.z32(&event.user), &event);
            events += 1;
            self.left = self.left.map(|left| left - 1);
        }
        if out.is_empty() {
            return None;
        }
        events_sent(ROUTE, events);
        Some(out.into())
    }

    /// Its limit is reached.
    pub fn is_over(&self) -> bool {
        self.left == Some(0)
    }

    /// Nothing follows that the last read saw.
    pub fn is_at_end(&self) -> bool {
        self.is_over() || self.source.is_at_end()
    }

    /// As `Source::resume`.
    pub fn resume(&mut self, due: Due) {
        self.source.resume(due);
    }

    /// As `Source::read`, and no more rows than will be sent.
    pub async fn read(&mut self) -> Result<(), Rejection> {
        let rows = self.left.map_or(PAGE_ROWS, |left| left.min(PAGE_ROWS));
        let began = Instant::now();
        self.source.read(rows.into()).await?;
        stream_read(began.elapsed());
        Ok(())
    }
}
