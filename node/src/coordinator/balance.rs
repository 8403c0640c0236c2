//! Pure: the next transfer of leadership that evens out who leads how much, if one is due.

use rowhouse_proto::wire::meta::{GroupStatus, NodeStatusReply};

/// A node may lead this much more than the mean, in percent, before anything is moved: a transfer stops
/// a group for a moment (docs/rules/consensus.md#leaders-move-slowly).
const EXCESS_PERCENT: usize = 120;

/// One leadership to move, and the node that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The group to hand over.
    pub group: u32,
    /// Address of the node that leads it.
    pub at: String,
    /// Name of that node.
    pub name: String,
    /// The voter that takes it.
    pub to_replica: u64,
}

/// `statuses` are those of the nodes that answered just now.
pub fn next_transfer(statuses: &[NodeStatusReply]) -> Option<Transfer> {
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
    // The idlest node that follows one of these groups, up to date and in the same term.
    let candidates = groups.iter().flat_map(|group| {
        statuses.iter().enumerate().filter_map(|(place, status)| {
            let follower = status.groups.iter().find(|other| other.group == group.group)?;
            let ready = follower.role == "follower"
                && follower.term == group.term
                && follower.last_log == group.last_log
                && !status.low_space;
            ready.then_some((led[place].len(), *group, follower.replica_id))
        })
    });
    let (count, group, to_replica) = candidates.min_by_key(|(count, group, _)| (*count, group.group))?;
    let evens_out = groups.len() >= count + 2;
    evens_out.then(|| Transfer {
        group: group.group,
        at: statuses[busiest].address.clone(),
        name: statuses[busiest].name.clone(),
        to_replica,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three nodes follow every group; `leaders[g]` leads group g. Replica of node n in group g: 10 g + n.
    fn statuses(leaders: &[usize]) -> Vec<NodeStatusReply> {
        (0..3)
            .map(|node| NodeStatusReply {
                address: format!("node{node}:1"),
                name: format!("node{node}"),
                groups: leaders
                    .iter()
                    .enumerate()
                    .map(|(group, leader)| GroupStatus {
                        group: group as u32,
                        replica_id: (10 * group + node) as u64,
                        role: if *leader == node { "leader" } else { "follower" }.into(),
                        term: 3,
                        last_log: 7,
                        ..GroupStatus::default()
                    })
                    .collect(),
                ..NodeStatusReply::default()
            })
            .collect()
    }

    #[test]
    fn an_even_cluster_is_left_alone() {
        assert_eq!(next_transfer(&statuses(&[0, 1, 2, 0, 1, 2, 0])), None);
        assert_eq!(next_transfer(&[]), None);
        assert_eq!(next_transfer(&statuses(&[])), None);
    }

    #[test]
    fn the_busiest_node_hands_a_group_to_the_idlest() {
        let transfer = next_transfer(&statuses(&[0, 0, 0, 0, 1, 1])).expect("uneven");
        assert_eq!(
            transfer,
            Transfer { group: 0, at: "node0:1".into(), name: "node0".into(), to_replica: 2 }
        );
    }

    #[test]
    fn repeated_transfers_end_in_balance() {
        let mut leaders = vec![0; 16];
        for _ in 0..16 {
            let Some(transfer) = next_transfer(&statuses(&leaders)) else { break };
            leaders[transfer.group as usize] = (transfer.to_replica % 10) as usize;
        }
        assert_eq!(next_transfer(&statuses(&leaders)), None);
        for node in 0..3 {
            let led = leaders.iter().filter(|leader| **leader == node).count();
            assert!((5..=6).contains(&led), "{leaders:?}");
        }
    }

    #[test]
    fn nothing_goes_to_a_follower_that_lags_or_is_full() {
        let mut uneven = statuses(&[0, 0, 0, 0]);
        for group in &mut uneven[2].groups {
            group.last_log = 6;
        }
        uneven[1].low_space = true;
        assert_eq!(next_transfer(&uneven), None);
        uneven[1].low_space = false;
        assert_eq!(next_transfer(&uneven).map(|transfer| transfer.to_replica), Some(1));
        uneven[1].draining = true;
        assert_eq!(next_transfer(&uneven), None);
    }
}
