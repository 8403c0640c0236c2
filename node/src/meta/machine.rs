//! From an entry of the meta group's log to an outcome: decode, the command, the map's version.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::wire::command::{MetaCommand, meta_command::Body};
use rowhouse_proto::{COMMAND_VERSIONS, VersionRange};
use rowhouse_raft::state::Txn;
use rowhouse_raft::{EntryContext, Error, Machine};

use super::{Verdict, commands, tables};
use crate::command_version::decode;

/// The machine of the meta group. It holds no state of its own: everything is in the group's.
#[derive(Clone, Copy, Debug)]
pub struct MetaMachine {
    /// The command versions it understands; it stops at any other.
    pub versions: VersionRange,
}

impl Default for MetaMachine {
    fn default() -> Self {
        Self { versions: COMMAND_VERSIONS }
    }
}

impl Machine for MetaMachine {
    fn apply(&self, context: EntryContext<'_>, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let (command, body) = decode::<MetaCommand>(command, self.versions, context)?;
        let verdict = commands::of(&body).apply(txn, (&command).into())?;
        if verdict == Verdict::Changed
            && let Some(mut cluster) = tables::cluster(&*txn)?
        {
            cluster.map_version += 1;
            tables::put_cluster(txn, &cluster);
        }
        Ok(verdict.into_outcome().encode_to_vec().into())
    }
}

/// The bytes to propose under the version in force. `now_ms` is the proposer's physical clock in unix milliseconds.
pub fn encode(version: u32, body: Body, now_ms: u64) -> Bytes {
    MetaCommand { version, now_ms, body: Some(body) }.encode_to_vec().into()
}
