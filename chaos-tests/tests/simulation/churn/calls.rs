//! Calls between simulated nodes: they take their time, get lost, come twice, and come so late that their sender may be
//! deposed or dead by then.

use std::time::Duration;

use openraft::AsyncRuntime;
use rowhouse_node::placement::{Change, CoordinatorId, change_members};
use rowhouse_raft::ReplicaId;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;
use tokio::sync::oneshot;

use super::world::World;
use crate::nodes::NodeUuid;
use crate::trace::tell;

/// One way, µs.
const DELAY_US: std::ops::Range<u64> = 100..8_000;
/// The same for a call that waits somewhere: long enough for several steps and another coordinator.
const LATE_MS: std::ops::Range<u64> = 300..9_000;
/// A caller gives up after this.
const DEADLINE: Duration = Duration::from_millis(1_500);

pub fn between(range: std::ops::Range<u64>) -> u64 {
    range.start + Simulation::random_u64() % (range.end - range.start)
}

pub fn one_in(count: u64) -> bool {
    Simulation::random_u64().is_multiple_of(count)
}

/// A step that a coordinator asks another node for.
#[derive(Clone, Debug)]
pub enum Request {
    Change(Change),
    Transfer { group: u32, to_replica: ReplicaId },
}

/// Asks a node for a step, in a coordinator's name. An error is the reason for the coordinator.
pub async fn ask(
    world: &World,
    from: NodeUuid,
    to: NodeUuid,
    request: Request,
    coordinator: CoordinatorId,
) -> Result<(), String> {
    let (reply, answer) = oneshot::channel();
    let copies = if one_in(6) { 2 } else { 1 };
    let mut reply = Some(reply);
    for _ in 0..copies {
        let (world, request, reply) = (world.clone(), request.clone(), reply.take());
        drop(Simulation::spawn(async move {
            let late = one_in(4);
            let delay_us = if late { 1_000 * between(LATE_MS) } else { between(DELAY_US) };
            Simulation::sleep(Duration::from_micros(delay_us)).await;
            // Late ones are in the callee's own queue already, whatever became of the way.
            if (late || world.net().connects(from, to)) && !one_in(12) {
                let done = carry_out(&world, to, request, coordinator).await;
                Simulation::sleep(Duration::from_micros(between(DELAY_US))).await;
                drop(reply.map(|reply| reply.send(done)));
            }
        }));
    }
    match Simulation::timeout(DEADLINE, answer).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err("the call was lost".to_owned()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// As the node's service does it.
async fn carry_out(
    world: &World,
    node: NodeUuid,
    request: Request,
    coordinator: CoordinatorId,
) -> Result<(), String> {
    let life = world.life_of(&node).ok_or("it is down")?;
    if let Err(deposed) = life.fence.admit(coordinator) {
        world.ledger().counts.deposed += 1;
        return Err(deposed);
    }
    let led = |group: u32| {
        let group = u16::try_from(group).ok().and_then(|group| life.host.group(group));
        group.filter(|group| group.is_leader()).ok_or_else(|| "not the leader".to_owned())
    };
    match request {
        Request::Change(change) => {
            let group = led(change.group)?;
            let Change { expect, voters, learners, .. } = &change;
            let changed = change_members(&group, Some(*expect), voters, learners).await;
            tell(|| format!("{change:?}: {changed:?}"));
            let mut ledger = world.ledger();
            match &changed {
                Ok(()) => {
                    let members = voters.iter().chain(learners).map(|it| it.replica_id);
                    ledger.change(change.group, members);
                }
                Err(_) => ledger.counts.overtaken += 1,
            }
            changed
        }
        Request::Transfer { group, to_replica } => {
            let group = led(group)?;
            if !group.heirs().iter().any(|heir| heir.replica == to_replica) {
                return Err("the chosen voter has not caught up, or does not answer".to_owned());
            }
            world.ledger().counts.transfers += 1;
            group.transfer_leader(to_replica).await.map_err(|error| error.to_string())
        }
    }
}

/// Whether a question and its answer come through, after their delay.
pub async fn is_answered(world: &World, from: NodeUuid, to: NodeUuid) -> bool {
    Simulation::sleep(Duration::from_micros(between(DELAY_US))).await;
    if from != to && (!world.net().connects(from, to) || one_in(20)) {
        Simulation::sleep(DEADLINE).await;
        return false;
    }
    true
}
