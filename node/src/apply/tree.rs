//! All that lies below a collection, as far as one command may change it at once.

use std::ops::ControlFlow;

use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::domain::{authorize, path};
use rowhouse_proto::wire::state::Entry;

use super::error::ApplyError;
use crate::state::collections::{end_of, is_root, visit};
use crate::state::{Read, records, tables};

/// Most files and collections that one command moves or removes. Each file has one event or two, and everybody else of
/// the shard waits for the whole.
pub const TREE_ROWS_MAX: usize = 1_000;
/// Most bytes of bodies in the log's own rows that one command moves: they are written anew under their new paths.
pub const TREE_INLINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The rows below a collection, each kind in the order of its paths.
pub(super) struct Tree {
    pub(super) files: Vec<(String, Entry)>,
    /// Rows of collections, the tree's own among them.
    pub(super) collections: Vec<String>,
}

impl Tree {
    /// Everything below `directory`; refused if it is more than one command may change.
    pub(super) fn below(read: &dyn Read, user: &UserKey, directory: &str) -> Result<Self, ApplyError> {
        let (mut files, mut collections) = (Vec::new(), Vec::new());
        let end = end_of(directory);
        let flow = |count: usize| {
            if count > TREE_ROWS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        visit(read, tables::ENTRY, user, directory, &end, &mut |path, value| {
            files.push((path.to_owned(), records::decode_entry(value)?));
            Ok(flow(files.len()))
        })?;
        visit(read, tables::COLLECTION, user, directory, &end, &mut |path, _| {
            collections.push(path.to_owned());
            Ok(flow(files.len() + collections.len()))
        })?;
        if files.len() + collections.len() > TREE_ROWS_MAX {
            return Err(ErrorCode::CollectionTooLarge.into());
        }
        Ok(Self { files, collections })
    }

    /// Bytes of its bodies that lie in rows.
    pub(super) fn inline_bytes(&self) -> u64 {
        self.files.iter().map(|(_, entry)| if entry.object.is_empty() { entry.length } else { 0 }).sum()
    }
}

/// A path that may be written: canonical, below a root and no root itself.
pub(super) fn writable(text: &str) -> Result<StoragePath, ApplyError> {
    let path = path::parse_canonical(text)?;
    authorize::inside_roots(&path)?;
    if is_root(path.as_str()) { Err(ErrorCode::WriteOutsideRoots.into()) } else { Ok(path) }
}

/// `writable`, of a collection.
pub(super) fn writable_collection(text: &str) -> Result<StoragePath, ApplyError> {
    let path = writable(text)?;
    if path.is_directory() { Ok(path) } else { Err(ErrorCode::NotFound.into()) }
}
