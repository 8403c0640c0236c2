//! Snapshots on their way in, and how far each is, so that one whose link broke can go on
//! (docs/rules/storage.md#a-broken-transfer-goes-on).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ReplicaId;
use crate::codec::Vote;
use crate::lock::lock;
use crate::runtime::Runtime;
use crate::state::SnapshotSink;
use crate::transport::wire::bulk::TRANSFERS_MAX;

/// Group and replica that a snapshot is for.
pub(in crate::transport) type Name = (u32, ReplicaId);

/// The part of a snapshot that has arrived.
pub(in crate::transport) struct Received {
    pub(in crate::transport) sink: SnapshotSink,
    pub(in crate::transport) chunks: u64,
    pub(in crate::transport) bytes: u64,
}

/// How far a transfer is.
enum Stage {
    /// A task takes its chunks in, until this is closed.
    Receiving(Arc<Semaphore>),
    /// Its link broke.
    Broken(Box<Received>),
    Installing,
    Installed(Vote),
}

struct Arrival {
    /// Changes with the stage's task.
    id: u64,
    /// The sender's number for it.
    transfer: u64,
    stage: Stage,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    arrivals: BTreeMap<Name, Arrival>,
}

/// The right to take a snapshot in, until another transfer takes its place.
pub(in crate::transport) struct Turn {
    name: Name,
    id: u64,
    /// Closed when this turn is over.
    pub(in crate::transport) open: Arc<Semaphore>,
}

/// The answer to what is here of a transfer.
pub(in crate::transport) enum Found {
    Chunks(u64),
    Installed(Vote),
    /// Its earlier task is not through.
    Busy,
}

/// Why no turn begins.
pub(in crate::transport) enum NoTurn {
    /// Another snapshot is being installed.
    Busy,
    /// It would go on where nothing is.
    NotHeld,
}

/// All snapshots on their way to replicas of this node; clones are the same.
#[derive(Clone)]
pub(in crate::transport) struct Arrivals {
    table: Arc<Mutex<Table>>,
    kept_for: Duration,
}

impl Arrivals {
    /// What broke off, and what was installed, is known for `kept_for`.
    pub(in crate::transport) fn new(kept_for: Duration) -> Self {
        Self { table: Arc::default(), kept_for }
    }

    /// What is here of a transfer. A task that still waits on its broken link is told to give up.
    pub(in crate::transport) fn find(&self, name: Name, transfer: u64) -> Found {
        let table = self.table();
        match table.arrivals.get(&name).filter(|arrival| arrival.transfer == transfer).map(|it| &it.stage) {
            None => Found::Chunks(0),
            Some(Stage::Broken(received)) => Found::Chunks(received.chunks),
            Some(Stage::Installed(vote)) => Found::Installed(*vote),
            Some(Stage::Installing) => Found::Busy,
            Some(Stage::Receiving(open)) => {
                open.close();
                Found::Busy
            }
        }
    }

    /// Begins a transfer, or goes on with one of which `first_chunk` chunks are here. An earlier one of the same
    /// replica is over.
    pub(in crate::transport) fn begin(
        &self,
        name: Name,
        transfer: u64,
        first_chunk: u64,
        fresh: impl FnOnce() -> SnapshotSink,
    ) -> Result<(Received, Turn), NoTurn> {
        let mut table = self.table();
        if table.arrivals.get(&name).is_some_and(|arrival| matches!(arrival.stage, Stage::Installing)) {
            return Err(NoTurn::Busy);
        }
        let before = table.arrivals.remove(&name);
        if let Some(Arrival { stage: Stage::Receiving(open), .. }) = &before {
            open.close();
        }
        let received = match before {
            _ if first_chunk == 0 => Received { sink: fresh(), chunks: 0, bytes: 0 },
            Some(Arrival { transfer: of, stage: Stage::Broken(received), .. })
                if of == transfer && received.chunks == first_chunk =>
            {
                *received
            }
            _ => return Err(NoTurn::NotHeld),
        };
        table.last_id += 1;
        let (id, open) = (table.last_id, Arc::new(Semaphore::new(0)));
        let stage = Stage::Receiving(open.clone());
        table.arrivals.insert(name, Arrival { id, transfer, stage });
        Ok((received, Turn { name, id, open }))
    }

    /// The link of a turn broke: what arrived is kept, but of no more than `TRANSFERS_MAX`.
    pub(in crate::transport) fn broke<R: Runtime>(&self, turn: &Turn, received: Received) {
        self.settle::<R>(turn, Stage::Broken(Box::new(received)));
        let mut table = self.table();
        let broken = table.arrivals.iter().filter(|(_, arrival)| matches!(arrival.stage, Stage::Broken(_)));
        let ages: Vec<(u64, Name)> = broken.map(|(name, arrival)| (arrival.id, *name)).collect();
        if ages.len() > TRANSFERS_MAX
            && let Some((_, oldest)) = ages.into_iter().min()
        {
            table.arrivals.remove(&oldest);
        }
    }

    /// Everything is here. Returns whether the turn is not over.
    pub(in crate::transport) fn installing(&self, turn: &Turn) -> bool {
        let mut table = self.table();
        let arrival = table.arrivals.get_mut(&turn.name).filter(|arrival| arrival.id == turn.id);
        arrival.map(|arrival| arrival.stage = Stage::Installing).is_some()
    }

    /// The snapshot is installed; its sender may not have heard.
    pub(in crate::transport) fn installed<R: Runtime>(&self, turn: &Turn, vote: Vote) {
        self.settle::<R>(turn, Stage::Installed(vote));
    }

    /// Nothing of a turn is kept.
    pub(in crate::transport) fn forget(&self, turn: &Turn) {
        self.remove(turn.name, |arrival| arrival.id == turn.id);
    }

    /// Keeps a stage without a task for `kept_for`.
    fn settle<R: Runtime>(&self, turn: &Turn, stage: Stage) {
        let (name, id) = (turn.name, turn.id);
        {
            let mut table = self.table();
            let Some(arrival) = table.arrivals.get_mut(&name).filter(|arrival| arrival.id == id) else {
                return;
            };
            arrival.stage = stage;
        }
        let arrivals = self.clone();
        drop(R::spawn(async move {
            R::sleep(arrivals.kept_for).await;
            arrivals.remove(name, |arrival| arrival.id == id);
        }));
    }

    fn remove(&self, name: Name, is_it: impl FnOnce(&Arrival) -> bool) {
        let removed = {
            let mut table = self.table();
            if table.arrivals.get(&name).is_some_and(is_it) { table.arrivals.remove(&name) } else { None }
        };
        // Its file goes with it, outside the lock.
        drop(removed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}
