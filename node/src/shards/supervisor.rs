//! The actor that makes this node run what the map wants. Level-triggered: every round compares the
//! whole wish with the whole reality, so a missed event costs one tick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rowhouse_proto::VersionRange;
use rowhouse_raft::runtime::Runtime as _;
use rowhouse_raft::{GroupId, GroupSpec, Machine, ReplicaId};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::plan::{Desired, Step, births, desired, plan};
use super::replica::{ReplicaLife, is_hopeless};
use super::start::start_group;
use crate::apply::ShardMachine;
use crate::local::Local;
use crate::meta;
use crate::peers::Cluster;
use crate::{Error, Runtime};

/// Starts in flight at once: enough to overlap their syncs, few enough not to stall running groups
/// (docs/rules/consensus.md#groups-start-in-waves).
const START_BATCH: usize = 32;
/// How soon an ended replica is noticed.
const TICK: Duration = Duration::from_secs(1);

/// The actor that starts and stops replicas, and nobody else does.
pub struct ShardSupervisor {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    /// Versions of commands that the shards' machines understand.
    versions: VersionRange,
    meta_machine: Arc<dyn Machine>,
}

type Lives = BTreeMap<GroupId, ReplicaLife>;

impl ShardSupervisor {
    /// Shards get machines that understand `versions` of commands; the meta group gets `meta_machine`.
    pub fn new(
        local: Arc<Local>,
        cluster: Arc<Cluster>,
        versions: VersionRange,
        meta_machine: Arc<dyn Machine>,
    ) -> Self {
        Self { local, cluster, versions, meta_machine }
    }

    /// Runs until stopped. A replica that does not start keeps nothing else from running.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut lives = Lives::new();
        // Without waiting for a map: a cluster that lost power elects its shards' leaders while its meta group does.
        self.start_batched(&mut lives, self.local.host.held()?).await;
        let mut map = self.cluster.view.watch();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = map.changed() => changed.map_err(|_| Error::Stopped)?,
                _ = tick.tick() => {}
            }
            self.stop_ended(&mut lives).await;
            self.reconcile(&mut lives).await?;
            self.publish(&lives);
        }
    }

    /// A replica whose core ended is taken out, to be started again after its backoff.
    async fn stop_ended(&self, lives: &mut Lives) {
        for group in self.local.host.groups() {
            let Some(problem) = group.status().problem else { continue };
            error!(group = group.id(), problem, "replica ended");
            let hopeless = group.halted().is_some_and(|halted| is_hopeless(&halted));
            self.local.host.stop(group.id()).await;
            self.fail(lives, group.id(), problem, hopeless);
        }
    }

    async fn reconcile(&self, lives: &mut Lives) -> Result<(), Error> {
        let map = self.cluster.view.map();
        if map.map_version == 0 {
            return Ok(());
        }
        let wanted = desired(&map, &self.local.identity.node_uuid());
        let running: BTreeMap<GroupId, ReplicaId> =
            self.local.host.groups().iter().map(|group| (group.id(), group.replica())).collect();
        let now = Instant::now();
        let mut starts = Vec::new();
        let held = self.local.host.held()?.into_iter().map(|(group, replica)| (replica, group)).collect();
        for step in plan(&map, &wanted, &held, &running) {
            match step {
                Step::Destroy { group, replica } => {
                    info!(group, replica, "the group has removed this replica; what it held is erased");
                    self.local.host.destroy(group, replica).await?;
                    lives.remove(&group);
                }
                Step::Start { group, replica } => {
                    if lives.get(&group).is_none_or(|life| life.may_start(now)) {
                        starts.push((group, replica));
                    }
                }
            }
        }
        self.start_batched(lives, starts).await;
        self.initialize(&wanted).await;
        Ok(())
    }

    /// Brings new groups to life; what fails is tried again in the next round.
    async fn initialize(&self, wanted: &BTreeMap<GroupId, Desired>) {
        let running = self.local.host.groups();
        let empty = running.iter().map(|group| group.status()).filter(|it| it.term == 0 && it.last_log == 0);
        let empty = empty.map(|status| (status.group, status.replica)).collect();
        for batch in births(wanted, &empty).chunks(START_BATCH) {
            let births = batch.iter().map(|(group, members)| async move {
                let Some(running) = self.local.host.group(*group) else { return };
                if let Err(error) = running.initialize(BTreeMap::clone(members)).await {
                    warn!(group, %error, "the new group is not initialized yet");
                }
            });
            join_all(births).await;
        }
    }

    async fn start_batched(&self, lives: &mut Lives, starts: Vec<(GroupId, ReplicaId)>) {
        for batch in starts.chunks(START_BATCH) {
            let outcomes = join_all(batch.iter().map(|(group, replica)| self.start(*group, *replica))).await;
            for ((group, _), outcome) in batch.iter().zip(outcomes) {
                match outcome {
                    Ok(()) => lives
                        .entry(*group)
                        .or_insert_with(|| ReplicaLife::serving(Instant::now()))
                        .serve(Instant::now()),
                    Err(error) => {
                        error!(group, %error, "replica does not start");
                        self.fail(lives, *group, error.to_string(), is_hopeless(&error));
                    }
                }
            }
        }
    }

    async fn start(&self, group: GroupId, replica: ReplicaId) -> Result<(), rowhouse_raft::Error> {
        let machine: Arc<dyn Machine> = if group == meta::GROUP {
            Arc::clone(&self.meta_machine)
        } else {
            let ids = self.local.identity.event_ids();
            let ids =
                ids.ok_or_else(|| rowhouse_raft::Error::corrupt("node", "it has replicas but no cluster"))?;
            Arc::new(ShardMachine::new(ids, self.versions, self.local.identity.homeserver()))
        };
        start_group(Arc::clone(&self.local.host), GroupSpec { group, replica, machine }).await?;
        info!(group, replica, "replica started");
        Ok(())
    }

    fn fail(&self, lives: &mut Lives, group: GroupId, problem: String, hopeless: bool) {
        let now = Instant::now();
        lives.entry(group).or_insert_with(|| ReplicaLife::serving(now)).fail(
            problem,
            hopeless,
            now,
            Runtime::random_u64(),
        );
    }

    fn publish(&self, lives: &Lives) {
        let problems: BTreeMap<GroupId, String> =
            lives.iter().filter_map(|(group, life)| Some((*group, life.problem()?.to_owned()))).collect();
        if **self.local.problems.load() != problems {
            self.local.problems.store(Arc::new(problems));
        }
    }
}
