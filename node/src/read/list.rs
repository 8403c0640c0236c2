//! Directory listings (docs/rules/protocol.md#listings): deep or shallow, either way round, paged by cursor.
//!
//! A shallow listing seeks past each sub-directory instead of reading it, so its cost depends on the page
//! and not on what lies below. That is sound because bytes order "x/" among its siblings as they order
//! everything below "x/".

use std::ops::ControlFlow;

use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::path::parse_list_cursor;
use rowhouse_proto::wire::shard::{ListEntries, Listing};
use rowhouse_raft::Error;
use rowhouse_raft::state::{ScanOrder, View};

use super::entry::may_read;
use crate::apply::ApplyError;
use crate::state::collections::end_of;
use crate::state::tables;
use rowhouse_proto::domain::user::UserKey;

/// Most paths of one page.
pub const LIST_LIMIT_MAX: u32 = 1000;

/// Permission, then existence, then the cursor's syntax, then the page.
pub fn list_entries(view: &View<'_>, query: &ListEntries, now_ms: u64) -> Result<Listing, ApplyError> {
    let (tenant, path) = may_read(view, query.credential.as_ref(), &query.tenant, &query.path, now_ms)?;
    let directory = Directory { view, tenant: &tenant, path: &path };
    if !path.is_directory() || !directory.exists()? {
        return Err(ErrorCode::DirectoryNotFound.into());
    }
    let cursor = match query.cursor.as_str() {
        "" => None,
        text => Some(parse_list_cursor(text).ok_or(ErrorCode::InvalidCursor)?),
    };
    let span = span(path.as_str(), cursor.as_ref().map(StoragePath::as_str), query.shallow, query.reverse);
    let order = if query.reverse { ScanOrder::Descending } else { ScanOrder::Ascending };
    let limit = query.limit.min(LIST_LIMIT_MAX) as usize;
    let paths = directory.page(span, order, limit, query.shallow)?;
    Ok(Listing { paths })
}

/// Paths `from <= path < to`.
struct Span {
    from: String,
    to: String,
}

/// The keys that a page may hold, given the exclusive cursor.
fn span(directory: &str, cursor: Option<&str>, shallow: bool, reverse: bool) -> Span {
    let mut span = Span { from: directory.to_owned(), to: end_of(directory) };
    let Some(cursor) = cursor else { return span };
    let child = cursor.strip_prefix(directory).and_then(|rest| rest.split_once('/'));
    match (child, reverse) {
        // The cursor is a sub-directory or below one: the whole of it lies on one side.
        (Some((child, _)), false) if shallow => {
            span.from = end_of(&format!("{directory}{child}/"));
        }
        (Some((child, below)), true) if shallow && !below.is_empty() => {
            span.to = end_of(&format!("{directory}{child}/"));
        }
        (_, false) => span.from = span.from.max(format!("{cursor}\0")),
        (_, true) => span.to = span.to.min(cursor.to_owned()),
    }
    span
}

struct Directory<'a> {
    view: &'a View<'a>,
    tenant: &'a UserKey,
    path: &'a StoragePath,
}

impl Directory<'_> {
    /// Whether there is a file at any depth.
    fn exists(&self) -> Result<bool, Error> {
        let span = Span { from: self.path.as_str().to_owned(), to: end_of(self.path.as_str()) };
        let mut found = false;
        self.visit(&span, ScanOrder::Ascending, &mut |_| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn page(
        &self,
        mut span: Span,
        order: ScanOrder,
        limit: usize,
        shallow: bool,
    ) -> Result<Vec<String>, Error> {
        let mut paths: Vec<String> = Vec::new();
        // Every round but the last adds a sub-directory: at most `limit` + 1 rounds.
        while paths.len() < limit {
            let mut subdirectory = None;
            self.visit(&span, order, &mut |path| {
                match self.child_directory(path).filter(|_| shallow) {
                    Some(child) => subdirectory = Some(child.to_owned()),
                    None => paths.push(path.to_owned()),
                }
                let go_on = subdirectory.is_none() && paths.len() < limit;
                if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            let Some(child) = subdirectory else { break };
            match order {
                ScanOrder::Ascending => span.from = end_of(&child),
                ScanOrder::Descending => span.to.clone_from(&child),
            }
            paths.push(child);
        }
        Ok(paths)
    }

    /// The immediate sub-directory `path` lies below, with its slash.
    fn child_directory<'p>(&self, path: &'p str) -> Option<&'p str> {
        let at = self.path.as_str().len();
        let slash = path.get(at..)?.find('/')?;
        path.get(..=at + slash)
    }

    fn visit(
        &self,
        span: &Span,
        order: ScanOrder,
        visit: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if span.from >= span.to {
            return Ok(());
        }
        let (from, to) = (tables::entry(self.tenant, &span.from), tables::entry(self.tenant, &span.to));
        let mut failure = None;
        self.view.scan(&from, &to, order, &mut |key, _| match std::str::from_utf8(
            &key[tables::ENTRY_PATH_AT..],
        ) {
            Ok(path) => visit(path),
            Err(error) => {
                failure = Some(Error::corrupt("entry's path", error));
                ControlFlow::Break(())
            }
        })?;
        failure.map_or(Ok(()), Err)
    }
}
