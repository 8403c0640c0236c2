//! An operator at work: over which cluster, until when, and under which name changes are recorded.

use std::sync::Arc;
use std::time::Duration;

use pubky_common::crypto::PublicKey;
use rowhouse_peer::Dialer;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::meta::{
    ClusterMap, meta_execute_reply, meta_execute_request, meta_query_reply, meta_query_request,
};
use rowhouse_proto::wire::shard::{execute_reply, execute_request, query_reply, query_request};
use rowhouse_proto::{ErrorCode, Refusal};

use crate::Error;
use crate::cluster::{Call, Cluster};
use crate::settings::Limits;

/// One operator's request. Each has a deadline: `limits.retry_timeout_s` after it was made.
#[derive(Clone)]
pub struct Operator {
    pub(super) cluster: Arc<Cluster>,
    pub(super) call: Call,
    pub(super) who: Arc<str>,
    pub(super) action: Arc<str>,
    /// A signup that has held its token for so long is over.
    pub(super) reservation: Duration,
}

impl Operator {
    /// For a program that is no gateway: the cluster as `map` has it, which `node` sent a moment ago. `who` and
    /// `action` stand in the audit records of its changes.
    ///
    /// Fails if the map is of no cluster. Needs a runtime, as connections do.
    pub fn over(
        map: &ClusterMap,
        node: &str,
        dialer: Dialer,
        who: &str,
        action: &str,
    ) -> Result<Self, Error> {
        let no_cluster = || Error::NoCluster { node: node.to_owned() };
        let key: &[u8; 32] = map.homeserver[..].try_into().map_err(|_| no_cluster())?;
        let homeserver: PublicKey = pkarr::PublicKey::try_from(key).map_err(|_| no_cluster())?.into();
        let limits = Limits::default();
        let cluster = Arc::new(Cluster::new(&limits, dialer, homeserver));
        if !cluster.install(map, map.hlc, node)? {
            return Err(no_cluster());
        }
        let call = cluster.call(None);
        Ok(Self::new(cluster, call, who, action, limits.signup_reservation_s))
    }

    /// For a request to a gateway.
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        call: Call,
        who: &str,
        action: &str,
        reservation: Duration,
    ) -> Self {
        Self { cluster, call, who: who.into(), action: action.into(), reservation }
    }

    /// The same operator with the whole time again, for the next of several questions.
    pub fn renewed(&self) -> Self {
        Self { call: self.cluster.call_again(&self.call), ..self.clone() }
    }

    /// The shard of a user whose key is `key`.
    pub(super) async fn shard_of(&self, key: &[u8]) -> Result<u32, Refusal> {
        let user = user::parse(key)?;
        Ok(self.cluster.map().await?.shard_of_slot(Slot::of_key(&user)))
    }

    pub(super) async fn execute(
        &self,
        shard: u32,
        op: execute_request::Op,
    ) -> Result<execute_reply::Result, Refusal> {
        Ok(self.cluster.execute(&self.call, shard, String::new(), op).await?)
    }

    pub(super) async fn query(
        &self,
        shard: u32,
        op: query_request::Op,
    ) -> Result<query_reply::Result, Refusal> {
        Ok(self.cluster.query(&self.call, shard, op).await?)
    }

    pub(super) async fn meta_execute(&self, op: meta_execute_request::Op) -> Result<(), Refusal> {
        match self.cluster.meta_execute(&self.call, op).await? {
            meta_execute_reply::Result::Done(_) => Ok(()),
            _ => Err(ErrorCode::Internal.into()),
        }
    }

    pub(super) async fn meta_query(
        &self,
        op: meta_query_request::Op,
    ) -> Result<meta_query_reply::Result, Refusal> {
        Ok(self.cluster.meta_query(&self.call, op).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::map_of;

    #[tokio::test]
    async fn an_operator_needs_the_map_of_a_cluster() {
        let over = |map: &ClusterMap| {
            let operator =
                Operator::over(map, "127.0.0.1:6301", Dialer::plaintext(), "ctl@me", "ctl user list");
            operator.err().map(|error| error.to_string())
        };
        let whole = map_of(1, 4, &["127.0.0.1:1".parse().expect("an address")], "open");
        assert_eq!(over(&whole), None);
        let nothing = "node 127.0.0.1:6301 belongs to no cluster yet: `rowhouse cluster init` makes one";
        assert_eq!(over(&ClusterMap::default()).as_deref(), Some(nothing));
        let unfounded = ClusterMap { cluster_id: Default::default(), ..whole };
        assert_eq!(over(&unfounded).as_deref(), Some(nothing));
    }
}
