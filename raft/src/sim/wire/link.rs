//! One simulated link, from dialling to its end, and one snapshot transfer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use openraft::Instant;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};

use super::net::{LinkKey, NewLink, SimNet};
use crate::runtime::Runtime;
use crate::transport::Batcher;
use crate::transport::{FrameReceiver, LinkError, NodeUuid, frame_queue};

/// How often an idle link looks whether it is cut: a keepalive.
const KEEPALIVE: Duration = Duration::from_millis(500);
/// Frames under way in one direction; more wait in the sender's queue, as with TCP's window.
const UNDER_WAY_MAX: usize = 1024;

/// Runs a link that the `incarnation` of its caller dialled, until it ends.
pub(super) async fn run<R: Runtime>(net: SimNet<R>, incarnation: u64, link: NewLink) {
    let NewLink { key, id, frames, broken } = link;
    let (from, to, lane) = key;
    // Only ever closed, never given permits.
    drop(R::select2(broken.acquire(), carry(&net, key, frames)).await);
    // The queue is closed now; what is sent before the link is forgotten fails at once.
    if let Some((inbox, now)) = net.inbox(from)
        && now == incarnation
    {
        inbox.link_lost(to, lane);
    }
    net.forget(key, id);
}

async fn carry<R: Runtime>(net: &SimNet<R>, (from, to, lane): LinkKey, frames: FrameReceiver) {
    R::sleep(net.delay()).await;
    if !net.passes(from, to) || !net.passes(to, from) {
        return R::sleep(net.patience()).await;
    }
    let (Some((callee, _)), Some((caller, _))) = (net.inbox(to), net.inbox(from)) else { return };
    let (replies, answers) = frame_queue();
    let mut inbound = match callee.accept(from, lane, caller.lease_terms(), replies) {
        Ok(inbound) => inbound,
        Err(error) => return tracing::warn!(?from, ?to, %lane, %error, "link refused"),
    };
    let caller = Arc::downgrade(&caller);
    drop(callee);
    let there = convey(net, from, to, frames, move |frame| inbound.request(frame));
    let back = convey(net, to, from, answers, move |frame| {
        if let Some(caller) = caller.upgrade() {
            caller.reply(to, frame);
        }
    });
    R::select3(there, back, keepalive(net, from, to)).await;
}

async fn keepalive<R: Runtime>(net: &SimNet<R>, from: NodeUuid, to: NodeUuid) {
    while net.passes(from, to) && net.passes(to, from) {
        R::sleep(KEEPALIVE).await;
    }
    R::sleep(net.patience()).await;
}

/// Carries one direction of a link until it breaks or its senders are gone.
async fn convey<R: Runtime>(
    net: &SimNet<R>,
    from: NodeUuid,
    to: NodeUuid,
    frames: FrameReceiver,
    mut deliver: impl FnMut(Frame) + Send,
) {
    // A stream, because a batch being gathered must survive a deadline.
    let batches = futures::stream::unfold(Batcher::<R>::new(frames), |mut batcher| async move {
        batcher.next().await.map(|batch| (batch, batcher))
    });
    let mut batches = std::pin::pin!(batches);
    let mut under_way: VecDeque<(R::Instant, Frame)> = VecDeque::new();
    loop {
        let first = under_way.front().map(|(due, _)| *due);
        let next = match first {
            None => match batches.next().await {
                Some(batch) => Some(batch),
                None => return,
            },
            Some(due) if under_way.len() >= UNDER_WAY_MAX => {
                R::sleep_until(due).await;
                None
            }
            // A queue whose senders are gone still empties.
            Some(due) => match R::timeout_at(due, batches.next()).await {
                Ok(Some(batch)) => Some(batch),
                Ok(None) => {
                    R::sleep_until(due).await;
                    None
                }
                Err(_) => None,
            },
        };
        if let Some(batch) = next {
            let soonest = R::Instant::now() + net.delay();
            let due = under_way.back().map_or(soonest, |(last, _)| soonest.max(*last));
            under_way.extend(batch.into_iter().map(|frame| (due, frame)));
            continue;
        }
        let Some((_, frame)) = under_way.pop_front() else { continue };
        if !net.passes(from, to) {
            return R::sleep(net.patience()).await;
        }
        if net.resets() {
            return;
        }
        deliver(frame);
    }
}

/// Carries one snapshot, chunk by chunk, and its reply.
pub(super) fn snapshot<R: Runtime>(
    net: SimNet<R>,
    (from, incarnation): (NodeUuid, u64),
    to: NodeUuid,
    chunks: BoxStream<'static, SnapshotChunk>,
) -> BoxFuture<'static, Result<SnapshotReply, LinkError>> {
    async move {
        let down = || LinkError::Down("the simulated link broke".to_owned());
        R::sleep(net.delay()).await;
        let (callee, theirs) = net.inbox(to).ok_or_else(down)?;
        let ends = [(from, incarnation), (to, theirs)];
        let (source, broken) = (net.clone(), Arc::new(AtomicBool::new(false)));
        let breaks = broken.clone();
        let arriving = futures::stream::unfold(Some(chunks), move |chunks| {
            let (net, breaks) = (source.clone(), breaks.clone());
            async move {
                let mut chunks = chunks?;
                let chunk = chunks.next().await?;
                R::sleep(net.chunk_delay()).await;
                if !intact(&net, ends) || net.resets_snapshot() {
                    net.snapshot_broke();
                    breaks.store(true, Ordering::Relaxed);
                    return Some((Err(LinkError::Down("the simulated link broke".to_owned())), None));
                }
                if let Some(Body::Data(data)) = &chunk.body {
                    net.snapshot_chunk(data.len());
                }
                Some((Ok(chunk), Some(chunks)))
            }
        });
        let reply = callee.snapshot(from, arriving.boxed());
        drop(callee);
        let reply = reply.await;
        R::sleep(net.delay()).await;
        let [(from, _), (to, _)] = ends;
        let whole = !broken.load(Ordering::Relaxed) && intact(&net, ends);
        if whole && net.passes(to, from) { Ok(reply) } else { Err(down()) }
    }
    .boxed()
}

fn intact<R: Runtime>(net: &SimNet<R>, [from, to]: [(NodeUuid, u64); 2]) -> bool {
    net.passes(from.0, to.0) && net.lives(from.0, from.1) && net.lives(to.0, to.1) && !net.resets()
}
