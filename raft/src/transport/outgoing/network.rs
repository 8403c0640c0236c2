//! openraft's network: the way from one replica to another.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openraft::async_runtime::Select2;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    SnapshotResponse, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{LogIdOptionExt, OptionalSend, RPCTypes};
use rowhouse_proto::Spread;
use rowhouse_proto::wire::transport::v1::frame::Body;

use super::append;
use super::route::{Route, unexpected, unreachable};
use super::shared::Outgoing;
use super::snapshot::header;
use crate::codec::Vote;
use crate::runtime::Runtime;
use crate::state::SnapshotData;
use crate::transport::wire::lane::{Lane, LinkError};
use crate::transport::wire::message::{
    AppendOf, append_reply_from_wire, append_to_wire, transfer_reply_from_wire, transfer_to_wire,
    vote_request_to_wire, vote_response_from_wire,
};
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
    pub(in crate::transport) fn new(out: Arc<Outgoing<R>>, group: GroupId, from: ReplicaId) -> Self {
        Self { out, group, from }
    }

    fn network(&self, to: ReplicaId, replica: &Replica, appends: Lane) -> GroupNetwork<R> {
        let (out, group, from, peer) = (self.out.clone(), self.group, self.from, replica.node_uuid);
        GroupNetwork { route: Route { out, group, from, to, peer }, appends }
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
    route: Route<R>,
    /// Where appends go.
    appends: Lane,
}

impl<R: Runtime> GroupNetwork<R> {
    /// One frame each way on the control lane.
    async fn call(&self, body: Body, option: &RPCOption) -> Result<Body, LinkError> {
        let mut ticket = self.route.register(Lane::Control, 1);
        self.route.send(Lane::Control, self.route.frame(ticket.id, 0, body))?;
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
                Lane::Log => append::stream(&this.route, input),
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
        let Route { out, group, from, to, peer } = &self.route;
        let Some(permit) = out.bulk.permits.claim(*to) else {
            // While it waits it would go out of date, and keep the store from forgetting: openraft opens another
            // at once after this error, when there is a permit.
            drop(snapshot);
            return Err(match R::select2(cancel, out.bulk.permits.wait::<R>(*to)).await {
                Select2::First(closed) => closed.into(),
                Select2::Second(()) => waited::<R>(*from, *to, option.hard_ttl()).into(),
            });
        };
        let hold = out.holds.hold(*group, *from, snapshot.meta.last_log_id.next_index());
        let header = header(*group, *from, *to, out.terms, &vote, &snapshot.meta);
        let transfer = async {
            let sent = out.bulk.send(out.wire.as_ref(), *peer, header, snapshot.snapshot).await;
            drop((permit, hold));
            if let Err(error) = &sent {
                R::sleep(error.pause()).await;
            }
            sent
        };
        match R::select2(cancel, transfer).await {
            Select2::First(closed) => Err(closed.into()),
            Select2::Second(sent) => {
                sent.map(SnapshotResponse::new).map_err(|error| unreachable(error).into())
            }
        }
    }
}

/// openraft tries again after this error without a pause.
fn waited<R: Runtime>(id: ReplicaId, target: ReplicaId, timeout: Duration) -> Timeout<C<R>> {
    Timeout { action: RPCTypes::InstallSnapshot, id, target, timeout }
}

impl<R: Runtime> NetBackoff<C<R>> for GroupNetwork<R> {
    fn backoff(&self) -> Option<Backoff> {
        // Spread, so that the groups of a node do not return in step.
        let mut pauses = rowhouse_proto::Backoff::new(BACKOFF_FIRST, BACKOFF_MAX, Spread::QuarterOnTop);
        Some(Backoff::new(std::iter::repeat_with(move || pauses.pause(R::random_u64()))))
    }
}
