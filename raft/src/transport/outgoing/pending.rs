//! Requests on dialled links that await replies: calls of one reply, and append streams of many.
//!
//! A closed channel tells a waiting request that its link broke.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rowhouse_proto::wire::transport::v1::Frame;
use tokio::sync::mpsc;

use crate::lock::lock;
use crate::transport::wire::lane::{Lane, NodeUuid};

#[derive(Default)]
pub(in crate::transport) struct Pending {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Ids are unique on this node, across peers and lanes.
    last_id: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    peer: NodeUuid,
    lane: Lane,
    replies: mpsc::Sender<Frame>,
}

/// A registered request; dropping it forgets it.
pub(in crate::transport) struct Ticket {
    pending: Arc<Pending>,
    pub(in crate::transport) id: u64,
    pub(in crate::transport) replies: mpsc::Receiver<Frame>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pending.table().waiting.remove(&self.id);
    }
}

impl Pending {
    /// `replies_max` is how many replies may be on their way at once; more end the request.
    pub(in crate::transport) fn register(
        self: &Arc<Self>,
        peer: NodeUuid,
        lane: Lane,
        replies_max: usize,
    ) -> Ticket {
        let (sender, replies) = mpsc::channel(replies_max);
        let mut table = self.table();
        table.last_id += 1;
        let id = table.last_id;
        table.waiting.insert(id, Waiting { peer, lane, replies: sender });
        Ticket { pending: self.clone(), id, replies }
    }

    /// Hands a reply to who waits for it. Late and unasked replies are dropped, and so is the request
    /// of a peer that answers more often than it was asked.
    pub(in crate::transport) fn reply(&self, from: NodeUuid, frame: Frame) {
        let mut table = self.table();
        let id = frame.stream;
        let Some(waiting) = table.waiting.get(&id) else { return };
        if waiting.peer == from && waiting.replies.try_send(frame).is_err() {
            table.waiting.remove(&id);
        }
    }

    pub(in crate::transport) fn link_lost(&self, peer: NodeUuid, lane: Lane) {
        self.table().waiting.retain(|_, waiting| waiting.peer != peer || waiting.lane != lane);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}
