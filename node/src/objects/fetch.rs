//! Chunks from another replica.

use std::ops::Range;
use std::time::Duration;

use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::chunk::FetchRequest;
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_raft::GroupId;
use rowhouse_raft::transport::Peer;
use tokio::time::timeout;
use tracing::debug;

use super::look::PIECE_CHUNKS;
use super::shared::{Objects, key};
use crate::identity::NodeUuid;
use crate::state::objects::ObjectId;
use crate::{Error, Group};

/// A chunk that does not come within this is asked of somebody else.
const CHUNK_DEADLINE: Duration = Duration::from_secs(10);

impl Objects {
    /// Stores chunks `range` of an object here; `false` if no other replica has them all now. Those that came stay.
    pub(super) async fn fetch(
        &self,
        group: &Group,
        object: ObjectId,
        mut range: Range<u32>,
    ) -> Result<bool, Error> {
        let near = self.inventory.near(group.replica());
        let mut nodes = self.sources(group);
        nodes.sort_by_key(|node| near != Some(*node));
        for node in nodes {
            if self.fetch_at(node, group, object, &mut range).await? {
                self.inventory.set_near(group.replica(), node);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The nodes that may hold the group's objects.
    pub(super) fn sources(&self, group: &Group) -> Vec<NodeUuid> {
        let me = self.local.identity.node_uuid();
        sources_of(group.other_voters(), &self.cluster.view.map(), group.id(), me)
    }

    /// As `fetch`, from this node only; shortens the range by what came.
    pub(super) async fn fetch_at(
        &self,
        node: NodeUuid,
        group: &Group,
        object: ObjectId,
        range: &mut Range<u32>,
    ) -> Result<bool, Error> {
        let Some(peer) = self.cluster.addresses.of(node) else { return Ok(false) };
        while range.start < range.end {
            match self.fetch_piece(&peer, group, object, range).await {
                Ok(()) => {}
                Err(Error::Peer { peer, detail }) => {
                    debug!(peer, detail, "chunks not fetched");
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Shortens the range by what came: a whole piece, or all of it, unless it fails.
    async fn fetch_piece(
        &self,
        peer: &Peer,
        group: &Group,
        object: ObjectId,
        range: &mut Range<u32>,
    ) -> Result<(), Error> {
        let failed = |detail: String| Error::Peer { peer: peer.address.clone(), detail };
        let late = |_| failed("no chunk in time".to_owned());
        let to = range.start.saturating_add(PIECE_CHUNKS).min(range.end);
        let request = FetchRequest {
            version: WIRE_VERSION,
            group: u32::from(group.id()),
            object: object.to_vec().into(),
            from: range.start,
            to,
            ..FetchRequest::default()
        };
        let mut client = self.cluster.pool.chunk(&peer.address, &peer.name)?;
        let answer = timeout(CHUNK_DEADLINE, client.fetch(request)).await.map_err(late)?;
        let mut chunks = answer.map_err(|status| failed(status.message().to_owned()))?;
        while range.start < to {
            let chunk = timeout(CHUNK_DEADLINE, chunks.next()).await.map_err(late)?;
            let chunk = chunk.map_err(|status| failed(status.message().to_owned()))?;
            let Some(chunk) = chunk.filter(|chunk| chunk.head.index == range.start) else {
                return Err(failed("it ended early".to_owned()));
            };
            self.rate.take(chunk.body.len()).await;
            self.blobs.put(key(group, object, range.start), chunk.body).await?;
            range.start += 1;
        }
        Ok(())
    }
}

/// The group's voters, then the map's replicas of it: one that does not vote yet, or no longer, gives what it has.
fn sources_of(voters: Vec<NodeUuid>, map: &ClusterMap, group: GroupId, me: NodeUuid) -> Vec<NodeUuid> {
    let info = map.groups.iter().find(|info| info.group == u32::from(group));
    let places = info.into_iter().flat_map(|info| info.places());
    let mapped = places.filter_map(|place| NodeUuid::try_from(&place.node_uuid[..]).ok());
    let mut sources = Vec::new();
    for node in voters.into_iter().chain(mapped) {
        if node != me && !sources.contains(&node) {
            sources.push(node);
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::{GroupInfo, ReplicaInfo, ReplicaMove};

    use super::*;

    #[test]
    fn who_left_the_voters_and_is_not_gone_is_asked_too() {
        let node = |n: u8| [n; 16];
        let place = |n: u8| ReplicaInfo { replica_id: n.into(), node_uuid: node(n).to_vec().into() };
        let moving = ReplicaMove { add: Some(place(4)), remove: 1, ..ReplicaMove::default() };
        let info =
            GroupInfo { group: 6, replicas: (1..=3).map(place).collect(), moving: Some(moving), epoch: 1 };
        let map = ClusterMap { groups: vec![info], ..ClusterMap::default() };
        let voters = || vec![node(3), node(2)];
        assert_eq!(sources_of(voters(), &map, 6, node(4)), [node(3), node(2), node(1)]);
        assert_eq!(sources_of(voters(), &map, 6, node(3)), [node(2), node(1), node(4)]);
        assert_eq!(sources_of(voters(), &map, 7, node(3)), [node(2)], "a group that the map does not know");
    }
}
