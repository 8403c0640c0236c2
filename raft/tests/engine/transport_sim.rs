//! Real groups over the simulated wire: faults, recovery, and the same run from the same seed.

use crate::transport_cluster;

use std::time::Duration;

use openraft::{AsyncRuntime, Instant};
use rowhouse_raft::log_store::LogEngine;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::{KvCommand, SimNet, SimWeather, Simulation};
use rowhouse_raft::{ProposeError, RaftTiming, Replica};
use transport_cluster::*;

type S = Simulation;

async fn cluster(net: &SimNet<S>) -> Vec<Member<S>> {
    let mut members = Vec::new();
    for number in 1..=3 {
        members.push(Member::start(number, net.wire(node(number)), Disks::new()).await);
    }
    initialize(&members).await;
    members
}

async fn stop(members: Vec<Member<S>>) {
    for member in members {
        member.host.shutdown().await.expect("a clean end");
    }
}

/// Two of three nodes, drawn.
fn pair() -> (u8, u8) {
    let from = (S::random_u64() % 3) as u8;
    let to = (from + 1 + (S::random_u64() % 2) as u8) % 3;
    (from + 1, to + 1)
}

async fn writes_under_partitions() -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let net = SimNet::new(SimWeather { reset_per_million: 500, ..SimWeather::default() });
    let members = cluster(&net).await;
    for n in 0..30 {
        if n % 10 == 5 {
            let (from, to) = pair();
            net.partition(node(from), node(to), S::random_u64() % 2 == 0);
        }
        if n % 10 == 9 {
            net.heal();
        }
        put(&members, &format!("key{n}"), &n.to_string()).await;
    }
    net.heal();
    for n in 0..30 {
        replicated(&members, &format!("key{n}"), &n.to_string()).await;
    }
    let records = members[0].records();
    for member in &members {
        assert_eq!(member.records(), records);
    }
    stop(members).await;
    records
}

#[test]
fn writes_survive_partitions_and_resets() {
    for seed in 0..8 {
        let records = S::with_seed(seed).block_on(writes_under_partitions());
        assert_eq!(records.len(), 30, "seed {seed}");
    }
}

#[test]
fn a_seed_always_gives_the_same_run() {
    let trace = || {
        let mut runtime = S::with_seed(42);
        runtime.record_trace(true);
        runtime.block_on(writes_under_partitions());
        runtime.take_trace()
    };
    let (first, second) = (trace(), trace());
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    assert_eq!(differs, None, "of {} and {} events", first.len(), second.len());
    assert_eq!(first.len(), second.len());
}

#[test]
fn a_minority_cannot_write() {
    S::with_seed(5).block_on(async {
        let net = SimNet::new(SimWeather::default());
        let members = cluster(&net).await;
        put(&members, "before", "1").await;
        let leading = leader(&members).await.number;
        for other in (1..=3).filter(|other| *other != leading) {
            net.partition(node(leading), node(other), false);
        }
        let deposed = &members[usize::from(leading) - 1];
        until::<S>("another leader", || {
            members.iter().any(|member| member.number != leading && member.group.is_leader())
        })
        .await;
        let rest: Vec<_> = members.iter().filter(|member| member.number != leading).collect();
        until::<S>("the rest agrees", || rest.iter().any(|member| member.group.is_leader())).await;
        assert!(deposed.group.read_barrier().await.is_err(), "a deposed leader reads");
        net.heal();
        put(&members, "after", "2").await;
        replicated(&members, "after", "2").await;
        stop(members).await;
    });
}

fn timing(election_max_ms: u64) -> RaftTiming {
    RaftTiming { election_max_ms, ..RaftTiming::default() }
}

/// Ends a member's process and starts the next one on its disks.
async fn restart(net: &SimNet<S>, member: Member<S>, timing: RaftTiming) -> Member<S> {
    let number = member.number;
    net.crash(node(number));
    member.host.stop(GROUP).await;
    let Member { disks, .. } = member;
    net.restart(node(number));
    Member::start_with(number, net.wire(node(number)), disks, timing).await
}

/// A leader with the long lease would read for 2.5 s after it was cut off; the others elect another within 1.2 s.
#[test]
fn a_node_whose_lease_does_not_suit_takes_no_part_until_it_does() {
    for seed in 0..4 {
        S::with_seed(seed).block_on(async {
            let net = SimNet::new(SimWeather::default());
            let mut members = cluster(&net).await;
            put(&members, "before", "1").await;
            replicated(&members, "before", "1").await;
            let odd = restart(&net, members.remove(0), timing(5000)).await;
            for n in 0..20 {
                put(&members, &format!("key{n}"), "2").await;
                S::sleep(Duration::from_millis(500)).await;
                assert!(!odd.group.is_leader(), "seed {seed}");
            }
            assert_eq!(odd.get("key0"), None, "it heard of a leader it must not follow");
            // Steps that suit, node by node, while the others go on.
            members.insert(0, restart(&net, odd, timing(800)).await);
            replicated(&members, "key19", "2").await;
            for step in [800, 1200] {
                for _ in 0..3 {
                    let member = members.remove(0);
                    members.push(restart(&net, member, timing(step)).await);
                    put(&members, &format!("step{step}"), "3").await;
                    replicated(&members, "key19", "2").await;
                }
            }
            stop(members).await;
        });
    }
}

/// Longer than it takes ticks to fill a channel of 4,096.
const STALL: Duration = Duration::from_secs(300);
/// Enough to fill the queue of the state machine (1,024) early in the stall.
const LOAD_EVERY: Duration = Duration::from_millis(50);

#[test]
fn a_leader_whose_log_disk_hung_for_minutes_catches_up() {
    S::with_seed(1).block_on(async {
        let net = SimNet::new(SimWeather::default());
        let members = cluster(&net).await;
        put(&members, "before", "1").await;
        let victim = leader(&members).await;
        victim.disks.log.stall(true);
        let ends = <S as AsyncRuntime>::Instant::now() + STALL;
        for n in 0u64.. {
            if <S as AsyncRuntime>::Instant::now() >= ends {
                break;
            }
            if let Some(leading) = members.iter().find(|member| member.group.is_leader()) {
                let command = KvCommand::put(u128::from(n).to_be_bytes(), format!("load{n}"), "x").encode();
                let group = leading.group.clone();
                // What came of it does not matter: it is there to be applied.
                drop(S::spawn(async move { drop(group.propose(command, bytes::Bytes::new()).await) }));
            }
            S::sleep(LOAD_EVERY).await;
        }
        victim.disks.log.stall(false);
        put(&members, "after", "2").await;
        replicated(&members, "after", "2").await;
        stop(members).await;
    });
}

/// Its heartbeats need no disk: left alone it would lead for ever.
#[test]
fn a_leader_whose_log_hangs_gives_its_groups_up() {
    for seed in 0..8 {
        S::with_seed(seed).block_on(async {
            let net = SimNet::new(SimWeather::default());
            let members = cluster(&net).await;
            put(&members, "before", "1").await;
            let victim = leader(&members).await;
            let others = || members.iter().filter(|member| member.number != victim.number);
            victim.disks.log.stall(true);
            let group = victim.group.clone();
            // Something to wait for; what comes of it does not matter.
            let command = KvCommand::put(1u128.to_be_bytes(), "stuck".to_owned(), "x").encode();
            drop(S::spawn(async move { drop(group.propose(command, bytes::Bytes::new()).await) }));
            until::<S>("something to wait for the disk", || {
                victim.disks.log.progress().waiting()[0].is_some()
            })
            .await;
            S::sleep(Duration::from_secs(30)).await;
            assert!(others().all(|member| !member.group.is_leader()), "seed {seed}: nobody judged yet");

            victim.host.judge_log(true);
            let refused = victim.group.propose(
                KvCommand::put(2u128.to_be_bytes(), "no".to_owned(), "x").encode(),
                bytes::Bytes::new(),
            );
            assert_eq!(refused.await, Err(ProposeError::NotLeader { leader_node: None }), "seed {seed}");
            until::<S>("another leader", || others().any(|member| member.group.is_leader())).await;
            assert!(victim.group.read_barrier().await.is_err(), "seed {seed}: a deposed leader reads");
            put(&members, "meanwhile", "2").await;

            victim.disks.log.stall(false);
            victim.host.judge_log(false);
            put(&members, "after", "3").await;
            for key in ["before", "meanwhile", "after"] {
                let value = if key == "before" {
                    "1"
                } else if key == "meanwhile" {
                    "2"
                } else {
                    "3"
                };
                replicated(&members, key, value).await;
            }
            stop(members).await;
        });
    }
}

#[test]
fn a_newcomer_is_sent_a_snapshot() {
    for seed in 0..4 {
        S::with_seed(seed).block_on(async {
            let net = SimNet::new(SimWeather::default());
            let mut members = cluster(&net).await;
            for n in 0..20 {
                put(&members, &format!("key{n}"), &n.to_string()).await;
            }
            let leading = leader(&members).await;
            let applied = purge(leading).await;
            let raft = leading.group.raft().clone();
            let newcomer = Member::start(4, net.wire(node(4)), Disks::new()).await;
            raft.add_learner(replica(4), Replica { node_uuid: node(4) }, true).await.expect("a learner");
            members.push(newcomer);
            replicated(&members, "key19", "19").await;
            assert!(members[3].group.status().purged >= applied, "it came by log");
            assert_eq!(members[3].records(), members[0].records());
            stop(members).await;
        });
    }
}

#[test]
fn a_crashed_node_comes_back() {
    for seed in 0..4 {
        S::with_seed(seed).block_on(async {
            let net = SimNet::new(SimWeather::default());
            let mut members = cluster(&net).await;
            put(&members, "before", "1").await;
            let number = leader(&members).await.number;
            let victim = members.remove(usize::from(number) - 1);
            net.crash(node(number));
            victim.host.stop(GROUP).await;
            let Member { disks, .. } = victim;
            put(&members, "during", "2").await;
            net.restart(node(number));
            members.push(Member::start(number, net.wire(node(number)), disks).await);
            put(&members, "after", "3").await;
            for (key, value) in [("before", "1"), ("during", "2"), ("after", "3")] {
                replicated(&members, key, value).await;
            }
            stop(members).await;
        });
    }
}
