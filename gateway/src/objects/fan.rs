//! The lanes of one upload together: who is still in it, who is dropped, and when a majority has room or
//! has everything.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll, select_all};
use rowhouse_proto::ErrorCode;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status};

use super::intake::Chunk;
use super::lane::{Event, Lane};
use crate::cluster::Group;

/// A replica that delays the others for this long, net, is dropped from the upload; repair brings it the body
/// later. A disk that syncs slowly takes tens of milliseconds, so this one is stuck, or not half as fast.
const LANE_STALL_MAX: Duration = Duration::from_secs(2);
/// Stall limit for a replica that was dropped from an upload in the last ten seconds.
const LAGGARD_STALL_MAX: Duration = Duration::from_millis(250);

/// One lane for each replica of the shard.
pub struct Fan {
    /// `None`: dropped from this upload.
    lanes: Vec<Option<Lane>>,
    events: SelectAll<BoxStream<'static, (usize, Event)>>,
    majority: usize,
    full_disks: usize,
    /// A majority that makes no step for this long is lost.
    patience: Duration,
}

impl Fan {
    /// Opens a lane to each replica of `group`. Nothing is sent before the first wait. `patience` bounds every wait
    /// for a majority.
    pub fn open(group: &Group, shard: u32, object: &Bytes, patience: Duration) -> Self {
        let opened = group.replicas().iter().map(|node| Lane::open(node, shard, object.clone()));
        let (lanes, events): (Vec<_>, Vec<_>) = opened
            .enumerate()
            .map(|(index, (lane, events))| (Some(lane), events.map(move |event| (index, event)).boxed()))
            .unzip();
        let majority = lanes.len() / 2 + 1;
        Self { lanes, events: select_all(events), majority, full_disks: 0, patience }
    }

    /// Until a majority has room for another chunk.
    pub async fn room(&mut self) -> Result<(), ErrorCode> {
        self.until(|fan| fan.count(Lane::has_room) >= fan.majority).await
    }

    /// Gives every lane the chunk, once none owes too many.
    pub async fn offer(&mut self, chunk: &Arc<Chunk>) -> Result<(), ErrorCode> {
        self.until(|fan| fan.live().all(Lane::may_owe_more)).await?;
        for lane in self.lanes.iter_mut().flatten() {
            lane.offer(Arc::clone(chunk));
        }
        Ok(())
    }

    /// After the last chunk: the replicas that hold every one of them, at least a majority.
    pub async fn finish(mut self) -> Result<Vec<u64>, ErrorCode> {
        for lane in self.lanes.iter_mut().flatten() {
            lane.close();
        }
        self.until(|fan| fan.count(Lane::is_complete) >= fan.majority).await?;
        // The rest is worth a short wait: what it has now need not be repaired later. No more than that.
        let late = self.live().filter(|lane| !lane.is_complete());
        let wait = late.map(stall_max).max().unwrap_or_default();
        let _ = timeout(wait, self.until(|fan| fan.live().all(Lane::is_complete))).await;
        for lane in self.live() {
            if lane.is_complete() {
                lane.node.caught_up();
            } else {
                tracing::warn!(node = lane.node.address(), "an upload has ended without a replica");
                lane.node.lagged();
            }
        }
        Ok(self.live().filter_map(Lane::holder).collect())
    }

    /// Waits for one event, while the client is waited for. May be dropped at any time without loss.
    pub async fn step(&mut self) -> Result<(), ErrorCode> {
        self.next(false).await
    }

    /// Waits for one event, or for a lane to be given up that others wait for.
    async fn next(&mut self, waited_for: bool) -> Result<(), ErrorCode> {
        if self.live().count() < self.majority {
            return Err(self.verdict());
        }
        let given_up = self.watch_laggards(waited_for);
        let event = match given_up {
            Some(at) => timeout_at(at, self.events.next()).await,
            None => Ok(self.events.next().await),
        };
        match event {
            Ok(Some((index, event))) => self.take(index, event),
            // Every stream has ended: whoever waits here waits for what does not come.
            Ok(None) => std::future::pending().await,
            Err(_elapsed) => self.drop_laggards(),
        }
        if self.live().count() < self.majority { Err(self.verdict()) } else { Ok(()) }
    }

    async fn until(&mut self, reached: impl Fn(&Self) -> bool) -> Result<(), ErrorCode> {
        let patience = self.patience;
        let waiting = async {
            while !reached(self) {
                self.next(true).await?;
            }
            Ok(())
        };
        timeout(patience, waiting).await.unwrap_or(Err(ErrorCode::TooFewCopies))
    }

    fn live(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().flatten()
    }

    fn count(&self, which: impl Fn(&Lane) -> bool) -> usize {
        self.live().filter(|lane| which(lane)).count()
    }

    /// Which lanes the others wait for from now on. Returns when the first of them is given up.
    fn watch_laggards(&mut self, waited_for: bool) -> Option<Instant> {
        let now = Instant::now();
        let waiting = waited_for && self.count(Lane::owes_nothing) >= self.majority;
        for lane in self.lanes.iter_mut().flatten() {
            lane.judge(now, waiting && !lane.may_owe_more());
        }
        let held_up = self.live().filter(|lane| lane.holds_up());
        held_up.map(|lane| now + stall_max(lane).saturating_sub(lane.held_up)).min()
    }

    fn drop_laggards(&mut self) {
        let now = Instant::now();
        for index in 0..self.lanes.len() {
            let Some(lane) = &mut self.lanes[index] else { continue };
            lane.judge(now, lane.holds_up());
            if lane.holds_up() && lane.held_up >= stall_max(lane) {
                lane.node.lagged();
                self.give_up(index, "too far behind");
            }
        }
    }

    fn take(&mut self, index: usize, event: Event) {
        let Some(lane) = &mut self.lanes[index] else { return };
        match event {
            Event::Reply(reply) => {
                if !lane.acknowledge(reply) {
                    self.give_up(index, "an answer to nothing it was sent");
                }
            }
            Event::Ended(_) if lane.is_complete() => {}
            Event::Ended(status) => {
                let full = status.as_ref().is_some_and(|status| status.code() == Code::ResourceExhausted);
                self.full_disks += usize::from(full);
                self.give_up(index, status.as_ref().map_or("its stream ended", Status::message));
            }
        }
    }

    fn give_up(&mut self, index: usize, why: &str) {
        if let Some(lane) = self.lanes[index].take() {
            tracing::warn!(node = lane.node.address(), why, "a replica is left out of an upload");
        }
    }

    /// Why there is no majority.
    fn verdict(&self) -> ErrorCode {
        let with_disks_freed = self.live().count() + self.full_disks;
        if self.full_disks > 0 && with_disks_freed >= self.majority {
            ErrorCode::DiskFull
        } else {
            ErrorCode::TooFewCopies
        }
    }
}

fn stall_max(lane: &Lane) -> Duration {
    if lane.node.is_lagging() { LAGGARD_STALL_MAX } else { LANE_STALL_MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Admission, Node};
    use futures::stream;
    use rowhouse_peer::Dialer;
    use rowhouse_proto::chunks::Parcel;
    use rowhouse_proto::wire::chunk::{StageReply, StageRequest};
    use tokio::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(30);
    const SYNC: Duration = Duration::from_millis(20);

    /// A disk that answers each chunk after a while, or never.
    fn disk(
        queue: mpsc::Receiver<Parcel<StageRequest>>,
        sync: Option<Duration>,
    ) -> BoxStream<'static, Event> {
        let written = stream::unfold(queue, move |mut queue| async move {
            let request = queue.recv().await?;
            match sync {
                Some(sync) => tokio::time::sleep(sync).await,
                None => std::future::pending().await,
            }
            Some((Event::Reply(StageReply { index: request.head.index, replica: 1 }), queue))
        });
        written.boxed()
    }

    fn fan(nodes: &[Arc<Node>; 3], third: Option<Duration>) -> Fan {
        let disks = [Some(SYNC), Some(SYNC), third];
        let opened = nodes.iter().zip(disks).enumerate().map(|(index, (node, sync))| {
            let (lane, queue) = Lane::new(Arc::clone(node), 0, Bytes::from_static(&[0; 16]));
            (Some(lane), disk(queue, sync).map(move |event| (index, event)).boxed())
        });
        let (lanes, events): (Vec<_>, Vec<_>) = opened.unzip();
        Fan { lanes, events: select_all(events), majority: 2, full_disks: 0, patience: PATIENCE }
    }

    fn nodes() -> [Arc<Node>; 3] {
        [1, 2, 3].map(|port| {
            let node = Node::seed(&format!("127.0.0.1:{port}"), &Dialer::plaintext());
            Arc::new(node.expect("an address"))
        })
    }

    /// How long an upload of so many chunks takes, and how many hold it.
    async fn upload(mut fan: Fan, chunks: usize) -> (Duration, usize) {
        let started = Instant::now();
        let body = axum::body::Body::from(vec![0; chunks * rowhouse_proto::CHUNK_BYTES]);
        let admission = Admission::new(1, 0, usize::MAX);
        let mut intake = super::super::Intake::new(Vec::new(), body, admission, PATIENCE);
        while let Some(chunk) = intake.chunk().await.expect("read") {
            fan.room().await.expect("a majority");
            fan.offer(&chunk).await.expect("a majority");
        }
        let holders = fan.finish().await.expect("a majority");
        (started.elapsed(), holders.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_waited_for_once_in_a_while() {
        for chunks in [1, 16] {
            let nodes = nodes();
            assert_eq!(upload(fan(&nodes, Some(SYNC)), chunks).await.1, 3);
            let (first, holders) = upload(fan(&nodes, None), chunks).await;
            assert_eq!(holders, 2);
            assert!(first >= LANE_STALL_MAX && first < 2 * LANE_STALL_MAX, "{first:?}");
            for _ in 0..4 {
                let (next, holders) = upload(fan(&nodes, None), chunks).await;
                assert_eq!(holders, 2);
                assert!(next < 2 * LAGGARD_STALL_MAX + 32 * SYNC, "{next:?}");
            }
            assert_eq!(upload(fan(&nodes, Some(SYNC)), chunks).await.1, 3, "it may come back at any time");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_is_waited_for() {
        let nodes = nodes();
        for chunks in [1, 16, 500] {
            assert_eq!(upload(fan(&nodes, Some(SYNC + SYNC / 2)), chunks).await.1, 3, "{chunks} chunks");
        }
        assert_eq!(upload(fan(&nodes, Some(4 * SYNC)), 16).await.1, 3);
        assert!(!nodes[2].is_lagging());
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_is_not_half_as_fast_does_not_hold_up_a_long_upload() {
        let nodes = nodes();
        let (took, holders) = upload(fan(&nodes, Some(4 * SYNC)), 500).await;
        assert_eq!(holders, 2);
        assert!(took < 500 * SYNC + 2 * LANE_STALL_MAX, "{took:?}");
    }
}
