//! Cursors of clients: an event's id, or its time as old readers kept it (docs/rules/feed.md#cursors).

use pubky_common::timestamp::Timestamp;
use rowhouse_proto::domain::event::EVENT_EPOCH_MS;
use rowhouse_proto::{ErrorCode, EventRow};

use super::page::Selection;
use super::pages::{Feed, Freshness};
use crate::cluster::Call;
use crate::respond::Rejection;

/// Characters of eight bytes in Crockford's base32.
const TIMESTAMP_CHARS: usize = 13;

impl Feed {
    /// The id that a cursor names: a number is one, and 13 other characters are the time of an event, private ones
    /// included. `InvalidCursor` for anything else, and for a time at which there is no event.
    pub async fn cursor(&self, call: &Call, text: &str) -> Result<u64, Rejection> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let unix_us = unix_us(text).ok_or(ErrorCode::InvalidCursor)?;
        let found = self.event_at(call, unix_us).await?;
        found.ok_or_else(|| ErrorCode::InvalidCursor.into())
    }

    /// The id of the first event at exactly this time, which an event keeps as its tick.
    async fn event_at(&self, call: &Call, unix_us: u64) -> Result<Option<u64>, Rejection> {
        let ids = self.ids().await?;
        let tick = ids.tick(unix_us);
        // Times that no clock can have are clamped to one that it can.
        if unix_us <= EVENT_EPOCH_MS * 1000 || tick == 0 || tick >= ids.ceiling() {
            return Ok(None);
        }
        let selection = Selection { after: ids.id(tick, 0) - 1, limit: 1, ..Selection::default() };
        let page = self.page(call, &selection, Freshness::UpTo(tick)).await?;
        Ok(page.first().map(EventRow::id).filter(|id| ids.tick_of(*id) == tick))
    }
}

/// Unix microseconds of an old cursor; `None` for any other text.
pub fn unix_us(text: &str) -> Option<u64> {
    let timestamp = Timestamp::try_from(text.to_owned()).ok();
    timestamp.filter(|_| text.len() == TIMESTAMP_CHARS).map(|timestamp| timestamp.as_u64())
}
