//! Disables users, enables them again, and changes what one may use. The user's shard decides.

use pubky_common::crypto::PublicKey;
use rowhouse_proto::Refusal;
use rowhouse_proto::wire::account::QuotaPatch;
use rowhouse_proto::wire::shard::{ChangeQuota, DisableUser, execute_request};

use super::Operator;

impl Operator {
    /// Disables a user, or enables one again. Refused as `NotFound` for a user that does not exist.
    pub async fn disable(&self, user: &PublicKey, disabled: bool) -> Result<(), Refusal> {
        let tenant = user.as_bytes().to_vec().into();
        self.change(user, execute_request::Op::DisableUser(DisableUser { tenant, disabled })).await
    }

    /// Changes what a user may use. Refused as `NotFound` for a user that does not exist, and as `InvalidQuota` if the
    /// whole would not be valid.
    pub async fn change_quota(&self, user: &PublicKey, patch: QuotaPatch) -> Result<(), Refusal> {
        let tenant = user.as_bytes().to_vec().into();
        let patch = Some(patch);
        self.change(user, execute_request::Op::ChangeQuota(ChangeQuota { tenant, patch })).await
    }

    async fn change(&self, user: &PublicKey, op: execute_request::Op) -> Result<(), Refusal> {
        let operator = self.clone();
        let shard = self.shard_of(user.as_bytes()).await?;
        self.audited(&user.z32(), async move { operator.execute(shard, op).await.map(drop) }).await
    }
}
