//! Looks into a replica's applied state: one file's value, and the event log.

use std::ops::ControlFlow;

use prost::Message;
use rowhouse_node::state::tables;
use rowhouse_proto::wire::state::Event;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::state::ScanOrder;
use rowhouse_raft::{Error, Group};

use crate::client::SimUser;

/// Every value starts with its format version.
const VERSION_BYTES: usize = 1;

/// The number last put at `path`.
pub fn value(group: &Group<Simulation>, user: &SimUser, path: &str) -> Result<Option<u64>, Error> {
    let body = group.read_latest(|view| view.get(&tables::body(&user.key_bytes(), path)))?;
    body.map(|body| {
        let text =
            std::str::from_utf8(&body[VERSION_BYTES..]).map_err(|error| Error::corrupt("body", error))?;
        text.parse().map_err(|error| Error::corrupt("body", error))
    })
    .transpose()
}

/// Every event of the group: its time and content.
pub fn events(group: &Group<Simulation>) -> Result<Vec<(u64, Event)>, Error> {
    let mut events = Vec::new();
    let mut damaged = None;
    group.read(|view| {
        view.scan(&[tables::EVENT], &[tables::EVENT + 1], ScanOrder::Ascending, &mut |key, value| {
            let t = key[1..].try_into().map(u64::from_be_bytes);
            match (t, Event::decode(&value[VERSION_BYTES..])) {
                (Ok(t), Ok(event)) => {
                    events.push((t, event));
                    ControlFlow::Continue(())
                }
                _ => {
                    damaged = Some(Error::corrupt("event", "undecodable"));
                    ControlFlow::Break(())
                }
            }
        })
    })?;
    damaged.map_or(Ok(events), Err)
}
