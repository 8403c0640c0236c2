//! Deletes users' files: neither a session nor the user's own write paths are asked for.

use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::Refusal;
use rowhouse_proto::wire::shard::{Credential, DeleteEntry, credential, execute_request};

use super::Operator;

impl Operator {
    /// Deletes one file. Refused as `NotFound` without one, and as `TargetMustBeFile` for a directory.
    pub async fn delete_entry(&self, user: &PublicKey, path: &StoragePath) -> Result<(), Refusal> {
        let (operator, target) = (self.clone(), format!("{}{}", user.z32(), path.as_str()));
        let op = execute_request::Op::DeleteEntry(DeleteEntry {
            credential: Some(Credential { kind: Some(credential::Kind::Operator(true)) }),
            tenant: user.as_bytes().to_vec().into(),
            path: path.as_str().to_owned(),
            conditions: None,
        });
        let shard = self.shard_of(user.as_bytes()).await?;
        self.audited(&target, async move { operator.execute(shard, op).await.map(drop) }).await
    }
}
