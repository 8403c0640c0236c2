//! Turns an operator's operation on collections into its command.

use rowhouse_proto::Refusal;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{self, command::Body};
use rowhouse_proto::wire::shard;

use super::answer::Answer;
use super::prepared::Prepared;

/// It adds a row, and so it waits while disks are full.
pub(super) fn make_collection(op: shard::MakeCollection) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::MakeCollection { user: op.tenant, path: op.path };
    Ok(Prepared::new(Body::MakeCollection(command), Answer::Done, Some(user)).growing())
}

pub(super) fn remove_collection(op: shard::RemoveCollection) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::RemoveCollection { user: op.tenant, path: op.path };
    Ok(Prepared::new(Body::RemoveCollection(command), Answer::Done, Some(user)))
}

/// Its events stay, and so it waits while disks are full.
pub(super) fn move_entries(op: shard::MoveEntries) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::MoveEntries { user: op.tenant, from: op.from, to: op.to, overwrite: op.overwrite };
    Ok(Prepared::new(Body::MoveEntries(command), Answer::Done, Some(user)).growing())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::apply::ACCOUNTS_SINCE;

    #[test]
    fn older_programs_never_meet_these_commands() {
        let tenant = Bytes::from_static(&[7; 32]);
        let made = make_collection(shard::MakeCollection { tenant: tenant.clone(), path: "/pub/a/".into() });
        let removed =
            remove_collection(shard::RemoveCollection { tenant: tenant.clone(), path: "/pub/a/".into() });
        let moved = move_entries(shard::MoveEntries { tenant, ..shard::MoveEntries::default() });
        for prepared in [made, removed, moved] {
            let prepared = prepared.expect("a user's");
            assert!(prepared.is_too_new(ACCOUNTS_SINCE - 1) && !prepared.is_too_new(ACCOUNTS_SINCE));
            assert_eq!((prepared.user, prepared.anonymous), (Some([7; 32]), false));
        }
        assert!(make_collection(shard::MakeCollection::default()).is_err());
    }
}
