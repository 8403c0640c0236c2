//! The events of users as shards tell them: answers `ListEvents` as the contract says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{
    Account, CookieSession, Credential, EventPage, EventRecord, GrantSession, ListEvents, QueryRequest,
    credential, query_reply, query_request,
};

use super::feed::ids;
use super::fixture::User;
use super::node::{FakeNode, Script, failure};

const PAGE_MAX: u32 = 1000;

/// What all shards of a scripted cluster hold; clones share it.
#[derive(Clone, Default)]
pub struct UserEvents(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    users: BTreeSet<Vec<u8>>,
    /// Hashes of cookies and bearers, each with its user.
    sessions: BTreeMap<Vec<u8>, Vec<u8>>,
    events: BTreeMap<u64, EventRecord>,
    tick: u64,
    /// Answers of shards that cannot answer.
    refusing: BTreeMap<u32, ErrorCode>,
}

impl UserEvents {
    /// Makes a user, who has a cookie and a bearer.
    pub fn add(&self, user: &User) {
        let mut state = self.state();
        let key = user.key.as_bytes().to_vec();
        state.users.insert(key.clone());
        for hash in [user.secret.hash(), user.bearer.hash()] {
            state.sessions.insert(hash.0.to_vec(), key.clone());
        }
    }

    /// Ends all sessions.
    pub fn revoke(&self) {
        self.state().sessions.clear();
    }

    /// The shard refuses every read with this code, or none.
    pub fn refuse(&self, shard: u32, code: Option<ErrorCode>) {
        let mut state = self.state();
        match code {
            Some(code) => state.refusing.insert(shard, code),
            None => state.refusing.remove(&shard),
        };
    }

    /// Writes an event of a user, and returns it. A path that begins with `-` is deleted. Nobody is told.
    pub fn write(&self, user: &User, path: &str) -> EventRecord {
        let mut state = self.state();
        state.tick += 1;
        let (deleted, path) = path.strip_prefix('-').map_or((false, path), |path| (true, path));
        let event = EventRecord {
            id: ids().id(state.tick, user.shard()),
            deleted,
            user: user.key.as_bytes().to_vec().into(),
            path: path.to_owned(),
            hash: if deleted { Vec::new().into() } else { vec![0xAB; 32].into() },
        };
        state.events.insert(event.id, event.clone());
        event
    }

    /// Writes it, and these nodes tell of it.
    pub fn tell<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a FakeNode>,
        user: &User,
        path: &str,
    ) -> EventRecord {
        let event = self.write(user, path);
        for node in nodes {
            node.feed.append(event.clone());
        }
        event
    }

    /// A node that leads every shard.
    pub fn script(&self) -> Script {
        let events = self.clone();
        Script::query(move |request| Ok(events.answer(request)))
    }

    fn answer(&self, request: QueryRequest) -> query_reply::Result {
        let state = self.state();
        let answer = match (state.refusing.get(&request.group), request.op) {
            (Some(code), _) => Err(*code),
            (None, Some(query_request::Op::ListEvents(asked))) => {
                state.page(request.group, &asked).map(query_reply::Result::EventPage)
            }
            (None, Some(query_request::Op::GetSession(asked))) => state.session(asked.credential.as_ref()),
            (None, Some(query_request::Op::GetUser(asked))) => state.account(&asked.tenant),
            (None, other) => panic!("{other:?}"),
        };
        answer.unwrap_or_else(|code| query_reply::Result::Failure(failure(code)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("events")
    }
}

impl State {
    fn user_of(&self, credential: Option<&Credential>) -> Result<&Vec<u8>, ErrorCode> {
        let hash = match credential.and_then(|it| it.kind.as_ref()) {
            Some(credential::Kind::BearerHash(hash) | credential::Kind::CookieHash(hash)) => hash,
            _ => return Err(ErrorCode::ReadNeedsAuth),
        };
        self.sessions.get(&hash[..]).ok_or(ErrorCode::ReadNeedsAuth)
    }

    fn account(&self, user: &[u8]) -> Result<query_reply::Result, ErrorCode> {
        let is_here = self.users.contains(user);
        let account = Account { user: user.to_vec().into(), ..Account::default() };
        if is_here { Ok(query_reply::Result::Account(account)) } else { Err(ErrorCode::NotFound) }
    }

    fn session(&self, credential: Option<&Credential>) -> Result<query_reply::Result, ErrorCode> {
        let user = self.user_of(credential)?.clone().into();
        Ok(match credential.and_then(|it| it.kind.as_ref()) {
            Some(credential::Kind::BearerHash(_)) => {
                query_reply::Result::GrantSession(GrantSession { user, ..GrantSession::default() })
            }
            _ => query_reply::Result::CookieSession(CookieSession { user, ..CookieSession::default() }),
        })
    }

    fn page(&self, shard: u32, asked: &ListEvents) -> Result<EventPage, ErrorCode> {
        let [first, ..] = &asked.users[..] else { panic!("the whole log was asked for") };
        if asked.paths.iter().any(|path| path.starts_with("/priv/")) {
            let is_own = self.user_of(asked.credential.as_ref())? == &first.user.to_vec();
            let is_cookie = matches!(
                asked.credential.as_ref().and_then(|it| it.kind.as_ref()),
                Some(credential::Kind::CookieHash(_))
            );
            // Cookies are kept with their user: another one has none of this secret.
            match (is_own, is_cookie) {
                (true, _) => {}
                (false, true) => return Err(ErrorCode::ReadNeedsAuth),
                (false, false) => return Err(ErrorCode::TenantMismatch),
            }
        }
        if asked.users.iter().any(|user| !self.users.contains(&user.user[..])) {
            return Err(ErrorCode::NotFound);
        }
        let is_ahead =
            |id: u64, after: u64| if asked.reverse { after == 0 || id < after } else { id > after };
        let is_below = |event: &EventRecord| {
            let covers = |path: &String| {
                if path.ends_with('/') { event.path.starts_with(path.as_str()) } else { event.path == *path }
            };
            asked.paths.is_empty() || asked.paths.iter().any(covers)
        };
        let limit = if asked.limit == 0 { PAGE_MAX } else { asked.limit.min(PAGE_MAX) } as usize;
        let is_found = |event: &&EventRecord| {
            let cursor = asked.users.iter().find(|user| user.user == event.user);
            ids().shard_of(event.id) == shard
                && is_ahead(event.id, asked.after)
                && cursor.is_some_and(|user| is_ahead(event.id, user.after))
                && is_below(event)
        };
        let in_order = self.events.values().filter(is_found);
        let mut found: Vec<EventRecord> = if asked.reverse {
            in_order.rev().take(limit + 1).cloned().collect()
        } else {
            in_order.take(limit + 1).cloned().collect()
        };
        let more = found.len() > limit;
        found.truncate(limit);
        let reached = found.last().filter(|_| more).map_or(0, |event| event.id);
        Ok(EventPage { events: found, reached })
    }
}
