//! A replica that is not what its leader is stops, and comes back to the same entry after a restart.

use crate::transport_cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::AsyncRuntime;
use rowhouse_raft::sim::{KvCommand, KvMachine, SimNet, SimWeather, Simulation};
use rowhouse_raft::state::Txn;
use rowhouse_raft::{CheckPace, EntryContext, Error, GroupRole, Machine, RaftTiming};
use transport_cluster::*;

type S = Simulation;

const NOBODY: u8 = 0;
/// Whatever was written is compared at once.
const AT_ONCE: CheckPace = CheckPace { entries: 1, wait: Duration::ZERO };

/// The map, but one node skips the writes of one key.
struct Forgetful {
    node: u8,
    forgets: Arc<AtomicU8>,
}

impl Machine for Forgetful {
    fn apply(&self, context: EntryContext<'_>, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        match KvCommand::decode(command)? {
            KvCommand::Put { key, .. }
                if key == "forgotten" && self.forgets.load(Ordering::Relaxed) == self.node =>
            {
                Ok(Bytes::new())
            }
            _ => KvMachine.apply(context, command, txn),
        }
    }
}

struct World {
    net: SimNet<S>,
    forgets: Arc<AtomicU8>,
    members: Vec<Member<S>>,
}

impl World {
    async fn new() -> Self {
        let net = SimNet::new(SimWeather::default());
        let forgets = Arc::new(AtomicU8::new(NOBODY));
        let mut members = Vec::new();
        for number in 1..=3 {
            let machine = Arc::new(Forgetful { node: number, forgets: forgets.clone() });
            let member = Member::try_start(
                number,
                net.wire(node(number)),
                Disks::new(),
                RaftTiming::default(),
                machine,
            )
            .await;
            members.push(member.expect("a replica"));
        }
        initialize(&members).await;
        Self { net, forgets, members }
    }

    /// Writes, lets one member forget, and has all compare until somebody stops.
    async fn diverge(&self, forgetful: u8) {
        put(&self.members, "first", "1").await;
        replicated(&self.members, "first", "1").await;
        self.check_twice().await;
        self.forgets.store(forgetful, Ordering::Relaxed);
        put(&self.members, "forgotten", "2").await;
        self.check_twice().await;
    }

    /// Note and compare.
    async fn check_twice(&self) {
        for _ in 0..2 {
            for member in &self.members {
                member.host.check_states(&AT_ONCE).await;
            }
        }
    }

    fn stopped(&self) -> Vec<u8> {
        let broken = self.members.iter().filter(|member| member.group.status().role == GroupRole::Broken);
        broken.map(|member| member.number).collect()
    }
}

#[test]
fn a_follower_that_differs_stops_and_the_others_go_on() {
    for seed in 0..4 {
        S::with_seed(seed).block_on(async {
            let mut world = World::new().await;
            let leads = leader(&world.members).await.number;
            let odd = leads % 3 + 1;
            world.diverge(odd).await;
            until::<S>("the odd one stops", || world.stopped() == [odd]).await;
            let at = usize::from(odd) - 1;
            let problem = world.members[at].group.status().problem.unwrap_or_default();
            assert!(problem.contains("state hash"), "seed {seed}: {problem}");

            let odd_one = world.members.remove(at);
            put(&world.members, "third", "3").await;
            replicated(&world.members, "third", "3").await;
            world.check_twice().await;
            assert!(world.stopped().is_empty(), "seed {seed}: those left are equal");

            odd_one.host.shutdown().await.expect("a clean end");
            let machine = Arc::new(Forgetful { node: odd, forgets: world.forgets.clone() });
            let Member { disks, .. } = odd_one;
            world.net.restart(node(odd));
            let again =
                Member::try_start(odd, world.net.wire(node(odd)), disks, RaftTiming::default(), machine)
                    .await;
            // At its start, if it knew the entry to be committed, else when the leader tells.
            match again {
                Err(error) => assert!(matches!(error, Error::Halted(_)), "seed {seed}: {error}"),
                Ok(again) => {
                    until::<S>("it stops again", || again.group.halted().is_some()).await;
                }
            }
        });
    }
}

#[test]
fn followers_of_a_leader_that_differs_stop_and_nothing_is_served() {
    S::with_seed(5).block_on(async {
        let world = World::new().await;
        let leads = leader(&world.members).await.number;
        world.diverge(leads).await;
        let others: Vec<u8> = (1..=3).filter(|number| *number != leads).collect();
        until::<S>("the majority stops", || world.stopped() == others).await;
        // Beyond any lease it may have held.
        S::sleep(Duration::from_secs(10)).await;
        for member in &world.members {
            member.group.read_barrier().await.expect_err("nobody serves what may be wrong");
        }
    });
}
