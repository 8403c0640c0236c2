//! `Meta`: position and members of a snapshot, as openraft and its senders tell them.

use openraft::SnapshotMeta;

use super::applied::Applied;
use crate::codec::StoredMembership;

/// `SnapshotMeta` of our types.
pub(super) type Meta = SnapshotMeta<
    openraft::impls::leader_id_adv::LeaderId<u64, crate::ReplicaId>,
    crate::ReplicaId,
    crate::Replica,
>;

pub(super) fn meta(applied: &Applied) -> Meta {
    SnapshotMeta {
        last_log_id: applied.log_id,
        last_membership: StoredMembership::clone(&applied.membership),
    }
}
