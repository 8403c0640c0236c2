//! `UserPages`: the events of some users, read from their shards page by page and merged by id. No shard waits for
//! another's clock: a user's events are in one shard, whose ids rise.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{
    Credential, EventPage, EventRecord, ListEvents, UserCursor, query_reply, query_request,
};

use super::frames::{Due, Source, room_for, wire_cursor};
use crate::cluster::{ByteLease, Call, Cluster, Map};
use crate::respond::Rejection;

/// What is read, and as whom.
#[derive(Clone)]
pub struct UserSelection {
    /// Canonical. With a last slash all below, else one file.
    pub paths: Vec<String>,
    /// Descending ids.
    pub reverse: bool,
    /// Judged in every read, so that nothing is told after a session has ended.
    pub credential: Option<Credential>,
}

/// The events of users, in the order of their ids.
pub struct UserPages {
    cluster: Arc<Cluster>,
    call: Call,
    selection: UserSelection,
    shards: Vec<ShardPages>,
}

/// The part of one shard.
struct ShardPages {
    shard: u32,
    users: Vec<UserCursor>,
    /// As `ListEvents::after`: what lies before was looked at.
    after: u64,
    /// There may be more than what is at hand.
    more: bool,
    events: VecDeque<EventRecord>,
    /// Room for the events at hand.
    lease: Option<ByteLease>,
}

impl UserPages {
    /// Begins after each user's cursor (`None`: at the beginning, in reverse at the end). A user stands once.
    pub fn new(
        cluster: Arc<Cluster>,
        call: Call,
        map: &Map,
        users: &[(PublicKey, Option<u64>)],
        selection: UserSelection,
    ) -> Self {
        let mut shards: Vec<ShardPages> = Vec::with_capacity(users.len().min(1));
        for (user, cursor) in users {
            let shard = map.shard_of_user(user);
            let after = wire_cursor(*cursor, selection.reverse);
            let cursor = UserCursor { user: Bytes::copy_from_slice(user.as_bytes()), after };
            match shards.iter_mut().find(|known| known.shard == shard) {
                Some(known) => known.users.push(cursor),
                None => shards.push(ShardPages::new(shard, cursor)),
            }
        }
        Self { cluster, call, selection, shards }
    }

    /// The shards of its users.
    pub fn shards(&self) -> impl Iterator<Item = u32> {
        self.shards.iter().map(|it| it.shard)
    }

    async fn ask(&self, call: &Call, part: &ShardPages, rows: u32) -> Result<EventPage, Rejection> {
        let UserSelection { paths, reverse, credential } = &self.selection;
        let op = ListEvents {
            after: part.after,
            limit: rows,
            users: part.users.clone(),
            paths: paths.clone(),
            reverse: *reverse,
            credential: credential.clone(),
        };
        match self.cluster.query(call, part.shard, query_request::Op::ListEvents(op)).await? {
            query_reply::Result::EventPage(page) => Ok(page),
            _ => Err(ErrorCode::Internal.into()),
        }
    }
}

impl Source for UserPages {
    fn take(&mut self) -> Option<EventRecord> {
        // An event of a shard that is to be read may come before all others.
        if self.shards.iter().any(ShardPages::is_drained) {
            return None;
        }
        let ahead = self.shards.iter_mut().filter_map(|part| Some((part.events.front()?.id, part)));
        let (_, first) = if self.selection.reverse {
            ahead.max_by_key(|(id, _)| *id)
        } else {
            ahead.min_by_key(|(id, _)| *id)
        }?;
        first.take()
    }

    fn is_at_end(&self) -> bool {
        self.shards.iter().all(|part| !part.more && part.events.is_empty())
    }

    fn resume(&mut self, due: Due) {
        for part in &mut self.shards {
            let is_due = match &due {
                Due::Everywhere => true,
                Due::Shards(shards) => shards.contains(&part.shard),
            };
            part.more |= is_due;
        }
    }

    async fn read(&mut self, rows: u32) -> Result<(), Rejection> {
        let call = self.cluster.call_again(&self.call);
        let drained = self.shards.iter().filter(|part| part.is_drained());
        let pages = try_join_all(drained.map(|part| self.ask(&call, part, rows))).await?;
        for (part, page) in self.shards.iter_mut().filter(|part| part.is_drained()).zip(pages) {
            let lease = room_for(&page.events, self.cluster.admission())?;
            part.fill(page, lease);
        }
        Ok(())
    }
}

impl ShardPages {
    fn new(shard: u32, cursor: UserCursor) -> Self {
        Self { shard, users: vec![cursor], after: 0, more: true, events: VecDeque::new(), lease: None }
    }

    /// It must be read before it is known what comes next.
    fn is_drained(&self) -> bool {
        self.more && self.events.is_empty()
    }

    fn take(&mut self) -> Option<EventRecord> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            (self.events, self.lease) = (VecDeque::new(), None);
        }
        event
    }

    fn fill(&mut self, page: EventPage, lease: ByteLease) {
        let EventPage { events, reached } = page;
        self.more = reached != 0;
        self.after = if self.more { reached } else { events.last().map_or(self.after, |event| event.id) };
        if !events.is_empty() {
            (self.events, self.lease) = (events.into(), Some(lease));
        }
    }
}
