//! `Feed`: pages of the event feed over all shards. How far a page goes is the frontier's to say; which node is asked
//! for which shard is the cluster's.

use std::collections::BTreeSet;
use std::sync::Arc;

use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::{ErrorCode, EventRow};

use super::frontier::Frontier;
use super::page::{Page, Selection};
use crate::cluster::{Call, Cluster, Map, Whom};
use crate::respond::Rejection;

/// What a page must not miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Any event that was acknowledged before the page was asked for (docs/rules/feed.md#read-your-writes).
    Acknowledged,
    /// Any event up to this tick.
    UpTo(u64),
}

/// The feed as one gateway gives it; shared by all its requests.
pub struct Feed {
    cluster: Arc<Cluster>,
    frontier: Frontier,
}

impl Feed {
    /// Asks nobody anything yet.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self { frontier: Frontier::new(Arc::clone(&cluster)), cluster }
    }

    /// The layout of event ids; waits for the first map.
    pub async fn ids(&self) -> Result<EventIds, Rejection> {
        let shard_count = self.cluster.map().await?.shard_count();
        EventIds::new(shard_count).ok_or_else(|| ErrorCode::Internal.into())
    }

    /// The events that `selection` names, in the order of their ids: all of them up to its limit. A page that is not
    /// full has all there are. `Unavailable` when a shard cannot be read, or cannot tell in time if there are more.
    pub async fn page(
        &self,
        call: &Call,
        selection: &Selection,
        freshness: Freshness,
    ) -> Result<Vec<EventRow>, Rejection> {
        let _permit = self.cluster.admission().request()?;
        let map = self.cluster.map().await?;
        let shards = shards_of(&map, selection);
        let mut page = Page::new(selection, self.ids().await?);
        let mut tick = self.frontier.known();
        let is_enough = matches!(freshness, Freshness::UpTo(needed) if needed <= tick);
        // What was closed in an earlier round is mostly applied everywhere by now.
        let mut whom = Whom::Fewest;
        if !selection.reverse {
            self.fill(call, &mut page, &shards, tick, whom).await?;
        }
        if page.goes_above(tick) && !is_enough {
            (tick, whom) = (self.frontier.fresh().await?, Whom::Leaders);
        }
        self.fill(call, &mut page, &shards, tick, whom).await?;
        Ok(page.into_events())
    }

    /// Reads until the page is full, or has all events up to `tick`.
    async fn fill(
        &self,
        call: &Call,
        page: &mut Page<'_>,
        shards: &BTreeSet<u32>,
        tick: u64,
        whom: Whom,
    ) -> Result<(), Rejection> {
        // Each turn ends further on: the page checks it. The call's deadline bounds those of a filter without matches.
        while page.has_more(tick) {
            let replies = self.cluster.read_events(call, shards, page.request(tick), whom).await?;
            page.take(replies, tick)?;
        }
        Ok(())
    }
}

/// The shards that may have what `selection` names.
fn shards_of(map: &Map, selection: &Selection) -> BTreeSet<u32> {
    if selection.users.is_empty() {
        (0..map.shard_count()).collect()
    } else {
        selection.users.iter().map(|user| map.shard_of_user(user)).collect()
    }
}
