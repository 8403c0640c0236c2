//! Chunks from another replica.

use std::ops::Range;
use std::time::Duration;

use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::chunk::FetchRequest;
use rowhouse_raft::transport::Peer;
use tokio::time::timeout;
use tracing::debug;

use super::rate::Rate;
use super::shared::{Objects, key};
use crate::identity::NodeUuid;
use crate::state::objects::ObjectId;
use crate::{Error, Group};

/// A chunk that does not come within this is asked of somebody else.
const CHUNK_DEADLINE: Duration = Duration::from_secs(10);

/// The node that last gave what it was asked for: asked first, so that one that hangs costs its deadline once
/// and not with every object.
#[derive(Default)]
pub(super) struct Near(Option<NodeUuid>);

impl Objects {
    /// Stores chunks `range` of an object here; `false` if no other replica has them all now. Those that
    /// came stay. `near` is asked first.
    pub(super) async fn fetch(
        &self,
        group: &Group,
        object: ObjectId,
        mut range: Range<u32>,
        near: &mut Near,
        rate: &Rate,
    ) -> Result<bool, Error> {
        let mut nodes = group.other_voters();
        nodes.sort_by_key(|node| near.0 != Some(*node));
        for node in nodes {
            if self.fetch_at(node, group, object, &mut range, rate).await? {
                near.0 = Some(node);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As `fetch`, from this node only; shortens the range by what came.
    pub(super) async fn fetch_at(
        &self,
        node: NodeUuid,
        group: &Group,
        object: ObjectId,
        range: &mut Range<u32>,
        rate: &Rate,
    ) -> Result<bool, Error> {
        let Some(peer) = self.cluster.addresses.of(node) else { return Ok(false) };
        match self.fetch_from(&peer, group, object, range, rate).await {
            Ok(()) => Ok(true),
            Err(Error::Peer { peer, detail }) => {
                debug!(peer, detail, "chunks not fetched");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Shortens the range by what came, to nothing unless it fails.
    async fn fetch_from(
        &self,
        peer: &Peer,
        group: &Group,
        object: ObjectId,
        range: &mut Range<u32>,
        rate: &Rate,
    ) -> Result<(), Error> {
        let failed = |detail: String| Error::Peer { peer: peer.address.clone(), detail };
        let late = |_| failed("no chunk in time".to_owned());
        let request = FetchRequest {
            version: WIRE_VERSION,
            group: u32::from(group.id()),
            object: object.to_vec().into(),
            from: range.start,
            to: range.end,
        };
        let mut client = self.cluster.pool.chunk(&peer.address, &peer.name)?;
        let answer = timeout(CHUNK_DEADLINE, client.fetch(request)).await.map_err(late)?;
        let mut chunks = answer.map_err(|status| failed(status.message().to_owned()))?;
        while range.start < range.end {
            let chunk = timeout(CHUNK_DEADLINE, chunks.next()).await.map_err(late)?;
            let chunk = chunk.map_err(|status| failed(status.message().to_owned()))?;
            let Some(chunk) = chunk.filter(|chunk| chunk.head.index == range.start) else {
                return Err(failed("it ended early".to_owned()));
            };
            rate.take(chunk.body.len()).await;
            self.blobs.put(key(group, object, range.start), chunk.body).await?;
            range.start += 1;
        }
        Ok(())
    }
}
