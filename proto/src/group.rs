//! Where a group's replicas are, as the map has it.

use crate::wire::meta::{GroupInfo, ReplicaInfo};

impl GroupInfo {
    /// Its replicas, and the one that is on its way in.
    pub fn places(&self) -> impl Iterator<Item = &ReplicaInfo> {
        self.replicas.iter().chain(self.moving.as_ref().and_then(|moving| moving.add.as_ref()))
    }

    /// Whether a node has a replica of the group, or shall have one.
    pub fn is_on(&self, node_uuid: &[u8]) -> bool {
        self.places().any(|replica| replica.node_uuid == node_uuid)
    }

    /// The replicas after the move that is under way; those there are if none is.
    pub fn replicas_after(&self) -> Vec<&ReplicaInfo> {
        let removed = self.moving.as_ref().map_or(0, |moving| moving.remove);
        self.places().filter(|replica| replica.replica_id != removed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::meta::ReplicaMove;

    #[test]
    fn a_move_has_both_its_places_until_it_is_over() {
        let replica = |replica_id| ReplicaInfo { replica_id, node_uuid: vec![replica_id as u8; 16].into() };
        let moving = ReplicaMove { add: Some(replica(4)), remove: 1, ..ReplicaMove::default() };
        let replicas = (1..=3).map(replica).collect();
        let group = GroupInfo { replicas, moving: Some(moving), ..GroupInfo::default() };
        let ids = |replicas: &[&ReplicaInfo]| replicas.iter().map(|it| it.replica_id).collect::<Vec<_>>();
        assert_eq!(ids(&group.places().collect::<Vec<_>>()), [1, 2, 3, 4]);
        assert_eq!(ids(&group.replicas_after()), [2, 3, 4]);
        assert!(group.is_on(&[1; 16]) && group.is_on(&[4; 16]) && !group.is_on(&[5; 16]));
    }
}
