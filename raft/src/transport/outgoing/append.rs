//! The sending end of an append stream on the log lane: requests go out as they come, answers come back
//! in order, and only a window of them is on its way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openraft::Instant;
use openraft::async_runtime::Select2;
use openraft::errors::RPCError;
use openraft::raft::StreamAppendResult;
use prost::Message;
use rowhouse_proto::wire::transport::v1::frame::Body;
use rowhouse_proto::wire::transport::v1::{CloseStream, Frame};

use super::pending::Ticket;
use super::route::{Route, unexpected, unreachable};
use crate::RaftTypes;
use crate::lease::STAMP_AGE_MAX;
use crate::runtime::Runtime;
use crate::transport::wire::lane::{Lane, LinkError, WINDOW_BYTES, WINDOW_FRAMES};
use crate::transport::wire::message::{AppendOf, append_reply_from_wire, append_to_wire};

/// A stream with requests on their way and no answer for this long is broken. The short heartbeat
/// interval does not bound it: an answer comes after an fsync of a full batch.
pub const STREAM_IDLE: Duration = Duration::from_secs(2);
type Answer<R> = Result<StreamAppendResult<RaftTypes<R>>, RPCError<RaftTypes<R>>>;

/// Sends `input` to the peer and yields its answers. Ends after the last answer, or after the first
/// that is not a match.
pub(in crate::transport) fn stream<'s, R, S>(route: &'s Route<R>, input: S) -> BoxStream<'s, Answer<R>>
where
    R: Runtime,
    S: Stream<Item = AppendOf<R>> + Send + Unpin + 'static,
{
    let session = Session {
        ticket: route.register(Lane::Log, WINDOW_FRAMES + 1),
        route,
        input: Some(input),
        in_flight: VecDeque::new(),
        bytes: 0,
        sent: 0,
        progress: R::Instant::now(),
        open: false,
    };
    futures::stream::unfold(Some(session), |session| async move {
        let mut session = session?;
        let answer = session.next().await?;
        let rest = matches!(answer, Ok(Ok(_))).then_some(session);
        Some((answer, rest))
    })
    .boxed()
}

struct Session<'s, R: Runtime, S> {
    route: &'s Route<R>,
    ticket: Ticket,
    /// `None` once it has ended.
    input: Option<S>,
    /// The requests not yet answered, oldest first.
    in_flight: VecDeque<InFlight<R>>,
    bytes: usize,
    sent: u64,
    /// When the stream last had nothing to wait for, or an answer.
    progress: R::Instant,
    /// The peer holds a stream for this.
    open: bool,
}

struct InFlight<R: Runtime> {
    bytes: usize,
    sent_at: R::Instant,
}

enum Event<R: Runtime> {
    Answer(Option<Frame>),
    Request(Option<AppendOf<R>>),
    /// A request was made, and stamped, while the oldest on its way was too old already.
    Late,
    Idle,
}

impl<R, S> Session<'_, R, S>
where
    R: Runtime,
    S: Stream<Item = AppendOf<R>> + Send + Unpin,
{
    async fn next(&mut self) -> Option<Answer<R>> {
        loop {
            if self.input.is_none() && self.in_flight.is_empty() {
                return None;
            }
            match self.event().await {
                Event::Request(None) => self.input = None,
                Event::Request(Some(request)) => {
                    if let Err(error) = self.send(&request) {
                        return Some(Err(unreachable(error)));
                    }
                }
                Event::Answer(answer) => return Some(self.answer(answer)),
                // Not sent, and nothing more is heard: an answer to an older one would be credited with its stamp.
                Event::Late => return Some(Err(unreachable("a request was made too late"))),
                Event::Idle => return Some(Err(unreachable("the append stream is stuck"))),
            }
        }
    }

    async fn event(&mut self) -> Event<R> {
        let deadline = (!self.in_flight.is_empty()).then(|| self.progress + STREAM_IDLE);
        let room = self.in_flight.len() < WINDOW_FRAMES && self.bytes < WINDOW_BYTES;
        let stale = self.in_flight.front().map(|oldest| oldest.sent_at + STAMP_AGE_MAX);
        let replies = &mut self.ticket.replies;
        let input = self.input.as_mut().filter(|_| room);
        let ready = async move {
            let Some(input) = input else { return Event::Answer(replies.recv().await) };
            let is_late = || stale.is_some_and(|stale| R::Instant::now() >= stale);
            let request = poll_fn(|cx| {
                if is_late() {
                    // Only an answer changes this, and it wakes the other half.
                    return Poll::Pending;
                }
                let request = input.poll_next_unpin(cx);
                // This thread may have been stopped since: the stamp is as young as now.
                request.map(|request| {
                    if request.is_some() && is_late() { Event::Late } else { Event::Request(request) }
                })
            });
            // Answers first: they free the window, and a broken link ends a stream that has nothing to say.
            match R::select2(replies.recv(), request).await {
                Select2::First(answer) => Event::Answer(answer),
                Select2::Second(event) => event,
            }
        };
        match deadline {
            Some(deadline) => R::timeout_at(deadline, ready).await.unwrap_or(Event::Idle),
            None => ready.await,
        }
    }

    fn send(&mut self, request: &AppendOf<R>) -> Result<(), LinkError> {
        let body = Body::Append(append_to_wire::<R>(request));
        let frame = self.route.frame(self.ticket.id, self.sent + 1, body);
        let bytes = frame.encoded_len();
        // Before it is sent: the peer may have it while this thread is stopped here.
        let sent_at = R::Instant::now();
        self.route.send(Lane::Log, frame)?;
        if self.in_flight.is_empty() {
            self.progress = sent_at;
        }
        self.open = true;
        self.sent += 1;
        self.bytes += bytes;
        self.in_flight.push_back(InFlight { bytes, sent_at });
        Ok(())
    }

    fn answer(&mut self, answer: Option<Frame>) -> Answer<R> {
        let Some(frame) = answer else {
            self.open = false;
            return Err(unreachable("the link broke"));
        };
        let expected = self.sent + 1 - self.in_flight.len() as u64;
        let reply = match frame.body {
            Some(Body::AppendReply(reply)) if frame.seq == expected => reply,
            Some(body) => return Err(unexpected(body)),
            None => return Err(unreachable("an empty reply")),
        };
        self.bytes -= self.in_flight.pop_front().map_or(0, |answered| answered.bytes);
        self.progress = R::Instant::now();
        append_reply_from_wire::<R>(reply).map_err(unreachable)
    }
}

impl<R: Runtime, S> Drop for Session<'_, R, S> {
    fn drop(&mut self) {
        if self.open {
            let frame = self.route.frame(self.ticket.id, self.sent + 1, Body::Close(CloseStream {}));
            // A link that cannot take it is breaking, and ends the stream by that.
            drop(self.route.send(Lane::Log, frame));
        }
    }
}
