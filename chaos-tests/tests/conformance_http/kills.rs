//! The API while a node is killed every ten seconds: whoever tries once more after a 503 or a broken connection notices
//! nothing else.

use std::time::{Duration, Instant};

use super::world::World;
use super::{Table, flows, tables};

/// Time between two kills.
const KILL_EVERY: Duration = Duration::from_secs(10);
/// No round begins later.
pub const TIME: Duration = Duration::from_secs(45);
/// A round is never the last before so many kills were felt.
pub const KILLS_MIN: usize = 3;

/// All tables and flows, again and again, each time for other people; the failures, and how often they ran and how many nodes died.
pub async fn run(world: &World) -> (Vec<String>, usize, usize) {
    let began = Instant::now();
    let (mut failures, mut rounds) = (Vec::new(), 0);
    let killed = std::cell::Cell::new(0);
    let rounds_of_cases = async {
        while failures.is_empty() && (began.elapsed() < TIME || killed.get() < KILLS_MIN) {
            let world = world.anew().await;
            for Table { name, cases } in tables() {
                for case in cases {
                    failures.extend(world.check(name, case).await);
                }
            }
            failures.extend(flows(&world).await);
            rounds += 1;
        }
    };
    tokio::select! {
        () = rounds_of_cases => {}
        never = kill(world, &killed) => match never {},
    }
    (failures, rounds, killed.get())
}

/// One node after the other; each is back before the next one goes.
pub async fn kill(world: &World, killed: &std::cell::Cell<usize>) -> std::convert::Infallible {
    let cluster = world.cluster.as_ref().expect("a cluster of our own");
    let nodes: Vec<String> = cluster.nodes().expect("nodes").into_iter().map(|node| node.name).collect();
    for name in nodes.iter().cycle() {
        tokio::time::sleep(KILL_EVERY).await;
        let pid = cluster.kill(name).expect("it runs");
        killed.set(killed.get() + 1);
        cluster.wait_ready_again(name, pid).await.expect("it comes back");
    }
    unreachable!("a cluster has nodes")
}
