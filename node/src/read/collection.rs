//! Collections for operators: one page of members, or what is at a path.
//!
//! A sub-collection is passed over by a seek, so that a page's cost does not depend on what lies below.

use std::ops::ControlFlow;

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::path::parse_canonical;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::shard::{Entry, FindMember, ListCollection, Member, MemberPage};
use rowhouse_proto::wire::state;
use rowhouse_raft::Error;
use rowhouse_raft::state::View;

use crate::apply::ApplyError;
use crate::state::collections::{Found, end_of, exists, find, visit};
use crate::state::{records, tables};

/// Most members of one page.
pub const MEMBER_PAGE_MAX: u32 = 1000;

/// What is at a path; `NotFound` for nothing, or for an unknown user.
pub fn find_member(view: &View<'_>, query: &FindMember) -> Result<Member, ApplyError> {
    let (user, path) = (known(view, &query.tenant)?, parse_canonical(&query.path)?);
    match find(view, &user, &path)? {
        Found::File(entry) => Ok(Member { name: String::new(), entry: Some(without_body(entry)) }),
        Found::Collection => Ok(Member::default()),
        Found::Nothing => Err(ErrorCode::NotFound.into()),
    }
}

/// A page of members; `NotFound` if there is no such collection.
pub fn list_collection(view: &View<'_>, query: &ListCollection) -> Result<MemberPage, ApplyError> {
    let (user, path) = (known(view, &query.tenant)?, parse_canonical(&query.path)?);
    let directory = path.as_str();
    if !path.is_directory() || !exists(view, &user, directory)? {
        return Err(ErrorCode::NotFound.into());
    }
    let walk = Walk { view, user: &user, directory, end: end_of(directory) };
    let mut from = match query.after.as_str() {
        "" => directory.to_owned(),
        after if after.ends_with('/') => end_of(&format!("{directory}{after}")),
        after => format!("{directory}{after}\0"),
    };
    let limit = query.limit.min(MEMBER_PAGE_MAX) as usize;
    let mut members = Vec::new();
    // Every round passes over one name: each adds a member, or leaves out a collection that a file hides.
    while members.len() < limit {
        let Some((name, entry)) = walk.next(&from)? else { break };
        from = if entry.is_some() {
            format!("{directory}{name}\0")
        } else {
            end_of(&format!("{directory}{name}"))
        };
        if entry.is_none() && walk.is_hidden(&name)? {
            continue;
        }
        members.push(Member { name, entry: entry.map(without_body) });
    }
    Ok(MemberPage { members })
}

fn known(view: &View<'_>, tenant: &[u8]) -> Result<UserKey, ApplyError> {
    let user = user::parse(tenant)?;
    records::user(view, &user)?.ok_or(ErrorCode::NotFound)?;
    Ok(user)
}

fn without_body(entry: state::Entry) -> Entry {
    let state::Entry { hash, length, content_type, modified_ms, object } = entry;
    Entry { hash, length, content_type, modified_ms, body: Bytes::new(), object, of_enabled: false }
}

struct Walk<'a> {
    view: &'a View<'a>,
    user: &'a UserKey,
    directory: &'a str,
    end: String,
}

/// A member's name, and its entry if it is a file.
type Named = (String, Option<state::Entry>);

impl Walk<'_> {
    /// The member with the least name at or above the path `from`.
    fn next(&self, from: &str) -> Result<Option<Named>, Error> {
        let file = self.first(tables::ENTRY, from)?;
        let made = self.first(tables::COLLECTION, from)?;
        Ok(match (file, made) {
            (Some(file), Some(made)) => Some(if made.0 < file.0 { made } else { file }),
            (file, made) => file.or(made),
        })
    }

    fn first(&self, table: u8, from: &str) -> Result<Option<Named>, Error> {
        let mut first = None;
        if from >= self.end.as_str() {
            return Ok(None);
        }
        visit(self.view, table, self.user, from, &self.end, &mut |path, value| {
            let rest = path.strip_prefix(self.directory).unwrap_or_default();
            first = match rest.find('/') {
                // The collection's own row.
                None if rest.is_empty() => return Ok(ControlFlow::Continue(())),
                None => Some((rest.to_owned(), Some(records::decode_entry(value)?))),
                Some(at) => Some((rest[..=at].to_owned(), None)),
            };
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// Whether a file has the name of this collection.
    fn is_hidden(&self, name: &str) -> Result<bool, Error> {
        let path = format!("{}{}", self.directory, name.trim_end_matches('/'));
        Ok(records::entry(self.view, self.user, &path)?.is_some())
    }
}
