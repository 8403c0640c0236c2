//! Applies meta commands.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::wire::command::{MetaCommand, MetaOutcome, meta_command::Body};
use rowhouse_proto::{COMMAND_VERSIONS, VersionRange};
use rowhouse_raft::state::Txn;
use rowhouse_raft::{EntryContext, Error, Machine};

use super::{
    Verdict, announce_gateway, bootstrap, place_shards, raise_command_version, register_node, set_packet,
    tables, withdraw_gateway,
};
use crate::command_version::decode;

/// Stateless: everything is in the group's state.
#[derive(Clone, Copy, Debug)]
pub struct MetaMachine {
    /// Of the commands it understands; at any other it stops.
    pub versions: VersionRange,
}

impl Default for MetaMachine {
    fn default() -> Self {
        Self { versions: COMMAND_VERSIONS }
    }
}

impl Machine for MetaMachine {
    fn apply(&self, context: EntryContext, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let (command, body) = decode::<MetaCommand>(command, self.versions, context)?;
        let verdict = apply(&command, body, txn)?;
        if verdict == Verdict::Changed
            && let Some(mut cluster) = tables::cluster(&*txn)?
        {
            cluster.map_version += 1;
            tables::put_cluster(txn, &cluster);
        }
        let outcome: MetaOutcome = verdict.into_outcome();
        Ok(outcome.encode_to_vec().into())
    }
}

fn apply(command: &MetaCommand, body: Body, txn: &mut Txn<'_>) -> Result<Verdict, Error> {
    match body {
        Body::Bootstrap(first) => bootstrap::apply(txn, first, command.version),
        Body::RegisterNode(command) => register_node::apply(txn, command),
        Body::SetPacket(packet) => set_packet::apply(txn, packet, command.now_ms),
        Body::PlaceShards(command) => place_shards::apply(txn, command),
        Body::AnnounceGateway(command) => announce_gateway::apply(txn, command),
        Body::WithdrawGateway(command) => withdraw_gateway::apply(txn, command),
        Body::RaiseCommandVersion(command) => raise_command_version::apply(txn, command),
    }
}

/// The bytes to propose under the version in force. `now_ms` is the proposer's physical clock.
pub fn encode(version: u32, body: Body, now_ms: u64) -> Bytes {
    MetaCommand { version, now_ms, body: Some(body) }.encode_to_vec().into()
}
