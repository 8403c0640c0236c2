//! One replica of a shard skips a write, as a bug in apply would have it: that replica stops, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::AsyncRuntime;
use prost::Message;
use rowhouse_node::apply::ShardMachine;
use rowhouse_proto::COMMAND_VERSIONS;
use rowhouse_proto::wire::command::Outcome;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::state::Txn;
use rowhouse_raft::{EntryContext, Error, GroupId, Machine};

use crate::client::{Answer, SimUser, execute, read};
use crate::cluster::{Clocks, Machines, NODES, SimCluster};
use crate::nodes::Nodes;
use crate::run::ids;

/// The shard of the bug, and one beside it on the same nodes.
const SICK: GroupId = 0;
const SOUND: GroupId = 1;
const PATH: &str = "/pub/sim/diverge";
const POLL: Duration = Duration::from_millis(100);
/// Virtual time in which many comparisons happen.
const PATIENCE: u32 = 600;

/// Answers the next command and does not apply it, once armed.
struct Skips {
    armed: AtomicBool,
    machine: ShardMachine,
}

impl Skips {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            armed: AtomicBool::new(false),
            machine: ShardMachine::new(ids(), COMMAND_VERSIONS, [0; 32]),
        })
    }
}

impl Machine for Skips {
    fn apply(&self, context: EntryContext<'_>, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        if self.armed.swap(false, Ordering::Relaxed) {
            return Ok(Outcome::default().encode_to_vec().into());
        }
        self.machine.apply(context, command, txn)
    }
}

async fn put(cluster: &SimCluster, group: GroupId, user: &SimUser, value: u64) {
    let answer = execute(cluster, group, user.put(PATH, value)).await;
    assert!(matches!(&answer, Answer::Done(outcome) if outcome.code == 0), "{answer:?}");
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if done() {
            return;
        }
        Simulation::sleep(POLL).await;
    }
    panic!("never: {what}");
}

/// Why a replica stopped.
fn halted(cluster: &SimCluster, node: usize, group: GroupId) -> Option<Arc<Error>> {
    cluster.group(node, group)?.halted()
}

async fn diverges() {
    let skips: Vec<Arc<Skips>> = (0..NODES).map(|_| Skips::new()).collect();
    let machines_of = |skips: &Arc<Skips>| -> Machines {
        let sound = Arc::new(ShardMachine::new(ids(), COMMAND_VERSIONS, [0; 32]));
        [(SICK, skips.clone() as Arc<dyn Machine>), (SOUND, sound as Arc<dyn Machine>)].into()
    };
    let cluster = SimCluster::with_each(skips.iter().map(machines_of).collect(), Clocks::Judged);
    cluster.bootstrap().await.expect("starts");
    let user = SimUser::new(1);
    for group in [SICK, SOUND] {
        let signup = execute(&cluster, group, user.signup(cluster.gateway().issued_at_us())).await;
        assert!(matches!(&signup, Answer::Done(outcome) if outcome.code == 0), "{signup:?}");
        put(&cluster, group, &user, 1).await;
    }
    let leads = |node: &usize| cluster.group(*node, SICK).is_some_and(|group| group.is_leader());
    until("a leader", || (0..NODES).any(|node| leads(&node))).await;
    let leader = (0..NODES).find(leads).expect("just seen");
    let odd = (leader + 1) % NODES;
    skips[odd].armed.store(true, Ordering::Relaxed);
    put(&cluster, SICK, &user, 2).await;

    until("the odd one stops", || halted(&cluster, odd, SICK).is_some()).await;
    let why = halted(&cluster, odd, SICK).expect("just seen");
    assert!(matches!(*why, Error::Diverged { group: SICK, .. }), "{why}");
    for group in [SICK, SOUND] {
        put(&cluster, group, &user, 3).await;
        assert_eq!(read(&cluster, group, &user, PATH).await, Answer::Done(Some(3)));
    }
    Simulation::sleep(POLL * PATIENCE).await;
    let stopped: Vec<(usize, GroupId)> = (0..NODES)
        .flat_map(|node| [SICK, SOUND].map(|group| (node, group)))
        .filter(|(node, group)| halted(&cluster, *node, *group).is_some())
        .collect();
    assert_eq!(stopped, [(odd, SICK)], "nobody else");

    // Whether or not its disk kept all it had applied: what it skipped is flushed.
    cluster.flush(odd).await;
    cluster.crash(odd).await;
    match cluster.start(odd).await {
        Err(error) => assert!(matches!(error, Error::Halted(_)), "{error}"),
        Ok(()) => until("it stops again", || halted(&cluster, odd, SICK).is_some()).await,
    }
    cluster.shutdown().await;
}

#[test]
fn a_replica_that_skipped_a_write_stops_and_nobody_else() {
    for seed in 0..5 {
        println!("seed {seed}");
        Simulation::with_seed(seed).block_on(diverges());
    }
}
