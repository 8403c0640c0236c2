//! openraft's network: the way from one replica to another.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    SnapshotResponse, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{AnyError, OptionalSend};
use rowhouse_proto::wire::transport::v1::Frame;
use rowhouse_proto::wire::transport::v1::frame::Body;

use super::append;
use super::hub::Outgoing;
use super::message::{
    append_reply_from_wire, append_to_wire, transfer_reply_from_wire, transfer_to_wire, vote_request_to_wire,
    vote_response_from_wire,
};
use super::port::AppendOf;
use super::wire::{Lane, LinkError, NodeUuid};
use crate::codec::Vote;
use crate::runtime::Runtime;
use crate::state::SnapshotData;
use crate::{GroupId, RaftTypes, Replica, ReplicaId};

/// First pause after a peer was unreachable; a lost link is redialled at once.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Longest pause: a healed peer is found again within about this.
const BACKOFF_MAX: Duration = Duration::from_millis(800);

type C<R> = RaftTypes<R>;

/// Makes the ways out of one replica. Heartbeats go by the control lane, entries by the log lane.
pub struct GroupNetworkFactory<R: Runtime> {
    out: Arc<Outgoing<R>>,
    group: GroupId,
    from: ReplicaId,
}

impl<R: Runtime> GroupNetworkFactory<R> {
    pub(super) fn new(out: Arc<Outgoing<R>>, group: GroupId, from: ReplicaId) -> Self {
        Self { out, group, from }
    }

    fn network(&self, to: ReplicaId, replica: &Replica, appends: Lane) -> GroupNetwork<R> {
        GroupNetwork {
            out: self.out.clone(),
            group: self.group,
            from: self.from,
            to,
            peer: replica.node_uuid,
            appends,
        }
    }
}

impl<R: Runtime> RaftNetworkFactory<C<R>> for GroupNetworkFactory<R> {
    type Network = GroupNetwork<R>;

    async fn new_client(&mut self, target: ReplicaId, node: &Replica) -> GroupNetwork<R> {
        self.network(target, node, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: ReplicaId, node: &Replica) -> GroupNetwork<R> {
        self.network(target, node, Lane::Control)
    }
}

/// The way from one replica to another.
pub struct GroupNetwork<R: Runtime> {
    pub(super) out: Arc<Outgoing<R>>,
    group: GroupId,
    from: ReplicaId,
    to: ReplicaId,
    pub(super) peer: NodeUuid,
    /// Where appends go.
    appends: Lane,
}

impl<R: Runtime> GroupNetwork<R> {
    pub(super) fn frame(&self, stream: u64, seq: u64, body: Body) -> Frame {
        Frame {
            group: self.group.into(),
            from_replica: self.from,
            to_replica: self.to,
            stream,
            seq,
            body: Some(body),
        }
    }

    /// One frame each way on the control lane.
    async fn call(&self, body: Body, option: &RPCOption) -> Result<Body, LinkError> {
        let mut ticket = self.out.pending.register(self.peer, Lane::Control, 1);
        self.out.wire.send(self.peer, Lane::Control, self.frame(ticket.id, 0, body))?;
        match R::timeout(option.soft_ttl(), ticket.replies.recv()).await {
            Ok(Some(reply)) => reply.body.ok_or_else(|| LinkError::Down("an empty reply".to_owned())),
            Ok(None) => Err(LinkError::Down("the link broke".to_owned())),
            Err(_) => Err(LinkError::Down("no answer in time".to_owned())),
        }
    }

    async fn ask_vote(&self, body: Body, option: &RPCOption) -> Result<VoteResponse<C<R>>, RPCError<C<R>>> {
        match self.call(body, option).await.map_err(unreachable)? {
            Body::VoteReply(response) => vote_response_from_wire::<R>(&response).map_err(unreachable),
            other => Err(unexpected(other)),
        }
    }

    async fn heartbeat(
        &self,
        request: AppendOf<R>,
        option: &RPCOption,
    ) -> Result<StreamAppendResult<C<R>>, RPCError<C<R>>> {
        let body = Body::Append(append_to_wire::<R>(&request));
        match self.call(body, option).await.map_err(unreachable)? {
            Body::AppendReply(reply) => append_reply_from_wire::<R>(reply).map_err(unreachable),
            other => Err(unexpected(other)),
        }
    }
}

/// openraft backs off for this error only, so everything that says "not now" is this one.
pub(super) fn unreachable<R: Runtime>(error: impl ToString) -> RPCError<C<R>> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(error)))
}

pub(super) fn unexpected<R: Runtime>(body: Body) -> RPCError<C<R>> {
    match body {
        Body::Rejected(rejected) => unreachable(format!("rejected: {}", rejected.why)),
        _ => unreachable("a reply of another kind"),
    }
}

impl<R: Runtime> NetVote<C<R>> for GroupNetwork<R> {
    async fn vote(
        &mut self,
        request: VoteRequest<C<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<C<R>>, RPCError<C<R>>> {
        self.ask_vote(Body::Vote(vote_request_to_wire::<R>(&request)), &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<C<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<C<R>>, RPCError<C<R>>> {
        self.ask_vote(Body::PreVote(vote_request_to_wire::<R>(&request)), &option).await
    }
}

impl<R: Runtime> NetStreamAppend<C<R>> for GroupNetwork<R> {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<C<R>>, RPCError<C<R>>>>, RPCError<C<R>>>>
    where
        S: Stream<Item = AppendOf<R>> + OptionalSend + Unpin + 'static,
    {
        let this = &*self;
        async move {
            Ok(match this.appends {
                Lane::Log => append::stream(this, input),
                // A heartbeat is a stream of one: a call needs no stream at the other end.
                Lane::Control => futures::stream::unfold(Some((input, option)), move |state| async move {
                    let (mut input, option) = state?;
                    let result = this.heartbeat(input.next().await?, &option).await;
                    let rest = matches!(result, Ok(Ok(_))).then_some((input, option));
                    Some((result, rest))
                })
                .boxed(),
            })
        }
        .boxed()
    }
}

impl<R: Runtime> NetTransferLeader<C<R>> for GroupNetwork<R> {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C<R>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C<R>>, RPCError<C<R>>> {
        let body = Body::Transfer(transfer_to_wire::<R>(&request));
        match self.call(body, &option).await.map_err(unreachable)? {
            Body::TransferReply(reply) => Ok(transfer_reply_from_wire::<R>(&request, &reply)),
            other => Err(unexpected(other)),
        }
    }
}

impl<R: Runtime> NetSnapshot<C<R>> for GroupNetwork<R> {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<
            openraft::impls::leader_id_adv::LeaderId<u64, ReplicaId>,
            ReplicaId,
            Replica,
            SnapshotData,
        >,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<C<R>>, StreamingError<C<R>>> {
        let header =
            super::bulk::header(self.group, self.from, self.to, self.out.terms, &vote, &snapshot.meta);
        let wire = self.out.wire.as_ref();
        let transfer = self.out.bulk.send(wire, self.peer, header, snapshot.snapshot, option.hard_ttl());
        match R::select2(cancel, transfer).await {
            openraft::async_runtime::Select2::First(closed) => Err(closed.into()),
            openraft::async_runtime::Select2::Second(sent) => {
                sent.map(SnapshotResponse::new).map_err(|error| unreachable(error).into())
            }
        }
    }
}

impl<R: Runtime> NetBackoff<C<R>> for GroupNetwork<R> {
    fn backoff(&self) -> Option<Backoff> {
        let pauses = std::iter::successors(Some(BACKOFF_FIRST), |pause| Some((*pause * 2).min(BACKOFF_MAX)));
        // Up to a quarter on top, so that the groups of a node do not return in step.
        Some(Backoff::new(
            pauses.map(|pause| pause + pause.mul_f64(R::random_u64() as f64 / u64::MAX as f64 / 4.0)),
        ))
    }
}
