//! `Shared`: the means that all links of a node share, dialled here or by peers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use tokio::sync::{Semaphore, oneshot};

use super::identity::Identity;
use super::link::Link;
use crate::lock::lock;
use crate::transport::{Inbox, Lane, NodeUuid};

/// Who this node is, who receives what arrives, and which links there are.
pub(super) struct Shared {
    pub(super) identity: Identity,
    inbox: OnceLock<Weak<dyn Inbox>>,
    /// Dialled by this node.
    links: Mutex<BTreeMap<(NodeUuid, Lane), Arc<Link>>>,
    /// Dialled by peers: the newest of each; dropping its sender ends it.
    accepted: Mutex<BTreeMap<(NodeUuid, Lane), oneshot::Sender<()>>>,
    /// Closed when the node stops. It never has permits.
    stop: Semaphore,
}

impl Shared {
    pub(super) fn new(identity: Identity) -> Self {
        let (inbox, links, accepted) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Self { identity, inbox, links, accepted, stop: Semaphore::new(0) }
    }

    /// Names who receives what arrives; false if that is settled already.
    pub(super) fn attach(&self, inbox: Weak<dyn Inbox>) -> bool {
        self.inbox.set(inbox).is_ok()
    }

    /// Closes every link, and makes no new ones.
    pub(super) fn stop(&self) {
        self.stop.close();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_closed()
    }

    /// `None` while the node starts or after it has stopped.
    pub(super) fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.get()?.upgrade()
    }

    /// Makes a link from `peer` the newest; resolves when it no longer is.
    pub(super) fn claim(&self, peer: NodeUuid, lane: Lane) -> oneshot::Receiver<()> {
        let (sender, superseded) = oneshot::channel();
        let mut accepted = lock(&self.accepted);
        accepted.retain(|_, link| !link.is_closed());
        accepted.insert((peer, lane), sender);
        superseded
    }

    /// The peer is alive: no link to it waits any longer before it is dialled.
    pub(super) fn revive(&self, peer: NodeUuid) {
        for lane in [Lane::Control, Lane::Log] {
            let link = lock(&self.links).get(&(peer, lane)).cloned();
            if let Some(link) = link {
                link.revive();
            }
        }
    }

    /// Resolves when the node stops.
    pub(super) async fn stopped(&self) {
        // Only ever closed.
        let _closed = self.stop.acquire().await;
    }

    /// The link that this node dials to `peer` for `lane`.
    pub(super) fn link(&self, peer: NodeUuid, lane: Lane) -> Arc<Link> {
        lock(&self.links).entry((peer, lane)).or_insert_with(|| Link::new(peer, lane)).clone()
    }
}
