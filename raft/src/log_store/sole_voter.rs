//! Makes a replica whose group has lost its majority the only voter of it, in its log on disk.
//!
//! Nothing in Raft allows this: entries that the lost majority acknowledged and this replica never received are gone.
//! The frames of the others must be refused from then on, or two groups would live on.

use std::collections::BTreeMap;

use openraft::EntryPayload;
use openraft::impls::leader_id_adv::LeaderId;

use super::answer::submit_durably;
use super::engine::{LogEngine, LogOp, LogRecord, MetaKind};
use super::opening;
use crate::codec::{self, Entry, LogId, Membership, Vote};
use crate::error::Error;
use crate::{Replica, ReplicaId};

/// Appends members of which `replica` on `at` is the only voter, in a term above every one it knows. Its whole log
/// before that stays. The replica must not run. Synced when it returns.
///
/// Fails with `Error::Corrupt` for a replica without a log: it knows nothing that could be saved.
pub async fn make_sole_voter(engine: &dyn LogEngine, replica: ReplicaId, at: Replica) -> Result<(), Error> {
    // Behind whatever an earlier life of the replica left in the queue.
    submit_durably(engine, Vec::new()).await?;
    let opened = opening::read(engine, replica)?;
    let last = opened.positions.last().ok_or_else(|| {
        Error::corrupt(
            "the Raft log",
            format_args!("replica {replica} has none, there is nothing to recover"),
        )
    })?;
    let voted = opened.vote.map_or(0, |vote| vote.leader_id.term);
    let leader_id = LeaderId { term: voted.max(last.leader_id.term) + 1, node_id: replica };
    let members = Membership::new(vec![[replica].into()], BTreeMap::from([(replica, at)]))
        .map_err(|error| Error::corrupt("a membership", error))?;
    let entry = Entry {
        log_id: LogId { leader_id, index: last.index + 1 },
        payload: EntryPayload::Membership(members),
    };
    let vote = codec::seal(&codec::vote_to_wire(&Vote { leader_id, committed: false }));
    let record = LogRecord { index: entry.log_id.index, bytes: codec::encode_entry(&entry) };
    let ops = vec![
        LogOp::Meta { replica, kind: MetaKind::Vote, value: Some(vote) },
        LogOp::Append { replica, records: vec![record], trace: None },
    ];
    submit_durably(engine, ops).await
}
