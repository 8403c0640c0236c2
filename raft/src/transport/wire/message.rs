//! openraft's requests and answers as frame bodies.

use openraft::SnapshotMeta;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use rowhouse_proto::wire::raft as wire;
use rowhouse_proto::wire::transport::v1::frame::Body;
use rowhouse_proto::wire::transport::v1::{AppendReply, Frame, Rejected, TransferReply, append_reply};

use crate::codec::{
    LogId, Vote, entry_from_wire, entry_to_wire, log_id_from_wire, log_id_to_wire, vote_from_wire,
    vote_to_wire,
};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::{RaftTypes, Replica, ReplicaId};

type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, ReplicaId>;
/// A snapshot's log id and membership.
pub(in crate::transport) type Meta = SnapshotMeta<LeaderId, ReplicaId, Replica>;
/// openraft's append request under our types.
pub(in crate::transport) type AppendOf<R> = AppendEntriesRequest<RaftTypes<R>>;

fn vote(field: Option<&wire::Vote>) -> Result<Vote, Error> {
    field.map(vote_from_wire).ok_or_else(|| Error::corrupt("a frame", "it has no vote"))
}

fn log_id(field: Option<&wire::LogId>) -> Option<LogId> {
    field.map(log_id_from_wire)
}

pub(in crate::transport) fn append_to_wire<R: Runtime>(
    request: &AppendEntriesRequest<RaftTypes<R>>,
) -> wire::AppendRequest {
    wire::AppendRequest {
        vote: Some(vote_to_wire(&request.vote)),
        prev_log_id: request.prev_log_id.as_ref().map(log_id_to_wire),
        entries: request.entries.iter().map(entry_to_wire).collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id_to_wire),
    }
}

pub(in crate::transport) fn append_from_wire<R: Runtime>(
    request: wire::AppendRequest,
) -> Result<AppendEntriesRequest<RaftTypes<R>>, Error> {
    Ok(AppendEntriesRequest {
        vote: vote(request.vote.as_ref())?,
        prev_log_id: log_id(request.prev_log_id.as_ref()),
        entries: request.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?,
        leader_commit: log_id(request.leader_commit.as_ref()),
    })
}

pub(in crate::transport) fn append_reply_to_wire<R: Runtime>(
    result: &StreamAppendResult<RaftTypes<R>>,
) -> AppendReply {
    use append_reply::{Conflict, Matched, Result as Outcome};
    let result = match result {
        Ok(matched) => Outcome::Matched(Matched { log_id: matched.as_ref().map(log_id_to_wire) }),
        Err(StreamAppendError::Conflict(at)) => {
            Outcome::Conflict(Conflict { log_id: Some(log_id_to_wire(at)) })
        }
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote_to_wire(vote)),
    };
    AppendReply { result: Some(result) }
}

pub(in crate::transport) fn append_reply_from_wire<R: Runtime>(
    reply: AppendReply,
) -> Result<StreamAppendResult<RaftTypes<R>>, Error> {
    use append_reply::Result as Outcome;
    match reply.result {
        Some(Outcome::Matched(matched)) => Ok(Ok(log_id(matched.log_id.as_ref()))),
        Some(Outcome::Conflict(conflict)) => log_id(conflict.log_id.as_ref())
            .map(|at| Err(StreamAppendError::Conflict(at)))
            .ok_or_else(|| Error::corrupt("a frame", "a conflict has no log id")),
        Some(Outcome::HigherVote(vote)) => Ok(Err(StreamAppendError::HigherVote(vote_from_wire(&vote)))),
        None => Err(Error::corrupt("a frame", "an append reply says nothing")),
    }
}

pub(in crate::transport) fn vote_request_to_wire<R: Runtime>(
    request: &VoteRequest<RaftTypes<R>>,
) -> wire::VoteRequest {
    wire::VoteRequest {
        vote: Some(vote_to_wire(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id_to_wire),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(in crate::transport) fn vote_request_from_wire<R: Runtime>(
    request: &wire::VoteRequest,
) -> Result<VoteRequest<RaftTypes<R>>, Error> {
    Ok(VoteRequest {
        vote: vote(request.vote.as_ref())?,
        last_log_id: log_id(request.last_log_id.as_ref()),
        leadership_transfer: request.leadership_transfer,
    })
}

pub(in crate::transport) fn vote_response_to_wire<R: Runtime>(
    response: &VoteResponse<RaftTypes<R>>,
) -> wire::VoteResponse {
    wire::VoteResponse {
        vote: Some(vote_to_wire(&response.vote)),
        last_log_id: response.last_log_id.as_ref().map(log_id_to_wire),
        granted: response.vote_granted,
    }
}

pub(in crate::transport) fn vote_response_from_wire<R: Runtime>(
    response: &wire::VoteResponse,
) -> Result<VoteResponse<RaftTypes<R>>, Error> {
    Ok(VoteResponse {
        vote: vote(response.vote.as_ref())?,
        vote_granted: response.granted,
        last_log_id: log_id(response.last_log_id.as_ref()),
    })
}

pub(in crate::transport) fn transfer_to_wire<R: Runtime>(
    request: &TransferLeaderRequest<RaftTypes<R>>,
) -> wire::TransferLeaderRequest {
    wire::TransferLeaderRequest {
        from_leader: Some(vote_to_wire(request.from_leader())),
        to_replica: *request.to_node_id(),
        last_log_id: request.last_log_id().map(log_id_to_wire),
    }
}

pub(in crate::transport) fn transfer_from_wire<R: Runtime>(
    request: &wire::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<RaftTypes<R>>, Error> {
    let from = vote(request.from_leader.as_ref())?;
    Ok(TransferLeaderRequest::new(from, request.to_replica, log_id(request.last_log_id.as_ref())))
}

pub(in crate::transport) fn transfer_reply_to_wire<R: Runtime>(
    response: &TransferLeaderResponse<RaftTypes<R>>,
) -> TransferReply {
    let detail = response.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let (actual_vote, actual_last_log_id) = match response {
        Ok(()) => (None, None),
        Err(TransferLeaderError::VoteChanged { actual, .. }) => (Some(vote_to_wire(actual)), None),
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => (None, actual.as_ref().map(log_id_to_wire)),
    };
    TransferReply { accepted: response.is_ok(), detail, actual_vote, actual_last_log_id }
}

pub(in crate::transport) fn transfer_reply_from_wire<R: Runtime>(
    request: &TransferLeaderRequest<RaftTypes<R>>,
    reply: &TransferReply,
) -> TransferLeaderResponse<RaftTypes<R>> {
    if reply.accepted {
        return Ok(());
    }
    Err(match &reply.actual_vote {
        Some(actual) => TransferLeaderError::VoteChanged {
            expected: *request.from_leader(),
            actual: vote_from_wire(actual),
        },
        None => TransferLeaderError::LogNotFlushed {
            expected: request.last_log_id().copied(),
            actual: log_id(reply.actual_last_log_id.as_ref()),
        },
    })
}

/// The frame that answers `request`: same ids, the other way round.
pub(in crate::transport) fn answer(request: &Frame, body: Body) -> Frame {
    Frame {
        group: request.group,
        from_replica: request.to_replica,
        to_replica: request.from_replica,
        stream: request.stream,
        seq: request.seq,
        body: Some(body),
    }
}

/// `fatal` if asking again is no use: the replica is not here, or stopped.
pub(in crate::transport) fn rejected(why: impl Into<String>, fatal: bool) -> Body {
    Body::Rejected(Rejected { why: why.into(), fatal })
}
