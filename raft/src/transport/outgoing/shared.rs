//! `Outgoing`: the means that all requests of this node share.

use std::sync::Arc;

use super::holds::Holds;
use super::pending::Pending;
use super::snapshot::BulkSender;
use crate::lease::LeaseTerms;
use crate::runtime::Runtime;
use crate::transport::metrics::SnapshotMetrics;
use crate::transport::wire::bulk::BulkOptions;
use crate::transport::wire::contract::Wire;

/// The wire, the requests that await replies on it, and the bounds of snapshots.
pub(in crate::transport) struct Outgoing<R: Runtime> {
    pub(in crate::transport) wire: Arc<dyn Wire>,
    pub(in crate::transport) pending: Arc<Pending>,
    pub(in crate::transport) holds: Arc<Holds>,
    pub(in crate::transport) bulk: BulkSender<R>,
    pub(in crate::transport) terms: LeaseTerms,
}

impl<R: Runtime> Outgoing<R> {
    pub(in crate::transport) fn new(
        wire: Arc<dyn Wire>,
        options: &BulkOptions,
        terms: LeaseTerms,
        snapshots: Arc<SnapshotMetrics>,
    ) -> Self {
        let bulk = BulkSender::new(options, snapshots);
        Self { wire, pending: Arc::default(), holds: Arc::default(), bulk, terms }
    }
}
