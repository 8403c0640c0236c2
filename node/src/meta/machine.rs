//! Applies meta commands.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::COMMAND_VERSION;
use rowhouse_proto::wire::command::{MetaCommand, MetaOutcome, meta_command::Body};
use rowhouse_raft::state::Txn;
use rowhouse_raft::{EntryContext, Error, Machine};

use super::{
    Verdict, announce_gateway, bootstrap, place_shards, register_node, set_packet, tables, withdraw_gateway,
};

/// Stateless: everything is in the group's state.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetaMachine;

impl Machine for MetaMachine {
    fn apply(&self, _context: EntryContext, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let verdict = match MetaCommand::decode(command.clone()) {
            Ok(command) if command.version == COMMAND_VERSION => apply(command, txn)?,
            Ok(command) => Verdict::refused(format!("unknown command version {}", command.version)),
            Err(error) => Verdict::refused(format!("undecodable command: {error}")),
        };
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

fn apply(command: MetaCommand, txn: &mut Txn<'_>) -> Result<Verdict, Error> {
    let now_ms = command.now_ms;
    match command.body {
        Some(Body::Bootstrap(command)) => bootstrap::apply(txn, command),
        Some(Body::RegisterNode(command)) => register_node::apply(txn, command),
        Some(Body::SetPacket(command)) => set_packet::apply(txn, command, now_ms),
        Some(Body::PlaceShards(command)) => place_shards::apply(txn, command),
        Some(Body::AnnounceGateway(command)) => announce_gateway::apply(txn, command),
        Some(Body::WithdrawGateway(command)) => withdraw_gateway::apply(txn, command),
        None => Ok(Verdict::refused("unknown command")),
    }
}

/// The bytes to propose. `now_ms` is the proposer's physical clock.
pub fn encode(body: Body, now_ms: u64) -> Bytes {
    MetaCommand { version: COMMAND_VERSION, now_ms, body: Some(body) }.encode_to_vec().into()
}
