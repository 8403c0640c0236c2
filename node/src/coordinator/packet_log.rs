//! The meta group as the author of the packet sees it. Tests end an author at each of its steps, and have a log that is
//! as easy to look into.

use std::future::Future;

use bytes::Bytes;
use rowhouse_proto::wire::command::{SetPacket, meta_command::Body};
use rowhouse_proto::wire::meta::ClusterMap;

use super::propose::propose;
use crate::clock::Clock;
use crate::{Error, Group, meta};

/// What an author reads and writes.
pub trait PacketLog: Sync {
    /// Brings the map up to date with what is applied here.
    fn refresh(&self, map: &mut Option<ClusterMap>) -> Result<(), Error>;

    /// Returns once the packet is on the disks of a majority, and applied here.
    fn commit(&self, command: SetPacket) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether this node still leads, and these are the committed bytes.
    fn is_committed(&self, packet: &Bytes) -> impl Future<Output = bool> + Send;
}

/// The real one.
pub struct MetaLog<'a> {
    pub group: &'a Group,
    pub clock: &'a Clock,
}

impl PacketLog for MetaLog<'_> {
    fn refresh(&self, map: &mut Option<ClusterMap>) -> Result<(), Error> {
        Ok(self.group.read(|view| meta::refresh(view, map))?)
    }

    async fn commit(&self, command: SetPacket) -> Result<(), Error> {
        propose(self.group, self.clock, Body::SetPacket(command)).await
    }

    async fn is_committed(&self, packet: &Bytes) -> bool {
        if self.group.read_barrier().await.is_err() {
            return false;
        }
        let mut map = None;
        self.refresh(&mut map).is_ok() && map.is_some_and(|map| map.packet == *packet)
    }
}
