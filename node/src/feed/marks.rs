//! Marks tell gateways where something new may be read: the tick of each replica's newest event. They are hints: one
//! that comes late, twice or never makes a reader slower and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::feed::{EventMark, FollowReply};
use rowhouse_raft::GroupId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::actor::Pace;
use crate::local::Local;
use crate::{Error, meta, read};

/// How often the replicas are looked at while anybody follows. It bounds how late a live stream hears of an event.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest silence on a follower's stream.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The newest event of each replica on this node; one for each node.
pub struct Marks {
    local: Arc<Local>,
    seen: Mutex<BTreeMap<GroupId, Seen>>,
    /// Counts changes of `seen`. Followers wait on it.
    changes: watch::Sender<u64>,
}

/// A replica as it was looked at last.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Index of the entry applied last: as long as it stands, nothing else is read.
    applied: u64,
    last_event: u64,
}

impl Marks {
    /// Nothing is looked at before `run`.
    pub fn new(local: Arc<Local>) -> Self {
        Self { local, seen: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Looks until stopped, while anybody follows.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut pace = Pace::new(LOOK_EVERY, stop);
        while pace.goes_on().await {
            if self.changes.receiver_count() > 0 && self.look()? {
                self.changes.send_modify(|count| *count += 1);
            }
        }
        Ok(())
    }

    /// Whether a mark changed.
    fn look(&self) -> Result<bool, Error> {
        let mut changed = false;
        let mut seen = lock(&self.seen);
        for group in self.local.host.groups().into_iter().filter(|group| group.id() != meta::GROUP) {
            let applied = group.applied_index();
            let before = seen.get(&group.id()).copied().unwrap_or_default();
            if applied == before.applied {
                continue;
            }
            let last_event = group.read_latest(read::clock)?.last_event_t;
            changed |= last_event != before.last_event;
            seen.insert(group.id(), Seen { applied, last_event });
        }
        Ok(changed)
    }

    /// A follower that was told nothing yet. It ends with `stop`.
    pub fn follow(self: &Arc<Self>, stop: CancellationToken) -> Follower {
        let mut changes = self.changes.subscribe();
        changes.mark_changed();
        Follower { marks: Arc::clone(self), changes, told: BTreeMap::new(), stop }
    }
}

/// One stream of marks.
pub struct Follower {
    marks: Arc<Marks>,
    changes: watch::Receiver<u64>,
    told: BTreeMap<GroupId, u64>,
    stop: CancellationToken,
}

impl Follower {
    /// The marks that changed since the last call, or none after a silence; `None` once it ends. Changes while nobody
    /// asks are told as one.
    pub async fn next(&mut self) -> Option<FollowReply> {
        tokio::select! {
            () = self.stop.cancelled() => return None,
            changed = tokio::time::timeout(SIGN_OF_LIFE, self.changes.changed()) => {
                if let Ok(Err(_)) = changed { return None }
            }
        }
        let mut marks = Vec::new();
        for (shard, seen) in lock(&self.marks.seen).iter().filter(|(_, seen)| seen.last_event > 0) {
            let told = self.told.entry(*shard).or_default();
            if *told != seen.last_event {
                *told = seen.last_event;
                marks.push(EventMark { shard: (*shard).into(), last_event: seen.last_event });
            }
        }
        Some(FollowReply { marks })
    }
}
