//! A linearizable read: barrier, then the answer from one consistent view, inline in this task.

use rowhouse_proto::wire::shard::query_reply::Result as Reply;
use rowhouse_proto::wire::shard::{QueryRequest, credential::Kind, query_request::Op};
use rowhouse_proto::{ErrorCode, Refusal, WIRE_VERSION};
use rowhouse_raft::state::View;

use super::refusal::{internal, of_barrier};
use super::shard::{ShardService, Told};
use crate::read;

impl ShardService {
    /// Answers from applied state, once this node is known to lead the group.
    ///
    /// `Unavailable` for a bearer while this node does not know the time; `WrongVersion` for a request of another wire
    /// version.
    pub(super) async fn answer_query(&self, request: QueryRequest) -> Result<Told<Reply>, Refusal> {
        if request.version != WIRE_VERSION {
            return Err(ErrorCode::WrongVersion.into());
        }
        let group = self.group(request.group)?;
        let op = request.op.ok_or(ErrorCode::WrongVersion)?;
        // A node that does not know the time yet cannot tell whether a bearer still works; another may.
        if presents_bearer(&op) && self.clock.judged_us().is_none() {
            return Err(ErrorCode::Unavailable.into());
        }
        group.read_barrier().await.map_err(of_barrier)?;
        let (reader, shard, now_ms) = (request.reader.as_ref(), request.group, self.clock.physical_ms());
        group.read(|view| {
            let reply = answer(view, shard, &op, now_ms)?;
            let judged_ms = self.clock.judged_ms();
            let bandwidth = read::bandwidth_of_read(view, &op, reader, || self.default_quota(), judged_ms)?;
            Ok(Told { reply, bandwidth })
        })
    }
}

/// Only bearers expire.
fn presents_bearer(op: &Op) -> bool {
    let credential = match op {
        Op::ReadEntry(query) => query.credential.as_ref(),
        Op::ListEntries(query) => query.credential.as_ref(),
        Op::GetSession(query) => query.credential.as_ref(),
        Op::ListGrants(query) => query.credential.as_ref(),
        Op::ListEvents(query) => query.credential.as_ref(),
        Op::ShardStats(_) | Op::GetUser(_) | Op::ListUsers(_) => None,
        Op::ListCollection(_) | Op::FindMember(_) => None,
        Op::ListLeft(_) | Op::GetPacket(_) => None,
    };
    credential.is_some_and(|credential| matches!(credential.kind, Some(Kind::BearerHash(_))))
}

fn answer(view: &View<'_>, shard: u32, op: &Op, now_ms: u64) -> Result<Reply, Refusal> {
    match op {
        Op::ReadEntry(query) => Ok(Reply::Entry(read::read_entry(view, query, now_ms)?)),
        Op::ListEntries(query) => Ok(Reply::Listing(read::list_entries(view, query, now_ms)?)),
        Op::GetSession(query) => Ok(read::get_session(view, query, now_ms)?),
        Op::ListEvents(query) => Ok(Reply::EventPage(read::list_events(view, shard, query, now_ms)?)),
        Op::GetUser(query) => Ok(Reply::Account(read::get_user(view, query)?)),
        Op::ListUsers(query) => Ok(Reply::AccountPage(read::list_users(view, query)?)),
        Op::ListCollection(query) => Ok(Reply::MemberPage(read::list_collection(view, query)?)),
        Op::FindMember(query) => Ok(Reply::Member(read::find_member(view, query)?)),
        Op::ListLeft(query) => Ok(Reply::LeftPage(read::list_left(view, query)?)),
        Op::GetPacket(query) => Ok(Reply::UserPacket(read::get_packet(view, query)?)),
        Op::ListGrants(query) => Ok(Reply::GrantList(read::list_grants(view, query, now_ms)?)),
        Op::ShardStats(_) => read::stats(view).map(Reply::Stats).map_err(|error| internal(&error)),
    }
}
