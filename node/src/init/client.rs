//! `rowhouse cluster init`. All named nodes must be empty; then each is told what it becomes, and one of them starts
//! the meta group. A second run finishes a first one that was cut short, or finds a cluster that lives and does nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use futures::stream::FuturesUnordered;
use rowhouse_peer::Dialer;
use rowhouse_proto::wire::meta::{
    ClusterMap, CommitInitRequest, NodeInfo, NodeStatusRequest, PrepareInitReply, PrepareInitRequest,
    Settings, WatchMapRequest,
};
use rowhouse_proto::{META_GROUP, WIRE_VERSION, hex};
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt;
use uuid::Uuid;

use crate::Error;
use crate::meta;
use crate::peers::{Pool, call};

/// How often readiness is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Any node of a living cluster says that it lives; so many are asked at most.
const ADDRESSES_MAX: usize = 64;

/// The cluster that shall be.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// host:port of each of the first nodes.
    pub nodes: Vec<String>,
    /// host:port of names whose addresses may be nodes of a living cluster. Where one is, nothing is founded.
    pub elsewhere: Vec<String>,
    /// A power of two up to 4,096.
    pub shards: u32,
    /// `meta::OPEN_SIGNUP`: nodes refuse `token_required` as long as there are no tokens.
    pub signup_mode: String,
    /// Time for everything, including the wait until every shard has a leader.
    pub deadline: Duration,
    /// Dials the nodes, with certificates if they demand them.
    pub dialer: Dialer,
}

/// The cluster that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// Drawn for this cluster.
    pub cluster_id: [u8; 16],
    /// False: the cluster lived already, nothing was done.
    pub created: bool,
    /// Its number of shards.
    pub shards: u32,
}

/// Brings the cluster to life and returns when every shard has a leader. Fails if the nodes cannot be one cluster, and
/// at the deadline; doing it again finishes what was begun.
///
/// A cluster whose shards are placed lives: it is reported as it is, whatever became of its first nodes since.
pub async fn initialize_cluster(options: InitOptions) -> Result<InitReport, Error> {
    let deadline = Instant::now() + options.deadline;
    let pool = Pool::new(options.dialer.clone());
    if let Some(map) = living(&pool, &options).await {
        return report(&map.cluster_id, false, map.shard_count);
    }
    let found = prepare(&pool, &options, deadline).await?;
    // Its nodes may have been starting, as these were.
    if let Some(map) = living(&pool, &options).await {
        return report(&map.cluster_id, false, map.shard_count);
    }
    let created = found.iter().any(|reply| reply.cluster_id.is_empty());
    let request = decide(&found, &options)?;
    commit(&pool, &options, &request, deadline).await?;
    wait_for_leaders(&pool, &options, deadline).await?;
    report(&request.cluster_id, created, request.shard_count)
}

fn report(cluster_id: &[u8], created: bool, shards: u32) -> Result<InitReport, Error> {
    let cluster_id = cluster_id.try_into().map_err(|_| Error::Init("malformed cluster id".into()))?;
    Ok(InitReport { cluster_id, created, shards })
}

/// The map of a cluster that lives where it may.
async fn living(pool: &Pool, options: &InitOptions) -> Option<ClusterMap> {
    let elsewhere = addresses_of(&options.elsewhere).await;
    placed_map(pool, options.nodes.iter().chain(&elsewhere)).await
}

/// What the names stand for now, at most `ADDRESSES_MAX`. A name that stands for nothing yet has no node.
async fn addresses_of(names: &[String]) -> Vec<String> {
    let mut addresses = Vec::new();
    for name in names {
        if let Ok(found) = tokio::net::lookup_host(name).await {
            addresses.extend(found.map(|address| address.to_string()));
        }
    }
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// Asks every node what it is; nodes that still start are asked again.
async fn prepare(
    pool: &Pool,
    options: &InitOptions,
    deadline: Instant,
) -> Result<Vec<PrepareInitReply>, Error> {
    loop {
        let asked = options.nodes.iter().map(|address| async move {
            let mut client = pool.meta(address, None)?;
            call(address, client.prepare_init(PrepareInitRequest {})).await
        });
        match try_join_all(asked).await {
            Ok(replies) => return Ok(replies),
            Err(error) if Instant::now() >= deadline => {
                return Err(Error::Init(format!("every node must answer: {error}")));
            }
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

/// The request that makes the nodes one cluster, given what they are now.
fn decide(found: &[PrepareInitReply], options: &InitOptions) -> Result<CommitInitRequest, Error> {
    let uuids: BTreeSet<&Bytes> = found.iter().map(|reply| &reply.node_uuid).collect();
    if uuids.len() != found.len() || found.is_empty() {
        return Err(Error::Init("the same node was named twice, or none at all".to_owned()));
    }
    let ids: BTreeSet<&Bytes> =
        found.iter().map(|reply| &reply.cluster_id).filter(|id| !id.is_empty()).collect();
    match ids.len() {
        0 if meta::first_command_version(&lines(found)).is_none() => {
            Err(Error::Init("there is no command version that all of these nodes understand".to_owned()))
        }
        0 => Ok(CommitInitRequest {
            cluster_id: Uuid::now_v7().into_bytes().to_vec().into(),
            shard_count: options.shards,
            nodes: lines(found),
            start: false,
            settings: Some(Settings { signup_mode: options.signup_mode.clone(), defaults: None }),
            homeserver: Bytes::new(),
        }),
        1 => resume(found, &uuids),
        _ => Err(Error::Init("the nodes are of different clusters".to_owned())),
    }
}

/// The nodes as the map will have them.
fn lines(found: &[PrepareInitReply]) -> Vec<NodeInfo> {
    let line = |reply: &PrepareInitReply| NodeInfo {
        node_uuid: reply.node_uuid.clone(),
        address: reply.address.clone(),
        name: reply.name.clone(),
        command_version_min: reply.command_version_min,
        command_version_max: reply.command_version_max,
        zone: reply.zone.clone(),
        life: None,
    };
    found.iter().map(line).collect()
}

/// Some nodes were told before: only exactly that may be finished.
fn resume(found: &[PrepareInitReply], uuids: &BTreeSet<&Bytes>) -> Result<CommitInitRequest, Error> {
    let known = found.iter().find_map(|reply| reply.pending.clone());
    let Some(known) = known else {
        return Err(Error::Init(
            "a node belongs to a cluster it was not one of the first nodes of".to_owned(),
        ));
    };
    let first: BTreeSet<&Bytes> = known.nodes.iter().map(|node| &node.node_uuid).collect();
    if first != *uuids {
        let cluster = hex(&known.cluster_id);
        return Err(Error::Init(format!("cluster {cluster} was begun with other nodes than these")));
    }
    Ok(known)
}

async fn commit(
    pool: &Pool,
    options: &InitOptions,
    request: &CommitInitRequest,
    deadline: Instant,
) -> Result<(), Error> {
    try_join_all(options.nodes.iter().map(|address| tell(pool, address, request, deadline))).await?;
    // Always the node of replica 1; repeating it there, and the same set elsewhere, is harmless.
    let first = request.nodes.first().map(|node| node.address.clone());
    let first = first.ok_or_else(|| Error::Init("no nodes".to_owned()))?;
    tell(pool, &first, &CommitInitRequest { start: true, ..request.clone() }, deadline).await
}

/// Until the node answers: saying the same twice is harmless.
async fn tell(
    pool: &Pool,
    address: &str,
    request: &CommitInitRequest,
    deadline: Instant,
) -> Result<(), Error> {
    loop {
        let mut client = pool.meta(address, None)?;
        match call(address, client.commit_init(request.clone())).await {
            Ok(reply) if reply.refused.is_empty() => return Ok(()),
            Ok(reply) => return Err(Error::Init(format!("{address}: {}", reply.refused))),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

/// Returns when the map is placed and every group has a leader that its node confirms.
async fn wait_for_leaders(pool: &Pool, options: &InitOptions, deadline: Instant) -> Result<(), Error> {
    loop {
        let missing = match placed_map(pool, &options.nodes).await {
            Some(map) => leaderless(pool, &map).await,
            None => "the shard map".to_owned(),
        };
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Init(format!("still waiting for {missing}; running it again is harmless")));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The first whole map that one of these answers. They are asked at once: some may be away.
async fn placed_map(pool: &Pool, addresses: impl IntoIterator<Item = &String>) -> Option<ClusterMap> {
    let mut asked: FuturesUnordered<_> = addresses.into_iter().map(|address| map_of(pool, address)).collect();
    while let Some(answer) = asked.next().await {
        if let Some(map) = answer.filter(placed) {
            return Some(map);
        }
    }
    None
}

async fn map_of(pool: &Pool, address: &str) -> Option<ClusterMap> {
    let mut client = pool.meta(address, None).ok()?;
    let request = WatchMapRequest { version: WIRE_VERSION, changes: false };
    let mut stream = call(address, client.watch_map(request)).await.ok()?;
    tokio::time::timeout(LOOK_EVERY * 10, stream.next()).await.ok()??.ok()
}

fn placed(map: &ClusterMap) -> bool {
    map.groups.iter().filter(|group| group.group != META_GROUP).count() == map.shard_count as usize
        && map.shard_count > 0
}

/// Empty, or the groups nobody leads. Nodes that joined meanwhile lead some.
async fn leaderless(pool: &Pool, map: &ClusterMap) -> String {
    let asked = map.nodes.iter().map(|node| async move {
        let address = &node.address;
        let mut client = pool.meta(address, None).ok()?;
        call(address, client.node_status(NodeStatusRequest { version: WIRE_VERSION, scan: false })).await.ok()
    });
    let statuses = join_all(asked).await;
    let led: BTreeSet<u32> = statuses
        .iter()
        .flatten()
        .flat_map(|status| &status.groups)
        .filter(|group| group.role == "leader")
        .map(|group| group.group)
        .collect();
    let missing: Vec<String> = map
        .groups
        .iter()
        .filter(|group| !led.contains(&group.group))
        .map(|group| group.group.to_string())
        .collect();
    if missing.is_empty() { String::new() } else { format!("leaders of groups {}", missing.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(n: u8, pending: Option<CommitInitRequest>) -> PrepareInitReply {
        PrepareInitReply {
            node_uuid: vec![n; 16].into(),
            cluster_id: pending.as_ref().map(|pending| pending.cluster_id.clone()).unwrap_or_default(),
            address: format!("127.0.0.1:{n}"),
            name: format!("n{n}"),
            pending,
            command_version_min: 2,
            command_version_max: 2,
            zone: String::new(),
        }
    }

    fn options() -> InitOptions {
        InitOptions {
            nodes: Vec::new(),
            elsewhere: Vec::new(),
            shards: 16,
            signup_mode: "open".into(),
            deadline: Duration::from_secs(1),
            dialer: Dialer::plaintext(),
        }
    }

    #[test]
    fn empty_nodes_become_a_new_cluster() {
        let found: Vec<_> = (1..=3).map(|n| reply(n, None)).collect();
        let request = decide(&found, &options()).expect("all empty");
        assert_eq!((request.nodes.len(), request.shard_count, request.cluster_id.len()), (3, 16, 16));
    }

    #[test]
    fn nodes_that_share_no_command_version_are_refused() {
        let newer = PrepareInitReply { command_version_min: 3, command_version_max: 4, ..reply(2, None) };
        let error = decide(&[reply(1, None), newer.clone()], &options()).expect_err("2, and 3 to 4");
        assert!(error.to_string().contains("command version"), "{error}");
        let between = PrepareInitReply { command_version_max: 3, ..reply(1, None) };
        let request = decide(&[between, newer], &options()).expect("3");
        assert_eq!(meta::first_command_version(&request.nodes), Some(3));
    }

    #[test]
    fn a_half_told_cluster_is_finished_with_the_same_words() {
        let told = decide(&[reply(1, None), reply(2, None)], &options()).expect("all empty");
        let found = [reply(1, Some(told.clone())), reply(2, None)];
        assert_eq!(decide(&found, &options()).expect("resumable"), told);
        let other = [reply(1, Some(told.clone())), reply(3, None)];
        assert!(decide(&other, &options()).is_err(), "another set of nodes");
        let more = [reply(1, Some(told)), reply(2, None), reply(3, None)];
        assert!(decide(&more, &options()).is_err(), "a larger set of nodes");
    }

    #[test]
    fn nodes_of_different_clusters_or_named_twice_are_refused() {
        let one = decide(&[reply(1, None)], &options()).expect("empty");
        let two = decide(&[reply(2, None)], &options()).expect("empty");
        assert!(decide(&[reply(1, Some(one)), reply(2, Some(two))], &options()).is_err());
        assert!(decide(&[reply(1, None), reply(1, None)], &options()).is_err());
        assert!(decide(&[], &options()).is_err());
    }
}
