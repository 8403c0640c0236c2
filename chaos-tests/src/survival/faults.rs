//! Whom to kill, and when the cluster has recovered enough for the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::NodeStatusReply;
use serde::Serialize;

use super::in_flight::Transfer;
use super::worker::Shared;
use crate::cluster::{Cluster, Kind, wait_until};
use crate::error::Error;

/// A restarted replica replays, catches up and every group has a leader again.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// A replica this far behind its leader counts as caught up: writes go on meanwhile.
pub const LAG_ENTRIES_MAX: u64 = 2000;
pub const LEADER: &str = "leader";

/// Which process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Victim {
    ShardLeader,
    Follower,
    MetaLeader,
    Gateway,
}

/// In turn.
pub const VICTIMS: [Victim; 4] = [Victim::ShardLeader, Victim::Follower, Victim::MetaLeader, Victim::Gateway];

/// A kill that happened.
#[derive(Clone, Debug)]
pub struct Kill {
    pub victim: Victim,
    pub component: String,
    pub at_ns: u64,
    /// Shards the killed node led.
    pub led: Vec<u32>,
    /// Whether large bodies were on their way.
    pub amid_upload: bool,
    pub amid_download: bool,
}

/// Reports of all nodes that answer, by name.
pub async fn statuses(cluster: &Cluster, scan: bool) -> Result<BTreeMap<String, NodeStatusReply>, Error> {
    let mut statuses = BTreeMap::new();
    for node in cluster.nodes()? {
        if let Ok(status) = node.status(scan).await {
            statuses.insert(node.name.clone(), status);
        }
    }
    Ok(statuses)
}

/// The node that leads a group with the highest term.
pub fn leader_of(statuses: &BTreeMap<String, NodeStatusReply>, group: u32) -> Option<String> {
    let groups =
        statuses.iter().flat_map(|(name, status)| status.groups.iter().map(move |group| (name, group)));
    let leaders = groups.filter(|(_, status)| status.group == group && status.role == LEADER);
    leaders.max_by_key(|(_, status)| status.term).map(|(name, _)| name.clone())
}

fn led_by(statuses: &BTreeMap<String, NodeStatusReply>, node: &str) -> Vec<u32> {
    let groups = statuses.get(node).map(|status| status.groups.as_slice()).unwrap_or_default();
    groups
        .iter()
        .filter(|group| group.role == LEADER && group.group != META_GROUP)
        .map(|group| group.group)
        .collect()
}

/// Chooses by role, waits for a large body to be on its way, and kills; `busy`: shards that have users.
pub async fn strike(
    cluster: &Cluster,
    victim: Victim,
    busy: &[u32],
    random: &mut StdRng,
    shared: &Shared,
    amid: Transfer,
) -> Result<(Kill, u32), Error> {
    let shard = *busy.choose(random).ok_or_else(|| Error::Cluster("no shard has users".into()))?;
    let statuses = led(cluster, shard).await?;
    let component = match victim {
        Victim::ShardLeader => leader_of(&statuses, shard),
        Victim::MetaLeader => leader_of(&statuses, META_GROUP),
        Victim::Follower => {
            let leader = leader_of(&statuses, shard);
            let others: Vec<&String> =
                statuses.keys().filter(|name| Some(*name) != leader.as_ref()).collect();
            others.choose(random).map(|name| (*name).clone())
        }
        Victim::Gateway => {
            let file = cluster.file()?;
            let gateways: Vec<&str> =
                file.of_kind(Kind::Gateway).map(|gateway| gateway.name.as_str()).collect();
            gateways.choose(random).map(|name| (*name).to_owned())
        }
    };
    let component = component.ok_or_else(|| Error::Cluster(format!("nobody to kill as {victim:?}")))?;
    let led = led_by(&statuses, &component);
    shared.in_flight.wait_for(amid).await;
    let (amid_upload, amid_download) =
        (shared.in_flight.has(Transfer::Upload), shared.in_flight.has(Transfer::Download));
    let at_ns = shared.recorder.now_ns();
    let pid = cluster.kill(&component)?;
    Ok((Kill { victim, component, at_ns, led, amid_upload, amid_download }, pid))
}

/// Reports of all nodes once the shard and the meta group have leaders: a node may have been lost a moment ago.
async fn led(cluster: &Cluster, shard: u32) -> Result<BTreeMap<String, NodeStatusReply>, Error> {
    let mut seen = BTreeMap::new();
    wait_until(RECOVERY_TIMEOUT, &format!("shard {shard} and the meta group to be led"), async || {
        seen = statuses(cluster, false).await.unwrap_or_default();
        [shard, META_GROUP].into_iter().all(|group| leader_of(&seen, group).is_some())
    })
    .await?;
    Ok(seen)
}

/// Every node answers, every group has a leader, and no replica is far behind.
pub async fn recovered(cluster: &Cluster) -> Result<(), Error> {
    let living = cluster.living()?.len();
    wait_until(RECOVERY_TIMEOUT, "all replicas to catch up", async || {
        let Ok(statuses) = statuses(cluster, false).await else { return false };
        statuses.len() == living && all_caught_up(&statuses)
    })
    .await
}

fn all_caught_up(statuses: &BTreeMap<String, NodeStatusReply>) -> bool {
    let mut leaders: BTreeMap<u32, u64> = BTreeMap::new();
    let groups = || statuses.values().flat_map(|status| &status.groups);
    for group in groups().filter(|group| group.role == LEADER) {
        leaders.insert(group.group, group.committed);
    }
    groups().all(|group| {
        let leader = leaders.get(&group.group).copied();
        group.problem.is_empty()
            && leader.is_some_and(|committed| group.applied + LAG_ENTRIES_MAX >= committed)
    })
}

/// Seeded, so that two runs differ in when they strike.
pub fn pause(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(400..1500))
}
