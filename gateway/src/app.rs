//! `App`: the state that every route shares.

use std::sync::Arc;

use pubky_common::crypto::PublicKey;

use rowhouse_proto::wire::shard::BandwidthRate;

use crate::cluster::{Call, Cluster};
use crate::feed::Feed;
use crate::feed::Follow;
use crate::layers::{RequestTrace, TracePolicy};
use crate::limits::RouteLimit;
use crate::settings::Limits;

/// The state of all routes; one for each gateway.
pub struct App {
    /// Where changes and reads go.
    pub cluster: Arc<Cluster>,
    /// The events of all shards in one order.
    pub feed: Arc<Feed>,
    /// What nodes tell live streams of.
    pub follow: Arc<Follow>,
    /// The key of the homeserver this gateway speaks for.
    pub homeserver: PublicKey,
    /// Whether users' websites are served.
    pub websites: bool,
    /// How requests are traced.
    pub trace_policy: Arc<TracePolicy>,
    /// Every bound a client can run into.
    pub limits: Limits,
    /// How often routes may be asked, in the order in which that is judged.
    pub route_limits: Vec<RouteLimit>,
    /// The bandwidth of reads without a session, for each address; `None`: no limit.
    pub address_rate: Option<BandwidthRate>,
}

impl App {
    /// Opens a request's account with the cluster: its deadline runs from here.
    pub fn call(&self, extensions: &http::Extensions) -> Call {
        self.cluster.call(extensions.get::<RequestTrace>().map(|trace| trace.0))
    }
}
