//! From a log entry to an outcome: decode, clocks, deduplication, the command, its row.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::command::{Command, Outcome, command::Body};
use rowhouse_proto::{ErrorCode, VersionRange};
use rowhouse_raft::state::Txn;
use rowhouse_raft::{EntryContext, Error, Machine};

use super::stop::Stop;
use super::turn::Turn;
use super::{
    begin_upload, close, close_cookie_session, collect_objects, create_user, dedup, delete_entry,
    mint_bearer, open_cookie_session, outcome, put_entry, revoke_grant,
};
use crate::command_version::decode;
use crate::planted;

/// The machine of every shard. It holds no state of its own: everything is in the group's.
#[derive(Clone, Copy, Debug)]
pub struct ShardMachine {
    /// Of the cluster, fixed when it was made.
    ids: EventIds,
    /// Of the commands it understands; at any other it stops.
    versions: VersionRange,
}

impl ShardMachine {
    pub fn new(ids: EventIds, versions: VersionRange) -> Self {
        Self { ids, versions }
    }
}

fn execute(mut turn: Turn<'_, '_>, command: &Command, body: &Body) -> Result<Outcome, Error> {
    // What the cluster asks of itself has no request id: repeating it changes nothing.
    match body {
        Body::Close(close) => close::apply(&mut turn, close),
        Body::CollectObjects(collect) => collect_objects::apply(&mut turn, collect)?,
        _ => return answer(turn, command, body),
    }
    turn.store_shard();
    Ok(outcome::done())
}

/// A request's command: once, whatever is retried.
fn answer(mut turn: Turn<'_, '_>, command: &Command, body: &Body) -> Result<Outcome, Error> {
    if let Some(answer) = dedup::answered(&*turn.txn, &turn.shard, command)? {
        return Ok(answer);
    }
    turn.sweep()?;
    let outcome = match dedup::room(&turn.shard).and_then(|()| apply(&mut turn, body)) {
        Ok(outcome) => outcome,
        Err(Stop::Refused(refusal)) => outcome::refused(refusal),
        Err(Stop::Failed(error)) => return Err(error),
    };
    // Nothing was applied, and the same request may succeed once the table has room.
    if outcome.code != ErrorCode::GuardTableFull.number() {
        turn.close_to_hlc();
        dedup::remember(&mut turn, &command.request_id, command.issued_at_us, &outcome);
    }
    turn.store_shard();
    Ok(outcome)
}

fn apply(turn: &mut Turn<'_, '_>, body: &Body) -> Result<Outcome, Stop> {
    match body {
        Body::CreateUser(command) => create_user::apply(turn, command),
        Body::OpenCookieSession(command) => open_cookie_session::apply(turn, command),
        Body::CloseCookieSession(command) => close_cookie_session::apply(turn, command),
        Body::MintBearer(command) => mint_bearer::apply(turn, command),
        Body::RevokeGrant(command) => revoke_grant::apply(turn, command),
        Body::PutEntry(command) => put_entry::apply(turn, command),
        Body::DeleteEntry(command) => delete_entry::apply(turn, command),
        Body::BeginUpload(command) => begin_upload::apply(turn, command),
        Body::Close(_) | Body::CollectObjects(_) => Err(ErrorCode::Internal.into()),
    }
}

impl Machine for ShardMachine {
    fn apply(&self, context: EntryContext, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let (command, body) = decode::<Command>(command, self.versions, context)?;
        let outcome = if planted::diverge() {
            outcome::done()
        } else {
            execute(Turn::open(txn, self.ids, &command, context.index)?, &command, &body)?
        };
        Ok(outcome.encode_to_vec().into())
    }
}
