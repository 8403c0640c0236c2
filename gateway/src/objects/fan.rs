//! The lanes of one upload together: who is still in it, who is dropped, and when a majority has room or
//! has everything.
//!
//! While a replica of the shard moves, the new one has a lane like the others, and a majority is one of the replicas as
//! they are and one as they will be: whichever of them vote when the put is applied, enough of them have the body
//! (docs/rules/storage.md#copies-are-judged-where-the-entry-stands).

use std::collections::BTreeSet;
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
use crate::cluster::{Group, VoterSet};

/// A replica that delays the others for this long, net, is dropped from the upload; repair brings it the body
/// later. A disk that syncs slowly takes tens of milliseconds, so this one is stuck, or not half as fast.
const LANE_STALL_MAX: Duration = Duration::from_secs(2);
/// Stall limit for a replica that was dropped from an upload in the last ten seconds.
const LAGGARD_STALL_MAX: Duration = Duration::from_millis(250);

/// One lane for each replica of the shard, the one on its way in too.
pub struct Fan {
    /// `None`: dropped from this upload.
    lanes: Vec<Option<Lane>>,
    events: SelectAll<BoxStream<'static, (usize, Event)>>,
    /// A majority of each is enough.
    voter_sets: Vec<VoterSet>,
    /// The lanes that were lost to a full disk.
    full_disks: BTreeSet<usize>,
    /// A majority that makes no step for this long is lost.
    patience: Duration,
}

impl Fan {
    /// Opens a lane to each place of `group`. Nothing is sent before the first wait. `patience` bounds every wait
    /// for a majority.
    pub fn open(group: &Group, shard: u32, object: &Bytes, patience: Duration) -> Self {
        let opened = group.places().iter().map(|node| Lane::open(node, shard, object.clone()));
        let (lanes, events): (Vec<_>, Vec<_>) = opened
            .enumerate()
            .map(|(index, (lane, events))| (Some(lane), events.map(move |event| (index, event)).boxed()))
            .unzip();
        Self::new(lanes, events, group.voter_sets().to_vec(), patience)
    }

    fn new(
        lanes: Vec<Option<Lane>>,
        events: Vec<BoxStream<'static, (usize, Event)>>,
        voter_sets: Vec<VoterSet>,
        patience: Duration,
    ) -> Self {
        Self { lanes, events: select_all(events), voter_sets, full_disks: BTreeSet::new(), patience }
    }

    /// Until a majority has room for another chunk.
    pub async fn room(&mut self) -> Result<(), ErrorCode> {
        self.until(|fan| fan.most(Lane::has_room)).await
    }

    /// Gives every lane the chunk, once none owes too many.
    pub async fn offer(&mut self, chunk: &Arc<Chunk>) -> Result<(), ErrorCode> {
        self.until(|fan| fan.live().all(Lane::may_owe_more)).await?;
        for lane in self.lanes.iter_mut().flatten() {
            lane.offer(Arc::clone(chunk));
        }
        Ok(())
    }

    /// After the last chunk: the replicas that hold every one of them, at least a majority of each set.
    pub async fn finish(mut self) -> Result<Vec<u64>, ErrorCode> {
        for lane in self.lanes.iter_mut().flatten() {
            lane.close();
        }
        self.until(|fan| fan.most(Lane::is_complete)).await?;
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
        if !self.most(|_| true) {
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
        if self.most(|_| true) { Ok(()) } else { Err(self.verdict()) }
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

    /// Whether such lanes are a majority of each set.
    fn most(&self, which: impl Fn(&Lane) -> bool) -> bool {
        self.most_at(|index| self.lanes[index].as_ref().is_some_and(&which))
    }

    fn most_at(&self, which: impl Fn(usize) -> bool) -> bool {
        let majority = |set: &VoterSet| set.members.iter().filter(|at| which(**at)).count() >= set.majority;
        self.voter_sets.iter().all(majority)
    }

    /// Which lanes the others wait for from now on. Returns when the first of them is given up.
    fn watch_laggards(&mut self, waited_for: bool) -> Option<Instant> {
        let now = Instant::now();
        let waiting = waited_for && self.most(Lane::owes_nothing);
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
                if full {
                    self.full_disks.insert(index);
                }
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
        let with_disks_freed = |at: usize| self.lanes[at].is_some() || self.full_disks.contains(&at);
        if !self.full_disks.is_empty() && self.most_at(with_disks_freed) {
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
        replica: u64,
        queue: mpsc::Receiver<Parcel<StageRequest>>,
        sync: Option<Duration>,
    ) -> BoxStream<'static, Event> {
        let written = stream::unfold(queue, move |mut queue| async move {
            let request = queue.recv().await?;
            match sync {
                Some(sync) => tokio::time::sleep(sync).await,
                None => std::future::pending().await,
            }
            Some((Event::Reply(StageReply { index: request.head.index, replica }), queue))
        });
        written.boxed()
    }

    fn fan(nodes: &[Arc<Node>], third: Option<Duration>) -> Fan {
        fan_of(&nodes[..3], &[Some(SYNC), Some(SYNC), third], &[&[0, 1, 2]])
    }

    /// Replica n is at position n, and a majority of each of these sets is two.
    fn fan_of(nodes: &[Arc<Node>], disks: &[Option<Duration>], sets: &[&[usize]]) -> Fan {
        let opened = nodes.iter().zip(disks).enumerate().map(|(index, (node, sync))| {
            let (lane, queue) = Lane::new(Arc::clone(node), 0, Bytes::from_static(&[0; 16]));
            (Some(lane), disk(index as u64, queue, *sync).map(move |event| (index, event)).boxed())
        });
        let (lanes, events): (Vec<_>, Vec<_>) = opened.unzip();
        let sets = sets.iter().map(|members| VoterSet { members: members.to_vec(), majority: 2 });
        Fan::new(lanes, events, sets.collect(), PATIENCE)
    }

    fn nodes() -> [Arc<Node>; 4] {
        [1, 2, 3, 4].map(|port| {
            let node = Node::seed(&format!("127.0.0.1:{port}"), &Dialer::plaintext());
            Arc::new(node.expect("an address"))
        })
    }

    /// How long an upload of so many chunks takes, and how many hold it.
    async fn upload(fan: Fan, chunks: usize) -> (Duration, usize) {
        let started = Instant::now();
        let holders = try_upload(fan, chunks).await.expect("a majority");
        (started.elapsed(), holders.len())
    }

    async fn try_upload(mut fan: Fan, chunks: usize) -> Result<Vec<u64>, ErrorCode> {
        let body = axum::body::Body::from(vec![0; chunks * rowhouse_proto::CHUNK_BYTES]);
        let admission = Admission::new(1, 0, usize::MAX);
        let mut intake = super::super::Intake::new(Vec::new(), body, admission, PATIENCE, None);
        while let Some(chunk) = intake.chunk().await.expect("read") {
            fan.room().await?;
            fan.offer(&chunk).await?;
        }
        fan.finish().await
    }

    /// One replica of three moves: the last place takes over from the first one.
    const MOVING: [&[usize]; 2] = [&[0, 1, 2], &[1, 2, 3]];

    #[tokio::test(start_paused = true)]
    async fn while_a_replica_moves_two_majorities_have_the_body() {
        let (up, down) = (Some(SYNC), None);
        let cases = [
            ([up, up, up, up], Ok(vec![0, 1, 2, 3])),
            ([down, up, up, up], Ok(vec![1, 2, 3])),
            ([up, up, up, down], Ok(vec![0, 1, 2])),
            ([up, down, up, up], Ok(vec![0, 2, 3])),
            ([down, up, up, down], Ok(vec![1, 2])),
            // Two of the old ones are no majority of the new ones, and the reverse.
            ([up, up, down, down], Err(ErrorCode::TooFewCopies)),
            ([down, down, up, up], Err(ErrorCode::TooFewCopies)),
        ];
        for (disks, expected) in cases {
            for chunks in [1, 16] {
                let held = try_upload(fan_of(&nodes(), &disks, &MOVING), chunks).await;
                assert_eq!(held, expected, "{disks:?}, {chunks} chunks");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_replica_is_waited_for_as_the_others_are() {
        for slow in [Some(4 * SYNC), None] {
            let fan = fan_of(&nodes(), &[Some(SYNC), Some(SYNC), Some(SYNC), slow], &MOVING);
            let (took, holders) = upload(fan, 500).await;
            assert_eq!(holders, 3);
            assert!(took < 500 * SYNC + 2 * LANE_STALL_MAX, "{took:?}");
        }
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
