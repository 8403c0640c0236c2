//! Commands for the meta group, proposed where it is led.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::wire::command::MetaOutcome;
use rowhouse_proto::wire::command::meta_command::Body;

use crate::clock::Clock;
use crate::{Error, Group, meta, proposal};

/// Proposes a meta command under the version in force and returns when it is accepted and applied here.
pub async fn propose(group: &Group, clock: &Clock, body: Body) -> Result<(), Error> {
    let version = group.read_latest(|view| meta::command_version(view))?;
    let version = version.ok_or_else(|| Error::MetaRefused("the cluster is not initialized".to_owned()))?;
    propose_under(version, group, clock, body).await
}

/// As `propose`, while no version is in force yet.
pub(super) async fn propose_under(
    version: u32,
    group: &Group,
    clock: &Clock,
    body: Body,
) -> Result<(), Error> {
    let reply = proposal::propose(group, meta::encode(version, body, clock.physical_ms()), Bytes::new())
        .await
        .map_err(|error| Error::MetaRefused(error.to_string()))?;
    let outcome = MetaOutcome::decode(reply).map_err(|error| Error::MetaRefused(error.to_string()))?;
    if outcome.accepted { Ok(()) } else { Err(Error::MetaRefused(outcome.refused)) }
}
