//! openraft's suite leaves out an index where no log would; here blank entries stand in for it.

use std::io;

use futures::{Stream, StreamExt, stream};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};

use crate::RaftTypes;
use crate::codec::{Entry, LogId, StoredMembership};
use crate::runtime::Runtime;
use crate::state::snapshot_build::GroupSnapshot;
use crate::state::snapshot_meta::Meta;
use crate::state::{GroupState, SnapshotBuilder, SnapshotData};

pub struct Gapless<R: Runtime>(pub GroupState<R>);

impl<R: Runtime> RaftStateMachine<RaftTypes<R>> for Gapless<R> {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder<R>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        self.0.applied_state().await
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<RaftTypes<R>>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut last, _) = self.0.applied_state().await?;
        let mut without_gaps = Vec::new();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let LogId { leader_id, index: end } = entry.log_id;
            let from = last.map_or(end, |last| last.index + 1);
            let blank = |index| Entry { log_id: LogId { leader_id, index }, payload: EntryPayload::Blank };
            without_gaps.extend((from..end).map(|index| Ok((blank(index), None))));
            last = Some(entry.log_id);
            without_gaps.push(Ok((entry, responder)));
        }
        self.0.apply(stream::iter(without_gaps)).await
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder<R>> {
        self.0.try_create_snapshot_builder(force).await
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<R> {
        self.0.get_snapshot_builder().await
    }

    async fn install_snapshot(&mut self, meta: &Meta, snapshot: SnapshotData) -> Result<(), io::Error> {
        self.0.install_snapshot(meta, snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<GroupSnapshot>, io::Error> {
        self.0.get_current_snapshot().await
    }
}
