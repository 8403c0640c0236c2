//! Collects the evidence that lies in the cluster after a run, and asks every oracle.

use std::collections::HashMap;
use std::time::Duration;

use rowhouse_proto::wire::meta::GroupInfo;

use super::content::Sizes;
use super::faults::{leader_of, statuses};
use super::sight::Sight;
use super::worker::Account;
use crate::cluster::{Cluster, wait_until};
use crate::error::Error;
use crate::history::{Action, History, Key, Value};
use crate::oracle::{Event, EventLog, ReplicaHashes, Verdict, Violation, check_register};

/// Most events asked for at once.
const PAGE: u32 = 1000;
/// Pages of one shard: far more than a run writes.
const PAGES_MAX: usize = 10_000;
/// Replicas come to the same applied index once nothing is written any more.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Reading a shard's log is tried again while its leader moves.
const LEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Each key's history as a register: violations, and how many could not be decided.
pub fn registers(history: &History) -> (Vec<Violation>, usize) {
    let mut violations = Vec::new();
    let mut undecided = 0;
    for (key, operations) in history.by_key() {
        match check_register(&operations) {
            Verdict::Linearizable => {}
            Verdict::Undecided => undecided += 1,
            Verdict::Broken(why) => {
                violations.push(Violation { oracle: "register", what: format!("{key:?}: {why}") });
            }
        }
    }
    (violations, undecided)
}

/// The event logs of all shards, with users and contents named as in the history.
pub async fn event_logs(
    cluster: &Cluster,
    shard_count: u32,
    accounts: &[Account],
    history: &History,
    sizes: Sizes,
) -> Result<(Vec<EventLog>, Vec<Violation>), Error> {
    let names = Names::new(accounts, history, sizes);
    let mut logs = Vec::new();
    let mut violations = Vec::new();
    for shard in 0..shard_count {
        let mut log = EventLog { shard, events: Vec::new() };
        for record in shard_events(cluster, shard).await? {
            match names.translate(&record) {
                Ok(Some(event)) => log.events.push(event),
                Ok(None) => {}
                Err(what) => violations.push(Violation { oracle: "events", what }),
            }
        }
        logs.push(log);
    }
    Ok((logs, violations))
}

struct Names {
    users: HashMap<Vec<u8>, usize>,
    values: HashMap<Vec<u8>, Value>,
}

impl Names {
    fn new(accounts: &[Account], history: &History, sizes: Sizes) -> Self {
        let keys = accounts.iter().map(|account| account.public_key.as_bytes().to_vec());
        let values = history.operations.iter().filter_map(|operation| match operation.action {
            Action::Put(value) => Some((blake3::hash(&sizes.render(value)).as_bytes().to_vec(), value)),
            _ => None,
        });
        Self { users: keys.zip(0..).collect(), values: values.collect() }
    }

    /// None: another user's, not part of this run.
    fn translate(&self, record: &rowhouse_proto::wire::shard::EventRecord) -> Result<Option<Event>, String> {
        let Some(user) = self.users.get(&record.user[..]) else { return Ok(None) };
        let key = Key { user: *user, path: record.path.clone() };
        let value = match (record.deleted, self.values.get(&record.hash[..])) {
            (true, _) => None,
            (false, Some(value)) => Some(*value),
            (false, None) => return Err(format!("{key:?}: event {} of content nobody wrote", record.id)),
        };
        Ok(Some(Event { id: record.id, key, value }))
    }
}

/// The whole event log of one shard.
pub async fn shard_events(
    cluster: &Cluster,
    shard: u32,
) -> Result<Vec<rowhouse_proto::wire::shard::EventRecord>, Error> {
    let mut events = Vec::new();
    let mut after = 0;
    for _ in 0..PAGES_MAX {
        let page = page(cluster, shard, after).await?;
        let full = page.len() == PAGE as usize;
        events.extend(page);
        match events.last() {
            Some(last) if full => after = last.id,
            _ => return Ok(events),
        }
    }
    Err(Error::Cluster(format!("the event log of shard {shard} does not end")))
}

async fn page(
    cluster: &Cluster,
    shard: u32,
    after: u64,
) -> Result<Vec<rowhouse_proto::wire::shard::EventRecord>, Error> {
    let mut found = None;
    let mut last = None;
    let waited = wait_until(LEADER_TIMEOUT, &format!("events of shard {shard}"), async || {
        for node in cluster.nodes().unwrap_or_default() {
            match node.events(shard, after, PAGE).await {
                Ok(Some(page)) => found = Some(page.events),
                Ok(None) => {}
                Err(error) => last = Some(error),
            }
        }
        found.is_some()
    })
    .await;
    match (found, last) {
        (Some(events), _) => Ok(events),
        (None, Some(error)) => Err(error),
        (None, None) => Err(waited.err().unwrap_or(Error::Http("no events"))),
    }
}

/// Whole content of every replica that the map names, at equal applied index: how many pairs were equal.
pub async fn scans(cluster: &Cluster) -> Result<ReplicaHashes, Error> {
    let mut hashes = ReplicaHashes::new("whole content");
    wait_until(SETTLE_TIMEOUT, "replicas to come to the same index", async || {
        let Ok(sight) = Sight::of(cluster, true).await else { return false };
        for group in sight.statuses.values().flat_map(|status| &status.groups) {
            hashes.observe(group.group, group.scan_index, &group.scan_hash, group.replica_id);
        }
        let settled = |info: &GroupInfo| {
            let replicas = sight.replicas(info);
            let agree = replicas.windows(2).all(|pair| pair[0].scan_index == pair[1].scan_index);
            agree && !replicas.is_empty() && replicas.len() == info.replicas.len()
        };
        !sight.map.groups.is_empty() && sight.map.groups.iter().all(settled)
    })
    .await?;
    Ok(hashes)
}

/// A group without a leader when the run is over is a finding too.
pub async fn all_led(cluster: &Cluster, shard_count: u32) -> Result<Vec<Violation>, Error> {
    let statuses = statuses(cluster, false).await?;
    let orphans = (0..shard_count).filter(|shard| leader_of(&statuses, *shard).is_none());
    Ok(orphans
        .map(|shard| Violation { oracle: "liveness", what: format!("shard {shard} has no leader") })
        .collect())
}

/// The product's own judgement, as an operator asks for it: `rowhouse ctl status --check`.
pub async fn health(cluster: &Cluster) -> Result<Option<Violation>, Error> {
    let mut told = String::new();
    let waited = wait_until(SETTLE_TIMEOUT, "a healthy cluster", async || match cluster.check().await {
        Ok(None) => true,
        Ok(Some(why)) => {
            told = why;
            false
        }
        Err(error) => {
            told = error.to_string();
            false
        }
    });
    Ok(waited.await.is_err().then_some(Violation { oracle: "health", what: told }))
}
