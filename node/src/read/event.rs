//! The shard's event log in order.

use std::ops::ControlFlow;

use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::shard::{EventPage, EventRecord, ListEvents};
use rowhouse_raft::Error;
use rowhouse_raft::state::{ScanOrder, View};

use crate::state::{records, tables};

/// Most events of one page.
pub const EVENT_PAGE_MAX: u32 = 1000;

/// Events with ids above `query.after`, ascending. `shard` is the shard's own number.
pub fn list_events(view: &View<'_>, shard: u32, query: &ListEvents) -> Result<EventPage, Error> {
    let limit = match query.limit {
        0 => EVENT_PAGE_MAX,
        limit => limit.min(EVENT_PAGE_MAX),
    } as usize;
    // Nothing was applied yet, or the machine has said what ids are made of.
    let Some(ids) = EventIds::new(records::shard(view)?.shard_count) else { return Ok(EventPage::default()) };
    // The event at the cursor's own time comes after it if the cursor is another shard's.
    let from = tables::event(ids.tick_of(query.after));
    let mut events = Vec::new();
    let mut failure = None;
    view.scan(&from, &[tables::EVENT + 1], ScanOrder::Ascending, &mut |key, value| {
        match record(ids, shard, key, value) {
            Ok(record) if record.id > query.after => events.push(record),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
        if failure.is_none() && events.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok(EventPage { events, reached: 0 }), Err)
}

fn record(ids: EventIds, shard: u32, key: &[u8], value: &[u8]) -> Result<EventRecord, Error> {
    let t: [u8; 8] = key[1..].try_into().map_err(|_| Error::corrupt("event", "its key is no time"))?;
    let event = records::decode_event(value)?;
    Ok(EventRecord {
        id: ids.id(u64::from_be_bytes(t), shard),
        deleted: event.hash.is_empty(),
        user: event.user,
        path: event.path,
        hash: event.hash,
    })
}
