//! `Cluster`: the current map, the clock and the admission of one gateway. The map watch installs maps here;
//! nothing else here outlives a request. Deliberately absent: how a request reaches a node (`send.rs`).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pubky_common::crypto::PublicKey;
use rowhouse_peer::Dialer;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::meta::ClusterMap;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Admission, Clock, Map};
use crate::Error;
use crate::respond::Rejection;
use crate::settings::Limits;

/// The cluster as one gateway sees it; shared by all its requests.
pub struct Cluster {
    map: ArcSwapOption<Map>,
    /// Version of `map`; 0 before the first.
    installed: watch::Sender<u64>,
    /// Newest version that a node told of when it refused a request; 0: none.
    told: watch::Sender<u64>,
    pub(super) clock: Clock,
    pub(super) admission: Admission,
    pub(super) retry_timeout: Duration,
    map_timeout: Duration,
    dialer: Dialer,
    homeserver: PublicKey,
}

impl Cluster {
    /// Without a map until the watch installs one. Maps of another homeserver than `homeserver` are refused.
    pub fn new(limits: &Limits, dialer: Dialer, homeserver: PublicKey) -> Self {
        Self {
            map: ArcSwapOption::empty(),
            installed: watch::Sender::new(0),
            told: watch::Sender::new(0),
            clock: Clock::default(),
            admission: Admission::new(limits.requests_max, limits.body_bytes_max, limits.chunk_bytes_max),
            retry_timeout: limits.retry_timeout_s,
            map_timeout: limits.map_timeout_s,
            dialer,
            homeserver,
        }
    }

    /// Connects to nodes, with this gateway's certificates if it has any.
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// The pools of requests and bytes.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The current map, if one has arrived.
    pub fn map_now(&self) -> Option<Arc<Map>> {
        self.map.load_full()
    }

    /// The current map; a request that comes before the first one waits a bounded time.
    pub async fn map(&self) -> Result<Arc<Map>, Rejection> {
        if let Some(map) = self.map.load_full() {
            return Ok(map);
        }
        let mut installed = self.installed.subscribe();
        let arrival = installed.wait_for(|_| self.map.load().is_some());
        // An error here is the time running out; the sender lives as long as `self`.
        let _ = tokio::time::timeout(self.map_timeout, arrival).await;
        self.map.load_full().ok_or_else(|| ErrorCode::Unavailable.into())
    }

    /// Changes whenever another map is here.
    pub fn map_versions(&self) -> watch::Receiver<u64> {
        self.installed.subscribe()
    }

    /// A node told of a map of this version. The watch leaves a node that does not bring it.
    pub(super) fn hear_of_map(&self, version: u64) {
        self.told.send_if_modified(|told| {
            let newer = *told < version;
            *told = version.max(*told);
            newer
        });
    }

    /// Waits until `until` for a map of at least this version. Whether it came.
    pub(super) async fn newer_map(&self, version: u64, until: Instant) -> bool {
        let mut installed = self.installed.subscribe();
        let arrival = installed.wait_for(|installed| *installed >= version);
        matches!(tokio::time::timeout_at(until, arrival).await, Ok(Ok(_)))
    }

    /// Whether a node told of a newer map than the one here.
    pub(super) fn is_behind(&self) -> bool {
        *self.told.borrow() > *self.installed.borrow()
    }

    /// Waits until a node tells of a newer map than the one here.
    pub(super) async fn until_behind(&self) {
        let mut told = self.told.subscribe();
        // The sender lives as long as `self`.
        let _ = told.wait_for(|told| *told > *self.installed.borrow()).await;
    }

    /// Forgets which versions nodes told of: only what is told again counts.
    pub(super) fn forget_told(&self) {
        self.told.send_replace(0);
    }

    /// The shard of a user's account and entries; waits as `map` does.
    pub async fn shard_of_user(&self, user: &PublicKey) -> Result<u32, Rejection> {
        Ok(self.map().await?.shard_of_user(user))
    }

    /// Takes a map from a watch of `node`, and `hlc`, its time now (0: not known). Only the watch calls it, from one
    /// task. `false`: not usable. An error: this gateway is not of that cluster, nor of any other so far.
    pub fn install(&self, wire: &ClusterMap, hlc: u64, node: &str) -> Result<bool, Error> {
        let current = self.map.load_full();
        // With the first map comes the cluster's time: without it no change could be sent.
        if current.is_none() && hlc == 0 {
            return Ok(false);
        }
        if let Some(map) = &current {
            if wire.cluster_id != map.cluster_id && !wire.cluster_id.is_empty() {
                tracing::warn!(node, "a node of another cluster answers at a known address");
                return Ok(false);
            }
            if wire.map_version < map.version {
                return Ok(false);
            }
            if wire.map_version == map.version {
                self.clock.observe(hlc);
                return Ok(true);
            }
        }
        let Some(map) = Map::build(wire, current.as_deref(), &self.dialer) else { return Ok(false) };
        if wire.homeserver[..] != self.homeserver.as_bytes()[..] {
            return Err(self.foreign(&wire.homeserver, node));
        }
        self.clock.observe(hlc);
        let version = map.version;
        self.map.store(Some(Arc::new(map)));
        self.installed.send_replace(version);
        Ok(true)
    }

    fn foreign(&self, theirs: &[u8], node: &str) -> Error {
        let theirs = <&[u8; 32]>::try_from(theirs).ok().and_then(|key| pkarr::PublicKey::try_from(key).ok());
        Error::ForeignHomeserver {
            ours: self.homeserver.z32(),
            theirs: theirs.map_or_else(|| "nobody".into(), |key| key.to_z32()),
            node: node.to_owned(),
        }
    }
}
