//! Requests of one dialled link: calls are answered each in a task of its own, append streams each by
//! one task in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use openraft::async_runtime::Select2;
use openraft::raft::VoteResponse;
use rowhouse_proto::wire::raft as wire;
use rowhouse_proto::wire::transport::v1::Frame;
use rowhouse_proto::wire::transport::v1::frame::Body;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::hosted::{Hosted, Seat};
use super::port::Ended;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::transport::wire::contract::Inbound;
use crate::transport::wire::lane::{Lane, NodeUuid, WINDOW_FRAMES};
use crate::transport::wire::message::{
    AppendOf, answer, append_from_wire, append_reply_to_wire, rejected, transfer_from_wire,
    transfer_reply_to_wire, vote_request_from_wire, vote_response_to_wire,
};
use crate::transport::wire::queue::FrameSender;

/// Append streams one peer may hold open here: one per group it leads, with room for their successors.
pub const STREAMS_PER_LINK_MAX: usize = 1024;
/// Calls of one peer answered at once: a vote and a heartbeat of every group.
pub const CALLS_PER_LINK_MAX: usize = 1024;

const NOT_HERE: &str = "this replica is not on this node";

pub(in crate::transport) struct InboundLink<R: Runtime> {
    hosted: Arc<Hosted<R>>,
    link: u64,
    peer: NodeUuid,
    lane: Lane,
    replies: FrameSender,
    calls: Arc<Semaphore>,
    streams: BTreeMap<u64, OpenStream<R>>,
}

/// The way to a stream's task; dropping it ends the stream.
struct OpenStream<R: Runtime> {
    requests: mpsc::Sender<AppendOf<R>>,
    last_seq: u64,
}

impl<R: Runtime> InboundLink<R> {
    pub(in crate::transport) fn new(
        hosted: Arc<Hosted<R>>,
        link: u64,
        peer: NodeUuid,
        lane: Lane,
        replies: FrameSender,
    ) -> Self {
        let calls = Arc::new(Semaphore::new(CALLS_PER_LINK_MAX));
        Self { hosted, link, peer, lane, replies, calls, streams: BTreeMap::new() }
    }

    /// Answers at once. A full queue loses the answer: the caller's deadline covers it.
    fn refuse(&self, frame: &Frame, why: impl Into<String>, fatal: bool) {
        let why = why.into();
        tracing::debug!(link = self.link, lane = %self.lane, group = frame.group, %why, "frame refused");
        drop(self.replies.try_send(answer(frame, rejected(why, fatal))));
    }

    fn call(&mut self, mut frame: Frame) {
        let Some(seat) = self.hosted.find(frame.group, frame.to_replica, frame.from_replica) else {
            return self.refuse(&frame, NOT_HERE, true);
        };
        let Ok(permit) = self.calls.clone().try_acquire_owned() else {
            return self.refuse(&frame, "too many calls at once", false);
        };
        let Some(body) = frame.body.take() else { return };
        let replies = self.replies.clone();
        drop(R::spawn(async move {
            let _permit = permit;
            let body = match respond(&seat, body).await {
                Ok(body) => body,
                Err(CallError::Ended(ended)) => rejected(ended.to_string(), true),
                Err(CallError::Malformed(error)) => rejected(error.to_string(), false),
            };
            // A link that is gone has told the caller already.
            drop(replies.send(answer(&frame, body)).await);
        }));
    }

    fn append(&mut self, mut frame: Frame, request: wire::AppendRequest) {
        if frame.seq == 1 {
            match self.open(&frame) {
                Ok(stream) => drop(self.streams.insert(frame.stream, stream)),
                Err((why, fatal)) => return self.refuse(&frame, why, fatal),
            }
        }
        frame.body = None;
        let Some(stream) = self.streams.get_mut(&frame.stream) else {
            // It ended here, with a conflict perhaps, while this frame was on its way.
            return self.refuse(&frame, "no such stream", false);
        };
        stream.last_seq += 1;
        let in_order = stream.last_seq == frame.seq;
        let why = match append_from_wire::<R>(request) {
            Ok(_) if !in_order => "a frame of the stream is missing".to_owned(),
            Ok(request) => match stream.requests.try_send(request) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => "the window is exceeded".to_owned(),
                Err(mpsc::error::TrySendError::Closed(_)) => "the stream has ended".to_owned(),
            },
            Err(malformed) => malformed.to_string(),
        };
        self.streams.remove(&frame.stream);
        self.refuse(&frame, why, false);
    }

    fn open(&mut self, frame: &Frame) -> Result<OpenStream<R>, (&'static str, bool)> {
        self.streams.retain(|_, stream| !stream.requests.is_closed());
        if self.streams.len() >= STREAMS_PER_LINK_MAX {
            return Err(("too many streams", false));
        }
        let seat =
            self.hosted.find(frame.group, frame.to_replica, frame.from_replica).ok_or((NOT_HERE, true))?;
        let (requests, receiver) = mpsc::channel(WINDOW_FRAMES);
        let head = Frame { body: None, ..frame.clone() };
        drop(R::spawn(serve_stream(seat, receiver, head, self.replies.clone())));
        Ok(OpenStream { requests, last_seq: 0 })
    }
}

impl<R: Runtime> Inbound for InboundLink<R> {
    fn request(&mut self, mut frame: Frame) {
        match (self.lane, frame.body.take()) {
            (Lane::Log, Some(Body::Append(request))) => self.append(frame, request),
            (Lane::Log, Some(Body::Close(_))) => drop(self.streams.remove(&frame.stream)),
            (
                Lane::Control,
                Some(body @ (Body::Append(_) | Body::Vote(_) | Body::PreVote(_) | Body::Transfer(_))),
            ) => {
                frame.body = Some(body);
                self.call(frame);
            }
            _ => self.refuse(&frame, "not a request of this lane", false),
        }
    }
}

impl<R: Runtime> Drop for InboundLink<R> {
    fn drop(&mut self) {
        tracing::debug!(link = self.link, lane = %self.lane, peer = ?self.peer, "inbound link ended");
    }
}

enum CallError {
    Malformed(Error),
    Ended(Ended),
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Malformed(error)
    }
}

impl From<Ended> for CallError {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

async fn respond<R: Runtime>(seat: &Seat<R>, request: Body) -> Result<Body, CallError> {
    match request {
        Body::Append(request) => {
            let result = seat.port.append(append_from_wire::<R>(request)?).await?;
            Ok(Body::AppendReply(append_reply_to_wire::<R>(&result)))
        }
        Body::Vote(request) => vote(seat, &request, false).await,
        Body::PreVote(request) => vote(seat, &request, true).await,
        Body::Transfer(request) => {
            let response = seat.port.transfer_leader(transfer_from_wire::<R>(&request)?).await?;
            Ok(Body::TransferReply(transfer_reply_to_wire::<R>(&response)))
        }
        _ => Err(Error::corrupt("a frame", "it is not a call").into()),
    }
}

async fn vote<R: Runtime>(seat: &Seat<R>, request: &wire::VoteRequest, pre: bool) -> Result<Body, CallError> {
    let request = vote_request_from_wire::<R>(request)?;
    let response = if seat.guard.refuses(&request) {
        VoteResponse::new(seat.port.held_vote(), None, false)
    } else if pre {
        seat.port.pre_vote(request).await?
    } else {
        seat.port.vote(request).await?
    };
    Ok(Body::VoteReply(vote_response_to_wire::<R>(&response)))
}

/// Feeds one stream to its replica and sends the answers in order. Ends with the stream, the replica,
/// the link, or the first answer that is not a match.
async fn serve_stream<R: Runtime>(
    seat: Seat<R>,
    requests: mpsc::Receiver<AppendOf<R>>,
    mut head: Frame,
    replies: FrameSender,
) {
    let mut answers = seat.port.append_stream(ReceiverStream::new(requests).boxed());
    head.seq = 0;
    let mut told = None;
    loop {
        head.seq += 1;
        let mut news = true;
        let body = match R::select2(seat.open.acquire(), answers.next()).await {
            Select2::First(_) => rejected(NOT_HERE, true),
            Select2::Second(None) => return,
            Select2::Second(Some(Err(ended))) => rejected(ended.to_string(), true),
            Select2::Second(Some(Ok(result))) => {
                let matched = result.as_ref().ok().copied();
                news = matched.is_none() || matched != told;
                told = matched;
                Body::AppendReply(append_reply_to_wire::<R>(&result))
            }
        };
        let last = matches!(body, Body::Rejected(_));
        let frame = answer(&head, body);
        let sent = if news { replies.send(frame).await } else { replies.send_lingering(frame).await };
        if sent.is_err() || last {
            return;
        }
    }
}
