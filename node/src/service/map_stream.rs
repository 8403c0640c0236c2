//! The map as one watcher gets it: whole at first, then what changed, with signs of life between.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_proto::{WIRE_VERSION, map_change};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::clock::Clock;

/// Longest silence on a watch: a watcher hears at least this often that its node lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Longest silence while the node does not know the time, without which a gateway can send nothing.
const TIMELESS_SIGN: Duration = Duration::from_millis(100);

/// What one watcher was told, and where news come from.
pub struct MapStream {
    maps: watch::Receiver<Arc<ClusterMap>>,
    clock: Arc<Clock>,
    stop: CancellationToken,
    /// Whether the watcher takes changes. Older programs do not.
    takes_changes: bool,
    /// The map and the time told last; `None` before the first message.
    told: Option<(Arc<ClusterMap>, u64)>,
}

impl MapStream {
    /// Begins with the map that `maps` has now, and ends when `stop` is cancelled.
    pub fn new(
        maps: watch::Receiver<Arc<ClusterMap>>,
        clock: Arc<Clock>,
        stop: CancellationToken,
        takes_changes: bool,
    ) -> Self {
        Self { maps, clock, stop, takes_changes, told: None }
    }

    /// The messages, each made when the one before it was taken: a slow watcher skips versions.
    pub fn messages(self) -> impl Stream<Item = Result<ClusterMap, Status>> {
        futures::stream::unfold(self, |mut stream| async move {
            let message = stream.next().await?;
            Some((Ok(message), stream))
        })
    }

    async fn next(&mut self) -> Option<ClusterMap> {
        if let Some((_, hlc)) = self.told {
            let silence_max = if hlc == 0 { TIMELESS_SIGN } else { SIGN_OF_LIFE };
            tokio::select! {
                () = self.stop.cancelled() => return None,
                changed = timeout(silence_max, self.maps.changed()) => {
                    if let Ok(Err(_)) = changed { return None }
                }
            }
        }
        let map = Arc::clone(&self.maps.borrow_and_update());
        let mut message = match &self.told {
            Some((told, _)) if self.takes_changes => map_change::change(told, &map),
            _ => ClusterMap::clone(&map),
        };
        message.version = WIRE_VERSION;
        message.hlc = self.clock.latest();
        self.told = Some((map, message.hlc));
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use rowhouse_proto::wire::meta::GroupInfo;

    use super::*;
    use crate::clock::TimeSource;
    use crate::clock::testing::Records;

    fn map(map_version: u64, epoch: u64) -> ClusterMap {
        let group =
            |group| GroupInfo { group, epoch: if group == 0 { epoch } else { 1 }, ..GroupInfo::default() };
        ClusterMap {
            map_version,
            cluster_id: vec![9; 16].into(),
            groups: (0..64).map(group).collect(),
            ..ClusterMap::default()
        }
    }

    fn clock() -> Arc<Clock> {
        let clock = Clock::open(Arc::new(Records::default()), TimeSource::system()).expect("readable");
        clock.judge_alone();
        Arc::new(clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_gets_the_map_once_then_changes_and_signs_of_life() {
        let maps = watch::Sender::new(Arc::new(map(1, 1)));
        let stop = CancellationToken::new();
        let stream = MapStream::new(maps.subscribe(), clock(), stop.clone(), true).messages();
        let mut stream = std::pin::pin!(stream.map(|message| message.expect("never an error")));
        let mut known = Arc::<ClusterMap>::default();
        let whole = stream.next().await.expect("the map");
        assert_eq!((whole.groups.len(), whole.change.is_none()), (64, true));
        map_change::apply(&mut known, whole).expect("whole");
        // Two changes while nobody asks are told as one.
        for version in 2..4 {
            maps.send_replace(Arc::new(map(version, version)));
        }
        let change = stream.next().await.expect("a change");
        assert_eq!((change.groups.len(), change.map_version), (1, 3));
        assert!(change.hlc > 0 && change.version == WIRE_VERSION);
        map_change::apply(&mut known, change).expect("fits");
        assert_eq!(known.groups, map(3, 3).groups);
        let sign = stream.next().await.expect("a sign of life");
        assert_eq!((sign.groups.len(), sign.map_version), (0, 3));
        map_change::apply(&mut known, sign).expect("fits");
        stop.cancel();
        assert!(stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_does_not_ask_for_changes_gets_whole_maps() {
        let maps = watch::Sender::new(Arc::new(map(1, 1)));
        let stream = MapStream::new(maps.subscribe(), clock(), CancellationToken::new(), false).messages();
        let mut stream = std::pin::pin!(stream.map(|message| message.expect("never an error")));
        for version in 1..4 {
            maps.send_replace(Arc::new(map(version, version)));
            let message = stream.next().await.expect("a map");
            assert_eq!((message.groups, message.change), (map(version, version).groups, None));
        }
    }
}
