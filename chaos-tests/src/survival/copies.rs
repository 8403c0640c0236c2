//! The oracle of large bodies: every one that a file refers to is whole on every disk of its shard, and no
//! disk holds anything else once its time is over.

use std::collections::BTreeMap;
use std::time::Duration;

use rowhouse_proto::wire::shard::Entry;

use super::sight::Sight;
use super::worker::Account;
use crate::cluster::{Cluster, NodeClient, wait_until};
use crate::error::Error;
use crate::history::Key;
use crate::oracle::Violation;

/// Settings of a run's nodes: seconds instead of minutes and days, so that the end can be waited for.
pub const LIMITS: [(&str, &str); 5] = [
    ("ROWHOUSE_OBJECTS__UPLOAD_EXPIRY_S", "10"),
    ("ROWHOUSE_OBJECTS__GARBAGE_GRACE_S", "10"),
    ("ROWHOUSE_OBJECTS__ORPHAN_AGE_S", "20"),
    ("ROWHOUSE_STORAGE__FLUSH_INTERVAL_S", "2"),
    // Far above the restart of a killed node.
    ("ROWHOUSE_PLACEMENT__DEAD_AFTER_S", "15"),
];
/// Filling is bounded by bytes a second; a run writes some hundred MiB.
const FILL_TIMEOUT: Duration = Duration::from_secs(180);
/// Several times all the limits together.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(180);
/// While a shard's leader moves.
const LEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// An object by its id: where it belongs and what it must be.
type Referenced = BTreeMap<Vec<u8>, (u32, Entry)>;

/// How many were verified, and what was wrong.
pub async fn check(
    cluster: &Cluster,
    accounts: &[Account],
    keys: &[Key],
) -> Result<(usize, Vec<Violation>), Error> {
    let nodes = cluster.nodes()?;
    let mut referenced = Referenced::new();
    for key in keys {
        let account = &accounts[key.user];
        if let Some(entry) = entry(&nodes, account, &key.path).await?
            && !entry.object.is_empty()
        {
            referenced.insert(entry.object.to_vec(), (account.shard, entry));
        }
    }
    let mut violations = Vec::new();
    for node in &nodes {
        let sight = Sight::of(cluster, false).await?;
        let uuid = sight.uuid(&node.name);
        let uuid = uuid.ok_or_else(|| Error::Cluster(format!("{} does not answer", node.name)))?;
        let shards = sight.shards_on(&uuid);
        let here = referenced.iter().filter(|(_, (shard, _))| shards.contains(shard));
        let here: Referenced = here.map(|(object, it)| (object.clone(), it.clone())).collect();
        violations.extend(whole(node, &here).await);
        violations.extend(nothing_else(node, here.len() as u64).await);
    }
    Ok((referenced.len(), violations))
}

async fn entry(nodes: &[NodeClient], account: &Account, path: &str) -> Result<Option<Entry>, Error> {
    let mut found = None;
    wait_until(LEADER_TIMEOUT, &format!("the entry of {path}"), async || {
        for node in nodes {
            if let Ok(Some(entry)) = node.entry(account.shard, &account.public_key, path).await {
                found = Some(entry);
            }
        }
        found.is_some()
    })
    .await?;
    Ok(found.flatten())
}

async fn whole(node: &NodeClient, referenced: &Referenced) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (object, (shard, entry)) in referenced {
        let mut last = String::new();
        let waited = wait_until(FILL_TIMEOUT, "a copy", async || {
            match node.object_hash(*shard, object, entry.length).await {
                Ok(hash) if hash[..] == entry.hash[..] => return true,
                Ok(_) => "it has other bytes".clone_into(&mut last),
                Err(error) => last = error.to_string(),
            }
            false
        });
        if waited.await.is_err() {
            let what =
                format!("{} lacks a body of {} bytes of shard {shard}: {last}", node.name, entry.length);
            violations.push(Violation { oracle: "copies", what });
        }
    }
    violations
}

async fn nothing_else(node: &NodeClient, expected: u64) -> Option<Violation> {
    let mut held = None;
    let waited = wait_until(ORPHAN_TIMEOUT, "orphans to go", async || {
        held = node.status(true).await.ok().and_then(|status| status.objects?.held).or(held);
        held == Some(expected)
    });
    let waited = waited.await;
    waited.err().map(|_| Violation {
        oracle: "orphans",
        what: format!("{} holds {held:?} objects where files refer to {expected}", node.name),
    })
}
