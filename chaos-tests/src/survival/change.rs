//! Structural changes of the cluster: nodes that come, go and lose what they hold, and replicas that move.
//!
//! Each has two halves, so that processes can be killed between them: it begins, and it ends when the cluster is whole.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::node_wish::Fate;
use rowhouse_proto::wire::meta::operate_request::Wish;
use rowhouse_proto::wire::meta::{MoveWish, NodeWish};
use serde::Serialize;

use super::sight::{Sight, newest_map, wait_for, whole};
use crate::cluster::{Cluster, wait_until};
use crate::error::Error;
use crate::oracle::Violation;

/// Fewer cannot hold three replicas of each group.
const NODES_MIN: usize = 3;
/// More processes overwhelm a small machine, and show nothing new.
const NODES_MAX: usize = 5;
/// Until a wish is granted: the meta group elects, a silent node is noticed.
const WISH_TIMEOUT: Duration = Duration::from_secs(120);
const WISH_PAUSE: Duration = Duration::from_millis(250);
/// For a node without replicas to erase what they held.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(120);

/// A kind of structural change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A node dies for good; the operator says so, or it is away for too long.
    Lose,
    /// A new node joins, and receives its share.
    Add,
    /// A node empties, leaves the map and is stopped.
    Drain,
    /// A node loses its disk, and starts again as another one.
    Wipe,
    /// One replica of a shard moves as the operator wishes.
    Move,
}

/// A change that began.
#[derive(Clone, Debug)]
pub struct UnderWay {
    pub change: Change,
    /// Name of the node concerned.
    pub node: String,
    /// The identity that comes, leaves, or gives a replica away.
    uuid: Vec<u8>,
    /// Of `Lose`: nobody says it, so that the node is replaced for its absence.
    unsaid: bool,
}

impl Change {
    /// Whether so many nodes suffice for it, and are not too many.
    pub fn is_possible(self, living: usize) -> bool {
        match self {
            Self::Lose | Self::Drain | Self::Move => living > NODES_MIN,
            Self::Add => living < NODES_MAX,
            Self::Wipe => living >= NODES_MIN,
        }
    }

    /// One of these kinds at random. Where none of them is possible the cluster grows.
    pub fn choose(kinds: &[Self], living: usize, random: &mut StdRng) -> Option<Self> {
        if kinds.is_empty() {
            return None;
        }
        let possible: Vec<Self> = kinds.iter().copied().filter(|kind| kind.is_possible(living)).collect();
        possible.choose(random).copied().or_else(|| Self::Add.is_possible(living).then_some(Self::Add))
    }

    /// Begins the change on a node chosen at random. The cluster must be whole.
    pub async fn begin(self, cluster: &Cluster, random: &mut StdRng) -> Result<UnderWay, Error> {
        let sight = Sight::of(cluster, false).await?;
        let living = cluster.living()?;
        let node = living.choose(random).cloned().ok_or_else(|| Error::Cluster("no node lives".into()))?;
        let uuid = sight.uuid(&node).ok_or_else(|| Error::Cluster(format!("{node} does not answer")))?;
        let mut begun = UnderWay { change: self, node, uuid, unsaid: random.random() };
        match self {
            Self::Lose => {
                cluster.lose(&begun.node).await?;
                if !begun.unsaid {
                    direct(cluster, &begun.uuid, Fate::Lost).await?;
                }
            }
            Self::Add => {
                begun.node = join(cluster).await?;
                let uuid = Sight::of(cluster, false).await?.uuid(&begun.node);
                begun.uuid = uuid.ok_or_else(|| Error::Cluster(format!("{} does not answer", begun.node)))?;
            }
            Self::Drain => direct(cluster, &begun.uuid, Fate::Leave).await?,
            Self::Wipe => {
                cluster.lose(&begun.node).await?;
                cluster.give_disk(&begun.node).await?;
                direct(cluster, &begun.uuid, Fate::Lost).await?;
            }
            Self::Move => move_replica(cluster, &sight, &begun.uuid, random).await?,
        }
        Ok(begun)
    }
}

impl UnderWay {
    /// Waits until the change is made and the cluster is whole. Answers what it left behind and should not have.
    pub async fn finish(&self, cluster: &Cluster) -> Result<Vec<Violation>, Error> {
        let mut violations = Vec::new();
        match self.change {
            Change::Lose if self.unsaid => {
                self.wait_unused(cluster).await?;
                direct(cluster, &self.uuid, Fate::Remove).await?;
            }
            Change::Lose | Change::Wipe | Change::Move => {}
            Change::Add => {
                let node = &self.uuid;
                wait_for(cluster, &format!("{} to get its share", self.node), |sight| share(sight, node))
                    .await?;
            }
            Change::Drain => {
                self.wait_unused(cluster).await?;
                violations.extend(self.left_behind(cluster).await?);
                direct(cluster, &self.uuid, Fate::Remove).await?;
                cluster.retire(&self.node).await?;
            }
        }
        whole(cluster).await?;
        Ok(violations)
    }

    async fn wait_unused(&self, cluster: &Cluster) -> Result<(), Error> {
        let what = format!("{} to be replaced", self.node);
        wait_for(cluster, &what, |sight| {
            let left = sight.map.groups.iter().filter(|info| info.is_on(&self.uuid)).count();
            (left > 0).then(|| format!("{left} replicas are left on it"))
        })
        .await
    }

    /// A node that the map has no replica on runs none, and holds no chunk.
    async fn left_behind(&self, cluster: &Cluster) -> Result<Option<Violation>, Error> {
        let nodes = cluster.nodes()?;
        let known = nodes.iter().find(|node| node.name == self.node);
        let node = known.ok_or_else(|| Error::Cluster(format!("no node {}", self.node)))?;
        let mut left = String::from("it did not answer");
        let waited = wait_until(EMPTY_TIMEOUT, "the drained node to be empty", async || {
            let Ok(status) = node.status(true).await else { return false };
            let held = status.objects.and_then(|objects| objects.held);
            left = format!("{} replicas and {held:?} objects", status.groups.len());
            status.groups.is_empty() && held == Some(0)
        });
        let waited = waited.await;
        let what = format!("{} was drained and holds {left}", self.node);
        Ok(waited.err().map(|_| Violation { oracle: "orphans", what }))
    }
}

impl std::fmt::Display for UnderWay {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = if self.change == Change::Lose && self.unsaid { " (nobody says so)" } else { "" };
        write!(out, "change: {:?} {}{said}", self.change, self.node)
    }
}

/// A machine that was lost comes back empty; without one, there is a new machine.
async fn join(cluster: &Cluster) -> Result<String, Error> {
    let Some(name) = cluster.gone()?.into_iter().next() else { return cluster.add_node().await };
    cluster.give_disk(&name).await?;
    wait_for(cluster, &format!("{name} to join"), |sight| {
        let joined = sight.uuid(&name).is_some_and(|uuid| sight.has_node(&uuid));
        (!joined).then(|| "the map does not have it".to_owned())
    })
    .await?;
    Ok(name)
}

/// What a new node lacks of its share, which is one less than the mean at least.
fn share(sight: &Sight, node: &[u8]) -> Option<String> {
    let shards = sight.map.groups.iter().filter(|info| info.group != META_GROUP);
    let replicas: usize = shards.map(|info| info.replicas.len()).sum();
    let (mean, held) = (replicas / sight.map.nodes.len().max(1), sight.shards_on(node).len());
    (held + 1 < mean).then(|| format!("it has {held} shards where {mean} are the mean"))
}

/// Moves a shard from the node to one that has no replica of it.
async fn move_replica(
    cluster: &Cluster,
    sight: &Sight,
    from: &[u8],
    random: &mut StdRng,
) -> Result<(), Error> {
    let nobody = || Error::Cluster("no replica can move".into());
    let shard = sight.shards_on(from).into_iter().choose(random).ok_or_else(nobody)?;
    let info = sight.map.groups.iter().find(|info| info.group == shard).ok_or_else(nobody)?;
    let others = sight.map.nodes.iter().filter(|node| !info.is_on(&node.node_uuid));
    let to = others.choose(random).ok_or_else(nobody)?;
    let (from_node, to_node) = (from.to_vec().into(), to.node_uuid.clone());
    let is_made = |refused: &str| refused.contains("moves already");
    wish(cluster, Wish::Move(MoveWish { group: shard, from_node, to_node }), is_made).await
}

async fn direct(cluster: &Cluster, node_uuid: &[u8], fate: Fate) -> Result<(), Error> {
    let node_uuid = node_uuid.to_vec().into();
    // A lost node that holds nothing leaves the map at once; an answer may be lost after the wish was granted.
    let is_made =
        |refused: &str| matches!(fate, Fate::Lost | Fate::Remove) && refused.contains("no such node");
    wish(cluster, Wish::Node(NodeWish { node_uuid, fate: fate.into() }), is_made).await
}

/// Asks every node again and again until one grants it, or refuses for a reason that says it is done.
async fn wish(cluster: &Cluster, wish: Wish, is_made: impl Fn(&str) -> bool) -> Result<(), Error> {
    let deadline = Instant::now() + WISH_TIMEOUT;
    let mut last = String::from("nobody answered");
    while Instant::now() < deadline {
        let cluster_id = newest_map(cluster).await.map(|map| map.cluster_id).unwrap_or_default();
        for node in cluster.nodes()? {
            match node.operate(&cluster_id, wish.clone()).await {
                Ok(reply) if reply.accepted || is_made(&reply.refused) => return Ok(()),
                Ok(reply) if reply.refused.is_empty() => {}
                Ok(reply) => last = reply.refused,
                Err(error) => last = error.to_string(),
            }
        }
        tokio::time::sleep(WISH_PAUSE).await;
    }
    Err(Error::Timeout(WISH_TIMEOUT, format!("a wish to be granted: {last}; {wish:?}")))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_cluster_stays_between_three_and_five_nodes() {
        let mut random = StdRng::seed_from_u64(1);
        for kinds in [&[Change::Lose, Change::Drain][..], &[Change::Add], Change::value_variants()] {
            let mut living = NODES_MIN;
            for _ in 0..100 {
                match Change::choose(kinds, living, &mut random) {
                    Some(Change::Lose | Change::Drain) => living -= 1,
                    Some(Change::Add) => living += 1,
                    _ => {}
                }
                assert!((NODES_MIN..=NODES_MAX).contains(&living), "{kinds:?}");
            }
        }
        assert_eq!(Change::choose(&[], NODES_MIN, &mut random), None);
    }
}
