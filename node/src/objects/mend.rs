//! One object, or one flaw of it, made whole from other replicas.

use rowhouse_proto::wire::state::Object;
use tracing::{error, info};

use super::inventory::{Damage, Flaw};
use super::progress::Progress;
use super::shared::{Objects, chunk_count, key, live};
use super::verify::Verdict;
use crate::state::objects::ObjectId;
use crate::{Error, Group};

impl Objects {
    /// Fetches what an object lacks; whether it lacks nothing now.
    #[tracing::instrument(name = "node.fill_object", parent = None, skip_all, fields(raft.group = group.id()))]
    pub(super) async fn fill_object(&self, group: &Group, id: ObjectId) -> Result<bool, Error> {
        // Else it was replaced meanwhile.
        let Some(row) = live(group, &id)? else { return Ok(true) };
        let end = chunk_count(row.length);
        let mut next = 0;
        loop {
            let gap = self.next_gap(group, id, next..end).await?;
            if gap.is_empty() {
                break;
            }
            next = gap.end;
            if !self.fetch(group, id, gap).await? {
                return Ok(false);
            }
        }
        match self.verify(group, id, &row, None).await? {
            Verdict::Whole => {}
            Verdict::Incomplete => return Ok(false),
            Verdict::Wrong => {
                self.damaged(Damage { replica: group.replica(), object: id, index: None });
                return Ok(true);
            }
        }
        info!(group = group.id(), bytes = row.length, "an object that was missing here is complete");
        Progress::count(&self.progress.filled);
        Ok(true)
    }

    /// Mends one flaw; whether it is gone. What is not mended now stays noted.
    #[tracing::instrument(name = "node.repair_chunk", parent = None, skip_all, fields(raft.group = group.id()))]
    pub(super) async fn repair(&self, group: &Group, (id, index): Flaw) -> Result<bool, Error> {
        // Else it was replaced meanwhile.
        let Some(row) = live(group, &id)? else { return Ok(true) };
        let Some(index) = index else { return self.replace(group, id, &row).await };
        // It may have come by another way.
        let is_mended = index >= chunk_count(row.length)
            || matches!(self.blobs.get(key(group, id, index)).await, Ok(Some(_)));
        if is_mended {
            return Ok(true);
        }
        if !self.fetch(group, id, index..index + 1).await? {
            return Ok(false);
        }
        info!(group = group.id(), index, "mended");
        Progress::count(&self.progress.repaired);
        Ok(true)
    }

    /// The chunks are what was sent, and not what was written: another replica's take their places, until they
    /// are.
    async fn replace(&self, group: &Group, id: ObjectId, row: &Object) -> Result<bool, Error> {
        let mut has_all = true;
        for node in self.sources(group) {
            let is_here = self.fetch_at(node, group, id, &mut (0..chunk_count(row.length))).await?;
            let verdict =
                if is_here { self.verify(group, id, row, None).await? } else { Verdict::Incomplete };
            match verdict {
                Verdict::Whole => {
                    info!(group = group.id(), "an object that was not what was written is mended");
                    Progress::count(&self.progress.repaired);
                    return Ok(true);
                }
                Verdict::Incomplete => has_all = false,
                Verdict::Wrong => {}
            }
        }
        if has_all {
            error!(group = group.id(), "an object is on no replica what was written; it is left as it is");
        }
        Ok(has_all)
    }
}
