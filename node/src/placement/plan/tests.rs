//! Whole days of a cluster, planned and done in memory.

mod toy;

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::command::{RemoveNode, meta_command::Body};

use self::toy::{BOUNDS, Toy};
use crate::placement::step::Step;

const NO_ZONES: [&str; 3] = [""; 3];

/// Until a node that is down counts as dead.
fn pass_the_limit(toy: &mut Toy) {
    toy.round();
    toy.now_ms += BOUNDS.dead_after_ms;
}

fn is_on(toy: &Toy, node: u8) -> bool {
    toy.map().groups.iter().any(|info| info.is_on(&[node; 16]))
}

#[test]
fn a_cluster_in_which_nothing_happens_is_left_alone() {
    let mut toy = Toy::new(&NO_ZONES, 16);
    for _ in 0..5 {
        assert_eq!(toy.round(), []);
    }
}

#[test]
fn a_node_away_for_too_long_is_replaced_and_one_that_returns_before_is_not() {
    let mut toy = Toy::new(&[""; 4], 16);
    toy.settle();
    toy.down.insert(2);
    let marked = toy.round();
    assert_eq!(marked, [Step::Mark { node: [2; 16], away: true }]);
    toy.now_ms += BOUNDS.dead_after_ms - 10_000;
    assert_eq!(toy.round(), [], "not yet");
    toy.down.clear();
    assert_eq!(toy.round(), [Step::Mark { node: [2; 16], away: false }]);
    toy.now_ms += BOUNDS.dead_after_ms;
    assert_eq!(toy.settle(), 0, "it is back");

    toy.down.insert(2);
    pass_the_limit(&mut toy);
    toy.settle();
    assert!(!is_on(&toy, 2), "of the meta group neither");
    assert!(toy.map().groups.iter().all(|info| info.replicas.len() == 3));
    toy.down.clear();
    toy.settle();
    assert_eq!(toy.held().values().max(), Some(&12), "it is used again");
    assert!(is_on(&toy, 2));
}

#[test]
fn a_lost_node_is_replaced_at_once_and_leaves_the_map() {
    let mut toy = Toy::new(&NO_ZONES, 8);
    toy.down.insert(1);
    toy.round();
    toy.join(4, "");
    toy.direct(1, false, true);
    toy.settle();
    assert!(!is_on(&toy, 1) && toy.map().nodes.len() == 3);
    assert_eq!(toy.held().into_values().collect::<Vec<_>>(), [8, 8, 8]);
}

#[test]
fn nothing_moves_for_balance_while_a_node_is_away() {
    let mut toy = Toy::new(&NO_ZONES, 8);
    toy.down.insert(1);
    toy.join(4, "");
    assert_eq!(toy.round(), [Step::Mark { node: [1; 16], away: true }], "also before it is marked");
    assert_eq!(toy.settle(), 0);
    toy.down.clear();
    toy.settle();
    assert!(is_on(&toy, 4));
}

#[test]
fn nothing_moves_for_balance_while_a_replica_is_broken() {
    let mut toy = Toy::new(&NO_ZONES, 8);
    let broken = toy.map().groups[0].replicas[2].replica_id;
    toy.broken.insert(broken);
    toy.join(4, "");
    assert_eq!(toy.settle(), 0, "the move could take one of the two that are sound");
    toy.broken.clear();
    toy.settle();
    assert!(is_on(&toy, 4));
}

#[test]
fn without_a_node_to_go_to_nothing_moves() {
    let mut toy = Toy::new(&NO_ZONES, 8);
    toy.down.insert(1);
    pass_the_limit(&mut toy);
    assert_eq!(toy.settle(), 0);
    toy.join(4, "");
    toy.settle();
    assert!(!is_on(&toy, 1));
}

#[test]
fn an_empty_node_receives_its_share() {
    let mut toy = Toy::new(&NO_ZONES, 16);
    toy.join(4, "");
    toy.join(5, "");
    toy.settle();
    let held = toy.held();
    let (least, most) = (held.values().min(), held.values().max());
    assert!(held.len() == 5 && most.zip(least).is_some_and(|(most, least)| most - least <= 2), "{held:?}");
    toy.rebalance();
    toy.settle();
    let held = toy.held();
    assert!(held.values().all(|held| (9..=10).contains(held)), "{held:?}");
    assert!(!toy.map().rebalance, "the wish is fulfilled");
}

#[test]
fn a_cluster_of_one_grows_to_three_replicas() {
    let mut toy = Toy::new(&[""], 4);
    toy.settle();
    toy.join(2, "");
    toy.join(3, "");
    toy.settle();
    assert!(toy.map().groups.iter().all(|info| info.replicas.len() == 3));
}

#[test]
fn a_node_that_leaves_empties_and_goes_for_good() {
    let mut toy = Toy::new(&[""; 5], 16);
    toy.settle();
    toy.direct(1, true, false);
    toy.direct(2, true, false);
    toy.settle();
    assert!(!is_on(&toy, 1) && !is_on(&toy, 2));
    assert!(toy.shards.values().all(|shard| shard.sets.len() == 1 && shard.sets[0].len() == 3));
    toy.apply(Body::RemoveNode(RemoveNode { node_uuid: vec![1; 16].into() }));
    assert_eq!(toy.map().nodes.len(), 4);
    toy.direct(2, false, false);
    toy.settle();
    assert!(is_on(&toy, 2), "it stays after all");
}

#[test]
fn zones_are_kept_apart_and_become_apart_when_there_are_enough() {
    let mut toy = Toy::new(&["a", "b", "a", "b"], 8);
    toy.settle();
    toy.join(5, "c");
    toy.join(6, "c");
    toy.settle();
    let zones = ["a", "b", "a", "b", "c", "c"];
    let zone_of = |node: u8| zones[usize::from(node) - 1];
    for info in toy.map().groups.iter().filter(|info| info.group != META_GROUP) {
        let mut held: Vec<&str> = info.replicas.iter().map(|it| zone_of(it.node_uuid[0])).collect();
        held.sort_unstable();
        assert_eq!(held, ["a", "b", "c"], "group {}", info.group);
    }
    toy.down.insert(5);
    pass_the_limit(&mut toy);
    toy.settle();
    let shards = || toy.map().groups.into_iter().filter(|info| info.group != META_GROUP);
    assert!(shards().all(|info| info.is_on(&[6; 16])), "the other node of its zone");
}

/// Two zones keep everything while nodes of others are empty: the fullest and the emptiest may be of different zones.
#[test]
fn empty_nodes_of_different_zones_receive_their_share() {
    let mut toy = Toy::new(&["a", "b", "c", "a", "b", "c"], 8);
    toy.settle();
    for gone in [5, 3] {
        toy.down.insert(gone);
        pass_the_limit(&mut toy);
        toy.settle();
        toy.direct(gone, false, true);
        toy.settle();
    }
    toy.join(7, "b");
    toy.join(8, "c");
    toy.settle();
    let held = toy.held();
    assert!(held.len() == 6 && held.values().all(|held| (3..=5).contains(held)), "{held:?}");
}

#[test]
fn the_new_nodes_death_gives_a_move_up() {
    let mut toy = Toy::new(&NO_ZONES, 2);
    toy.join(4, "");
    toy.direct(1, true, false);
    while toy.map().groups.iter().all(|info| info.moving.is_none()) {
        toy.round();
    }
    toy.round();
    toy.down.insert(4);
    toy.direct(4, false, true);
    toy.settle();
    assert!(!is_on(&toy, 4) && toy.map().nodes.len() == 3);
    toy.join(5, "");
    toy.settle();
    assert!(!is_on(&toy, 1) && is_on(&toy, 5));
}

#[test]
fn the_new_nodes_death_after_the_vote_ends_a_move_and_begins_another() {
    let mut toy = Toy::new(&[""; 5], 2);
    toy.settle();
    let moving =
        |toy: &Toy| toy.map().groups.into_iter().find(|info| info.group == 0).and_then(|it| it.moving);
    let leaves = toy.map().groups[0].replicas[0].node_uuid[0];
    toy.direct(leaves, true, false);
    let votes = |toy: &Toy| {
        let add = moving(toy).and_then(|it| it.add).map_or(0, |it| it.replica_id);
        toy.shards[&0].sets[0].contains(&add)
    };
    for _ in 0..100 {
        toy.learn();
        toy.round();
        if votes(&toy) {
            break;
        }
    }
    let add = moving(&toy).and_then(|it| it.add).expect("its move is not over");
    let gone = add.node_uuid[0];
    toy.forget(add.replica_id);
    toy.down.insert(gone);
    toy.direct(gone, false, true);
    toy.settle();
    assert!(!is_on(&toy, gone) && !is_on(&toy, leaves));
}

#[test]
fn two_sets_of_voters_left_behind_become_one() {
    let mut toy = Toy::new(&[""; 5], 8);
    toy.settle();
    toy.tears = true;
    toy.direct(1, true, false);
    toy.settle();
    assert!(!is_on(&toy, 1));
    assert!(toy.shards.values().all(|shard| shard.sets.len() == 1));
}

#[test]
fn bytes_are_spread_as_well() {
    let mut toy = Toy::new(&[""; 4], 16);
    toy.settle();
    // All large shards together on nodes 1 to 3.
    let large: Vec<u32> = toy
        .map()
        .groups
        .iter()
        .filter(|info| info.group != META_GROUP && !info.is_on(&[4; 16]))
        .map(|info| info.group)
        .collect();
    assert!(large.len() >= 2, "{large:?}");
    for group in &large {
        toy.shards.get_mut(group).expect("a group").bytes = 8 << 30;
    }
    toy.settle();
    let bytes_on = |node: u8| -> u64 {
        let on = toy.map().groups.into_iter().filter(|info| info.is_on(&[node; 16]));
        on.map(|info| toy.shards[&info.group].bytes).sum()
    };
    let bytes: Vec<u64> = (1..=4).map(bytes_on).collect();
    let spread = bytes.iter().max().zip(bytes.iter().min()).map(|(most, least)| most - least);
    assert!(spread <= Some(8 << 30), "{bytes:?}");
    assert!(toy.held().values().all(|held| (11..=13).contains(held)), "{:?}", toy.held());
}

/// Nodes fall, return, join, leave and are lost at random; whatever happened, the cluster comes to rest in order.
#[test]
fn a_cluster_comes_to_rest_whatever_happened() {
    for seed in 0..60u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut toy = Toy::new(&[""; 4], 8);
        let mut nodes: u8 = 4;
        for _ in 0..40 {
            let n = (next(u64::from(nodes)) + 1) as u8;
            let known = toy.map().nodes.iter().any(|it| it.node_uuid[0] == n);
            match next(6) {
                // At most one node is down at a time, so that no shard loses its quorum.
                0 if toy.down.is_empty() && known => drop(toy.down.insert(n)),
                1 => toy.down.clear(),
                2 if nodes < 9 => {
                    nodes += 1;
                    toy.join(nodes, "");
                }
                3 if known => toy.direct(n, next(2) == 0, false),
                4 if toy.down.contains(&n) && known => toy.direct(n, false, true),
                _ => toy.now_ms += next(2) * BOUNDS.dead_after_ms,
            }
            toy.tears = next(4) == 0;
            for _ in 0..next(12) {
                toy.round();
            }
        }
        toy.down.clear();
        for node in toy.map().nodes {
            toy.direct(node.node_uuid[0], false, false);
        }
        toy.settle();
        for info in toy.map().groups {
            // The meta group began with four.
            let replicas = if info.group == META_GROUP { 3..=4 } else { 3..=3 };
            assert!(replicas.contains(&info.replicas.len()), "seed {seed}: {info:?}");
            assert!(toy.has_quorum(info.group));
        }
    }
}
