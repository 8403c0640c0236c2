//! Pure: the next transfer of leadership that evens out who leads how much, if one is due.

use rowhouse_proto::wire::meta::{GroupStatus, NodeStatusReply};

use crate::identity::NodeUuid;
use crate::placement::HEIR_LAG_MAX;
use crate::placement::uuid;

/// A node may lead this much more than the mean, in percent, before anything is moved: a transfer stops
/// a group for a moment (docs/rules/consensus.md#leaders-move-slowly).
const EXCESS_PERCENT: usize = 120;

/// One leadership to move, and the node that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The group to hand over.
    pub group: u32,
    /// The node that leads it.
    pub at: NodeUuid,
    /// The voter that takes it.
    pub to_replica: u64,
}

/// `statuses` are those of the nodes that answered just now. Groups of which a replica moves are left alone.
pub fn next_transfer(statuses: &[NodeStatusReply], moves: impl Fn(u32) -> bool) -> Option<Transfer> {
    // One that drains gives its own away, and must be given nothing.
    let statuses: Vec<&NodeStatusReply> = statuses.iter().filter(|status| !status.draining).collect();
    let led: Vec<Vec<&GroupStatus>> = statuses
        .iter()
        .map(|status| status.groups.iter().filter(|group| group.role == "leader").collect())
        .collect();
    let total: usize = led.iter().map(Vec::len).sum();
    let (busiest, groups) = led.iter().enumerate().max_by_key(|(_, groups)| groups.len())?;
    if groups.len() * 100 * statuses.len() <= total * EXCESS_PERCENT {
        return None;
    }
    // The idlest node that follows one of these groups and could lead it at once.
    let candidates = groups.iter().filter(|group| !moves(group.group)).flat_map(|group| {
        statuses.iter().enumerate().filter_map(|(place, status)| {
            let follower = status.groups.iter().find(|other| other.group == group.group)?;
            let ready =
                follower.role == "follower" && could_lead(group, follower.replica_id) && !status.low_space;
            ready.then_some((led[place].len(), *group, follower.replica_id))
        })
    });
    let (count, group, to_replica) = candidates.min_by_key(|(count, group, _)| (*count, group.group))?;
    let evens_out = groups.len() >= count + 2;
    evens_out.then(|| Transfer { group: group.group, at: uuid(&statuses[busiest].node_uuid), to_replica })
}

/// The leader's own word: a shard that is written to constantly has another last entry in every report.
fn could_lead(group: &GroupStatus, replica: u64) -> bool {
    group.followers.iter().any(|follower| {
        follower.replica_id == replica
            && follower.answered
            && follower.matched + HEIR_LAG_MAX >= group.last_log
    })
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::Follower;

    use super::*;

    /// Three nodes follow every group; `leaders[g]` leads group g. Replica of node n in group g: 10 g + n.
    fn statuses(leaders: &[usize]) -> Vec<NodeStatusReply> {
        (0..3)
            .map(|node| NodeStatusReply {
                node_uuid: vec![node as u8; 16].into(),
                groups: leaders
                    .iter()
                    .enumerate()
                    .map(|(group, leader)| GroupStatus {
                        group: group as u32,
                        replica_id: (10 * group + node) as u64,
                        role: if *leader == node { "leader" } else { "follower" }.into(),
                        term: 3,
                        last_log: 700,
                        followers: (0..3)
                            .map(|other| Follower {
                                replica_id: (10 * group + other) as u64,
                                matched: 690,
                                answered: true,
                            })
                            .collect(),
                        ..GroupStatus::default()
                    })
                    .collect(),
                ..NodeStatusReply::default()
            })
            .collect()
    }

    #[test]
    fn an_even_cluster_is_left_alone() {
        assert_eq!(next_transfer(&statuses(&[0, 1, 2, 0, 1, 2, 0]), |_| false), None);
        assert_eq!(next_transfer(&[], |_| false), None);
        assert_eq!(next_transfer(&statuses(&[]), |_| false), None);
    }

    #[test]
    fn the_busiest_node_hands_a_group_to_the_idlest() {
        let transfer = next_transfer(&statuses(&[0, 0, 0, 0, 1, 1]), |_| false).expect("uneven");
        assert_eq!(transfer, Transfer { group: 0, at: [0; 16], to_replica: 2 });
    }

    #[test]
    fn repeated_transfers_end_in_balance() {
        let mut leaders = vec![0; 16];
        for _ in 0..16 {
            let Some(transfer) = next_transfer(&statuses(&leaders), |_| false) else { break };
            leaders[transfer.group as usize] = (transfer.to_replica % 10) as usize;
        }
        assert_eq!(next_transfer(&statuses(&leaders), |_| false), None);
        for node in 0..3 {
            let led = leaders.iter().filter(|leader| **leader == node).count();
            assert!((5..=6).contains(&led), "{leaders:?}");
        }
    }

    #[test]
    fn nothing_goes_to_a_follower_that_lags_or_is_full() {
        let mut uneven = statuses(&[0, 0, 0, 0]);
        for group in &mut uneven[0].groups {
            group.followers[2].matched = 600;
        }
        uneven[1].low_space = true;
        assert_eq!(next_transfer(&uneven, |_| false), None);
        uneven[1].low_space = false;
        assert_eq!(next_transfer(&uneven, |_| false).map(|transfer| transfer.to_replica), Some(1));
        uneven[1].draining = true;
        assert_eq!(next_transfer(&uneven, |_| false), None);
    }
}
