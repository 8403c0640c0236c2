//! One survival run from start to verdict.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::domain::slot::Slot;
use tokio::task::JoinSet;

use super::audit::{Audit, Audited};
use super::chains::Chains;
use super::copies;
use super::gaps::write_gaps;
use super::in_flight::InFlight;
use super::judge;
use super::nemesis::{Deeds, SAMPLE_EVERY, sample_for, torment};
use super::options::SurvivalOptions;
use super::report::SurvivalReport;
use super::sight::at_rest;
use super::worker::{Account, Shared, Worker};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::history::{Action, Key, Operation, Outcome, Recorder};
use crate::http1::Connection;
use crate::identity::{User, signup_by_cookie, signup_by_grant};
use crate::oracle::{ReplicaHashes, check_events};

/// Reads of one key after the run until one is answered.
const FINAL_READS: usize = 50;
/// Anonymous signups may be limited: 429 is tried again.
const SIGNUP_ATTEMPTS: usize = 50;

/// Runs load, kills and changes until all are done, then asks every oracle. Findings are in the report, not an error.
pub async fn run(
    cluster: &Cluster,
    options: &SurvivalOptions,
    shard_count: u32,
) -> Result<SurvivalReport, Error> {
    let started = Instant::now();
    let shared = Arc::new(prepare(cluster, options, shard_count).await?);
    let mut workers = JoinSet::new();
    for number in 0..options.workers {
        workers.spawn(Worker::new(Arc::clone(&shared), number, options.seed).run());
    }
    let chains = Chains::begin(&shared, shard_count, options.seed).await?;
    let audit = Audit::begin(&shared, options.seed);
    let mut hashes = ReplicaHashes::new("chained state hash");
    let deeds = torment(cluster, options, &shared, &mut hashes).await;
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| Error::Cluster(format!("a worker failed: {error}")))?;
    }
    let deeds = deeds?;
    at_rest(cluster).await?;
    let audited = audit.finish().await?;
    read_everything(&shared, options.seed).await?;
    let (broken_chains, chains) = chains.verdict(cluster).await?;
    let mut report = verdict(cluster, shared, deeds, shard_count, hashes, &audited).await?;
    report.violations.extend(broken_chains.iter().map(ToString::to_string));
    report.chains = chains;
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
    deeds: Deeds,
    shard_count: u32,
    mut hashes: ReplicaHashes,
    audited: &Audited,
) -> Result<SurvivalReport, Error> {
    let shared = Arc::into_inner(shared).ok_or_else(|| Error::Cluster("a worker still runs".into()))?;
    let Shared { recorder, accounts, findings, sizes, .. } = shared;
    let history = recorder.into_history();
    let Deeds { kills, changes, changes_wanted, replicas_made, violations: left_behind } = deeds;
    let (mut violations, keys_undecided) = judge::registers(&history);
    violations.extend(left_behind);
    violations.extend(findings.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()));
    let (logs, strange) = judge::event_logs(cluster, shard_count, &accounts, &history, sizes).await?;
    violations.extend(strange);
    let ids = EventIds::new(shard_count)
        .ok_or_else(|| Error::Cluster(format!("no cluster has {shard_count} shards")))?;
    violations.extend(check_events(&history, &logs, ids));
    violations.extend(audited.verdict(&logs, &accounts, &history));
    let keys: Vec<Key> = history.by_key().into_keys().cloned().collect();
    let (objects, wrong) = copies::check(cluster, &accounts, &keys).await?;
    violations.extend(wrong);
    let scans = judge::scans(cluster).await?;
    sample_for(cluster, &mut hashes, SAMPLE_EVERY).await?;
    violations.extend(scans.violations().iter().chain(hashes.violations()).cloned());
    violations.extend(judge::all_led(cluster, shard_count).await?);
    violations.extend(judge::health(cluster).await?);

    let is_write = |operation: &Operation| operation.action != Action::Read;
    let shard_of_user: Vec<u32> = accounts.iter().map(|account| account.shard).collect();
    let mut write_gaps_ms = write_gaps(&history, &kills, &shard_of_user);
    write_gaps_ms.sort_by(f64::total_cmp);
    let mut report = SurvivalReport {
        kills_amid_uploads: kills.iter().filter(|kill| kill.amid_upload).count(),
        kills_amid_downloads: kills.iter().filter(|kill| kill.amid_download).count(),
        changes_wanted,
        replicas_made,
        nodes: cluster.living()?.len(),
        operations: history.operations.len(),
        acknowledged_writes: history.count(|op| is_write(op) && op.outcome != Outcome::Unknown),
        unknown_writes: history.count(|op| is_write(op) && op.outcome == Outcome::Unknown),
        reads: history.count(|op| !is_write(op) && op.outcome != Outcome::Unknown),
        keys: history.by_key().len(),
        keys_undecided,
        objects,
        events: logs.iter().map(|log| log.events.len()).sum(),
        audit: audited.counts(),
        hash_comparisons: hashes.compared(),
        scans_compared: scans.compared(),
        write_gaps_ms,
        violations: violations.iter().map(ToString::to_string).collect(),
        ..SurvivalReport::default()
    };
    for kill in kills {
        *report.kills.entry(kill.victim).or_default() += 1;
    }
    for change in changes {
        *report.changes.entry(change).or_default() += 1;
    }
    Ok(report)
}
