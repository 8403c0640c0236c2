//! Does to the cluster what the script says, while the clients work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::change::{Change, UnderWay};
use super::faults::{Kill, pause, recovered, statuses, strike};
use super::options::SurvivalOptions;
use super::script::{Step, Wanted, steps};
use super::sight::newest_map;
use super::worker::Shared;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::oracle::{ReplicaHashes, Violation};

/// Replicas' hashes are compared this often.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// Load before the first kill and after the last.
const LEAD: Duration = Duration::from_secs(2);

/// What was done, and what was found at once.
#[derive(Default)]
pub struct Deeds {
    pub kills: Vec<Kill>,
    pub changes: Vec<Change>,
    /// Changes that the script had.
    pub changes_wanted: usize,
    /// Replicas that were made meanwhile, by the ids that were handed out.
    pub replicas_made: u64,
    pub violations: Vec<Violation>,
}

/// Kills and changes in turn; after each the cluster recovers first.
pub async fn torment(
    cluster: &Cluster,
    options: &SurvivalOptions,
    shared: &Shared,
    hashes: &mut ReplicaHashes,
) -> Result<Deeds, Error> {
    let busy: BTreeSet<u32> = shared.accounts.iter().map(|account| account.shard).collect();
    let busy: Vec<u32> = busy.into_iter().collect();
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut deeds = Deeds::default();
    let first_replica = newest_map(cluster).await?.next_replica_id;
    sample_for(cluster, hashes, LEAD).await?;
    let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    for (step, number) in steps(options).into_iter().zip(1..) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
        deeds.changes_wanted += usize::from(step.change.is_some());
        let change = begin(cluster, options, step, &mut random).await?;
        let (kill, pid) = strike(cluster, step.victim, &busy, &mut random, shared, step.amid).await?;
        let name = kill.component.clone();
        eprintln!("kill {number}: {:?} {name} (pid {pid})", kill.victim);
        deeds.kills.push(kill);
        cluster.wait_restarted(&name, pid).await?;
        if let Some(under_way) = change {
            deeds.violations.extend(under_way.finish(cluster).await?);
            eprintln!("change {number} is made: {} nodes", cluster.living()?.len());
            deeds.changes.push(under_way.change);
        }
        recovered(cluster).await?;
        sample_for(cluster, hashes, pause(&mut random)).await?;
    }
    sample_for(cluster, hashes, LEAD).await?;
    deeds.replicas_made = newest_map(cluster).await?.next_replica_id - first_replica;
    Ok(deeds)
}

async fn begin(
    cluster: &Cluster,
    options: &SurvivalOptions,
    step: Step,
    random: &mut StdRng,
) -> Result<Option<UnderWay>, Error> {
    let change = match step.change {
        Some(Wanted::This(change)) => Some(change),
        Some(Wanted::Any) => Change::choose(&options.kinds, cluster.living()?.len(), random),
        None => None,
    };
    let Some(change) = change else { return Ok(None) };
    let begun = change.begin(cluster, random).await?;
    eprintln!("{begun}");
    Ok(Some(begun))
}

/// Compares the replicas' chained hashes for a while.
pub async fn sample_for(
    cluster: &Cluster,
    hashes: &mut ReplicaHashes,
    duration: Duration,
) -> Result<(), Error> {
    let deadline = Instant::now() + duration;
    loop {
        for group in statuses(cluster, false).await?.values().flat_map(|status| &status.groups) {
            hashes.observe(group.group, group.hash_index, &group.state_hash, group.replica_id);
        }
        if Instant::now() >= deadline {
            return Ok(());
        }
        tokio::time::sleep(SAMPLE_EVERY.min(duration)).await;
    }
}
