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

/// A replica that owes a full window for this long while a majority goes on is left behind; repair brings
/// it the body later. A disk that syncs slowly takes tens of milliseconds, so this one is stuck.
const LANE_STALL_MAX: Duration = Duration::from_secs(2);

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
        let _ = timeout(LANE_STALL_MAX, self.until(|fan| fan.live().all(Lane::is_complete))).await;
        Ok(self.live().filter_map(Lane::holder).collect())
    }

    /// Waits for one event, or for a lane to be given up. May be dropped at any time without loss.
    pub async fn step(&mut self) -> Result<(), ErrorCode> {
        if self.live().count() < self.majority {
            return Err(self.verdict());
        }
        let given_up = self.watch_laggards();
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
                self.step().await?;
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

    /// Starts and stops the lanes' clocks. Returns when the first of them runs out.
    fn watch_laggards(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let going_on = self.count(Lane::has_room) >= self.majority;
        for lane in self.lanes.iter_mut().flatten() {
            let behind = going_on && !lane.has_room();
            lane.behind_since = behind.then(|| lane.behind_since.unwrap_or(now));
        }
        self.live().filter_map(|lane| lane.behind_since).min().map(|since| since + LANE_STALL_MAX)
    }

    fn drop_laggards(&mut self) {
        let now = Instant::now();
        for index in 0..self.lanes.len() {
            let since = self.lanes[index].as_ref().and_then(|lane| lane.behind_since);
            if since.is_some_and(|since| now >= since + LANE_STALL_MAX) {
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
            tracing::warn!(node = lane.address, why, "a replica is left out of an upload");
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
