//! One survival run from start to verdict.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::domain::slot::Slot;
use tokio::task::JoinSet;

use super::copies;
use super::faults::{Kill, VICTIMS, pause, recovered, statuses, strike};
use super::gaps::write_gaps;
use super::in_flight::{InFlight, Transfer};
use super::judge;
use super::options::SurvivalOptions;
use super::report::SurvivalReport;
use super::worker::{Account, Shared, Worker};
use crate::cluster::{Cluster, Kind};
use crate::error::Error;
use crate::history::{Action, Key, Operation, Outcome, Recorder};
use crate::http1::Connection;
use crate::identity::{User, signup_by_cookie, signup_by_grant};
use crate::oracle::{ReplicaHashes, check_events};

/// Replicas' hashes are compared this often.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// Load before the first kill and after the last.
const LEAD: Duration = Duration::from_secs(2);
/// Reads of one key after the run until one is answered.
const FINAL_READS: usize = 50;
/// Anonymous signups may be limited: 429 is tried again.
const SIGNUP_ATTEMPTS: usize = 50;

/// Runs load and kills until all kills are done, then asks every oracle. Findings are in the report, not an error.
pub async fn run(
    cluster: &Cluster,
    options: &SurvivalOptions,
    shard_count: u32,
) -> Result<SurvivalReport, Error> {
    let started = Instant::now();
    let node_count = cluster.file()?.of_kind(Kind::Node).count();
    let shared = Arc::new(prepare(cluster, options, shard_count).await?);
    let mut workers = JoinSet::new();
    for number in 0..options.workers {
        workers.spawn(Worker::new(Arc::clone(&shared), number, options.seed).run());
    }
    let mut hashes = ReplicaHashes::new("chained state hash");
    let kills = kill_in_turn(cluster, options, &shared, node_count, &mut hashes).await;
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| Error::Cluster(format!("a worker failed: {error}")))?;
    }
    let kills = kills?;
    recovered(cluster, node_count).await?;
    read_everything(&shared, options.seed).await?;
    let mut report = verdict(cluster, shared, &kills, shard_count, node_count, hashes).await?;
    report.seed = options.seed;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Signs up the users, half with cookies and half with bearers.
async fn prepare(cluster: &Cluster, options: &SurvivalOptions, shard_count: u32) -> Result<Shared, Error> {
    let gateways = cluster.gateways()?;
    let host =
        gateways.first().map(ToString::to_string).ok_or_else(|| Error::Cluster("no gateway".into()))?;
    let homeserver = cluster.homeserver()?;
    let mut connection = Connection::open(gateways[0], false).await?;
    let mut accounts = Vec::new();
    for number in 0..options.users * SIGNUP_ATTEMPTS {
        if accounts.len() == options.users {
            break;
        }
        let user = User::random();
        let session = if number % 2 == 0 {
            signup_by_cookie(&mut connection, &host, &user).await
        } else {
            signup_by_grant(&mut connection, &host, &user, &homeserver).await
        };
        match session {
            Ok(session) => {
                let public_key = user.public_key();
                let shard = Slot::of_user(&public_key).shard(shard_count);
                accounts.push(Account { z32: user.z32, public_key, session, shard });
            }
            Err(Error::Answer(answer)) if answer.contains("429") => tokio::time::sleep(SAMPLE_EVERY).await,
            Err(error) => return Err(error),
        }
    }
    Ok(Shared {
        gateways,
        host,
        accounts,
        recorder: Recorder::default(),
        next_value: AtomicU64::new(1),
        sizes: options.sizes,
        in_flight: InFlight::default(),
        stop: AtomicBool::new(false),
        findings: Mutex::new(Vec::new()),
    })
}

async fn kill_in_turn(
    cluster: &Cluster,
    options: &SurvivalOptions,
    shared: &Shared,
    node_count: usize,
    hashes: &mut ReplicaHashes,
) -> Result<Vec<Kill>, Error> {
    let busy: Vec<u32> =
        shared.accounts.iter().map(|account| account.shard).collect::<BTreeSet<_>>().into_iter().collect();
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut kills = Vec::new();
    sample_for(cluster, hashes, LEAD).await?;
    for number in 0..options.kills {
        let victim = VICTIMS[number % VICTIMS.len()];
        // Each kind of victim gets both.
        let upload = (number + number / VICTIMS.len()).is_multiple_of(2);
        let amid = if upload { Transfer::Upload } else { Transfer::Download };
        let (kill, pid) = strike(cluster, victim, &busy, &mut random, shared, amid).await?;
        let name = kill.component.clone();
        eprintln!("kill {}: {:?} {name} (pid {pid})", number + 1, kill.victim);
        kills.push(kill);
        cluster.wait_restarted(&name, pid).await?;
        recovered(cluster, node_count).await?;
        sample_for(cluster, hashes, pause(&mut random)).await?;
    }
    sample_for(cluster, hashes, LEAD).await?;
    Ok(kills)
}

/// Compares the replicas' chained hashes for a while.
async fn sample_for(cluster: &Cluster, hashes: &mut ReplicaHashes, duration: Duration) -> Result<(), Error> {
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

/// The last state of every key becomes part of its history.
async fn read_everything(shared: &Arc<Shared>, seed: u64) -> Result<(), Error> {
    let keys: BTreeSet<Key> = shared.recorder.keys();
    let mut reader = Worker::new(Arc::clone(shared), 0, seed);
    for key in keys {
        reader.read_surely(&key, FINAL_READS).await?;
    }
    Ok(())
}

async fn verdict(
    cluster: &Cluster,
    shared: Arc<Shared>,
    kills: &[Kill],
    shard_count: u32,
    node_count: usize,
    mut hashes: ReplicaHashes,
) -> Result<SurvivalReport, Error> {
    let shared = Arc::into_inner(shared).ok_or_else(|| Error::Cluster("a worker still runs".into()))?;
    let Shared { recorder, accounts, findings, sizes, .. } = shared;
    let history = recorder.into_history();
    let (mut violations, keys_undecided) = judge::registers(&history);
    violations.extend(findings.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()));
    let (logs, strange) = judge::event_logs(cluster, shard_count, &accounts, &history, sizes).await?;
    violations.extend(strange);
    let ids = EventIds::new(shard_count)
        .ok_or_else(|| Error::Cluster(format!("no cluster has {shard_count} shards")))?;
    violations.extend(check_events(&history, &logs, ids));
    let keys: Vec<Key> = history.by_key().into_keys().cloned().collect();
    let (objects, wrong) = copies::check(cluster, &accounts, &keys).await?;
    violations.extend(wrong);
    let scans = judge::scans(cluster, node_count).await?;
    sample_for(cluster, &mut hashes, SAMPLE_EVERY).await?;
    violations.extend(scans.violations().iter().chain(hashes.violations()).cloned());
    violations.extend(judge::all_led(cluster, shard_count).await?);

    let is_write = |operation: &Operation| operation.action != Action::Read;
    let shard_of_user: Vec<u32> = accounts.iter().map(|account| account.shard).collect();
    let mut write_gaps_ms = write_gaps(&history, kills, &shard_of_user);
    write_gaps_ms.sort_by(f64::total_cmp);
    let mut report = SurvivalReport {
        kills_amid_uploads: kills.iter().filter(|kill| kill.amid_upload).count(),
        kills_amid_downloads: kills.iter().filter(|kill| kill.amid_download).count(),
        operations: history.operations.len(),
        acknowledged_writes: history.count(|op| is_write(op) && op.outcome != Outcome::Unknown),
        unknown_writes: history.count(|op| is_write(op) && op.outcome == Outcome::Unknown),
        reads: history.count(|op| !is_write(op) && op.outcome != Outcome::Unknown),
        keys: history.by_key().len(),
        keys_undecided,
        objects,
        events: logs.iter().map(|log| log.events.len()).sum(),
        hash_comparisons: hashes.compared(),
        scans_compared: scans.compared(),
        write_gaps_ms,
        violations: violations.iter().map(ToString::to_string).collect(),
        ..SurvivalReport::default()
    };
    for kill in kills {
        *report.kills.entry(kill.victim).or_default() += 1;
    }
    Ok(report)
}
