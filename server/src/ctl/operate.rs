//! Tells the cluster what an operator wishes. The node that leads the meta group hears it; any node knows which one.

use std::time::{Duration, Instant};

use rowhouse_gateway::overview::View;
use rowhouse_peer::Dialer;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::NodeInfo;
use rowhouse_proto::wire::meta::operate_request::Wish;
use tokio::time::sleep;

use super::client::NodeClient;
use crate::error::Error;

/// An election takes a second or two; who still has no leader after so long has lost its majority.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// What the cluster made of a wish.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// For this reason; nothing was changed.
    Refused(String),
}

impl Verdict {
    /// A refusal as an error.
    pub fn accepted(self) -> Result<(), Error> {
        match self {
            Self::Accepted => Ok(()),
            Self::Refused(why) => Err(Error::Failed(why)),
        }
    }
}

/// Asks until the wish is heard or `PATIENCE` is over. A wish may be heard twice, which is harmless; where it is not, a
/// refusal says that it is done already.
pub async fn operate(view: &View, dialer: &Dialer, wish: Wish) -> Result<Verdict, Error> {
    let until = Instant::now() + PATIENCE;
    let mut candidates = candidates(view).into_iter().cycle();
    let mut next = view.leader(META_GROUP).map(|(leader, _)| leader.clone());
    loop {
        let Some(node) = next.take().or_else(|| candidates.next()) else {
            return Err(Error::Failed("the map names no node with the meta group".into()));
        };
        let failure = match ask(&node, dialer, &view.map.cluster_id, wish.clone()).await? {
            Heard::Verdict(verdict) => return Ok(verdict),
            Heard::Elsewhere(leader) => {
                next = view.find(&leader).map(|(info, _)| info.clone());
                format!("{} does not lead the meta group", node.name)
            }
            Heard::Nobody(error) => error.to_string(),
        };
        if Instant::now() >= until {
            return Err(Error::Failed(format!(
                "no node leads the meta group, so that the cluster cannot be changed now: {failure}"
            )));
        }
        sleep(PAUSE).await;
    }
}

enum Heard {
    Verdict(Verdict),
    /// The node of this uuid leads; empty: it is not known.
    Elsewhere(Vec<u8>),
    /// The node did not answer.
    Nobody(Error),
}

async fn ask(node: &NodeInfo, dialer: &Dialer, cluster_id: &[u8], wish: Wish) -> Result<Heard, Error> {
    let mut client = match NodeClient::connect(&node.address, dialer, Some(&node.name)).await {
        Ok(client) => client,
        Err(error) => return Ok(Heard::Nobody(error)),
    };
    let reply = match client.operate(cluster_id, wish).await {
        Ok(reply) => reply,
        Err(failed) if failed.may_pass => return Ok(Heard::Nobody(failed.error)),
        Err(failed) => return Err(failed.error),
    };
    Ok(if reply.accepted {
        Heard::Verdict(Verdict::Accepted)
    } else if reply.refused.is_empty() {
        Heard::Elsewhere(reply.leader_node.to_vec())
    } else {
        Heard::Verdict(Verdict::Refused(reply.refused))
    })
}

/// The nodes that have the meta group.
fn candidates(view: &View) -> Vec<NodeInfo> {
    let meta = view.map.groups.iter().find(|group| group.group == META_GROUP);
    let replicas = meta.into_iter().flat_map(|group| &group.replicas);
    replicas.filter_map(|replica| Some(view.find(&replica.node_uuid)?.0.clone())).collect()
}
