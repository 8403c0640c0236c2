//! Turns an operator's operation on collections into its command, which names its user.

use rowhouse_proto::Refusal;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::command::{self, command::Body};
use rowhouse_proto::wire::shard;

pub(super) fn make_collection(op: shard::MakeCollection) -> Result<(Body, UserKey), Refusal> {
    let user = user::parse(&op.tenant)?;
    Ok((Body::MakeCollection(command::MakeCollection { user: op.tenant, path: op.path }), user))
}

pub(super) fn remove_collection(op: shard::RemoveCollection) -> Result<(Body, UserKey), Refusal> {
    let user = user::parse(&op.tenant)?;
    Ok((Body::RemoveCollection(command::RemoveCollection { user: op.tenant, path: op.path }), user))
}

pub(super) fn move_entries(op: shard::MoveEntries) -> Result<(Body, UserKey), Refusal> {
    let user = user::parse(&op.tenant)?;
    let shard::MoveEntries { tenant, from, to, overwrite } = op;
    Ok((Body::MoveEntries(command::MoveEntries { user: tenant, from, to, overwrite }), user))
}
