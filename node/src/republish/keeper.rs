//! What looks at users' packets share.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{Command, Outcome, command::Body};
use tracing::debug;

use super::decide::Stored;
use crate::apply::PACKETS_SINCE;
use crate::local::Local;
use crate::network::Network;
use crate::peers::Cluster;
use crate::proposal::propose;
use crate::state::{packet, records};
use crate::{Error, Group};

/// The parts of a node that are needed.
pub struct Keeper {
    pub local: Arc<Local>,
    pub cluster: Arc<Cluster>,
    pub network: Arc<dyn Network>,
}

impl Keeper {
    /// Whether every replica understands what is proposed here.
    pub fn may_propose(&self) -> bool {
        self.cluster.view.command_version() >= PACKETS_SINCE
    }

    /// Whether it was applied. Another leader, or the next look, does what this one could not.
    pub async fn propose(&self, group: &Group, body: Body) -> bool {
        let Ok(stamp) = self.local.clock.stamp() else { return false };
        let command = Command {
            version: self.cluster.view.command_version(),
            hlc_us: stamp.hlc_us,
            now_ms: stamp.now_ms,
            body: Some(body),
            ..Command::default()
        };
        match propose(group, command.encode_to_vec().into(), Bytes::new()).await {
            Ok(reply) => Outcome::decode(reply).is_ok_and(|outcome| outcome.code == 0),
            Err(error) => {
                debug!(group = group.id(), %error, "not noted yet");
                false
            }
        }
    }

    /// What the shard knows of a user's packet at this moment; `None` if this node does not lead it.
    pub async fn stored(&self, group: &Group, user: &UserKey) -> Option<Stored> {
        group.read_barrier().await.ok()?;
        let row = group.read_latest(|view| records::user_packet(view, user));
        let row = row.map_err(|error: rowhouse_raft::Error| Error::from(error)).ok()?;
        Some(Stored { packet: packet::parse(user, &row.packet), newest_us: row.newest_us })
    }
}
