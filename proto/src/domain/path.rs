//! Additions to `pubky_common::StoragePath`: roots, ancestors, listing cursors.

use pubky_common::StoragePath;
use pubky_common::constants::storage::{PRIVATE_ROOT, PUBLIC_ROOT};
use pubky_common::crypto::PublicKey;

use crate::error::ErrorCode;
use crate::refusal::Refusal;

/// Characters of a z-base-32 public key.
const Z32_CHARS: usize = 52;

/// Below `/pub/`: anybody may read it.
pub fn is_public(path: &StoragePath) -> bool {
    path.as_str().starts_with(PUBLIC_ROOT)
}

/// Below `/priv/`: only sessions with a capability may read it.
pub fn is_private(path: &StoragePath) -> bool {
    is_below_private(path.as_str())
}

/// `is_private` of text that is not known to be a canonical path.
pub fn is_below_private(text: &str) -> bool {
    text.starts_with(PRIVATE_ROOT)
}

/// Takes a canonical path as one service hands it to the next. Any other is refused as `InvalidStoragePath`.
pub fn parse_canonical(path: &str) -> Result<StoragePath, Refusal> {
    StoragePath::new(path).map_err(|error| {
        Refusal::new(ErrorCode::InvalidStoragePath, format!("Invalid storage path: {error}"))
    })
}

/// The file-shaped paths above a file: `/pub/a/b` has `/pub` and `/pub/a`.
pub fn ancestors(path: &StoragePath) -> impl Iterator<Item = &str> {
    let path = path.as_str();
    path.match_indices('/').skip(1).map(move |(at, _)| &path[..at])
}

/// The path within a listing cursor, which is an optional `pubky://`, then `<z32>/<canonical path>`.
/// `None` for anything else.
/// The key must be one, but which one does not matter (docs/rules/protocol.md#listings).
pub fn parse_list_cursor(cursor: &str) -> Option<StoragePath> {
    let resource = cursor.strip_prefix("pubky://").unwrap_or(cursor);
    let (key, path) = resource.split_at_checked(Z32_CHARS)?;
    PublicKey::try_from_z32(key).ok()?;
    StoragePath::new(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn path(text: &str) -> StoragePath {
        StoragePath::new(text).expect("canonical")
    }

    #[test]
    fn ancestors_are_all_prefixes_that_could_be_files() {
        assert_eq!(ancestors(&path("/pub/a/b")).collect::<Vec<_>>(), ["/pub", "/pub/a"]);
        assert_eq!(ancestors(&path("/a")).count(), 0);
    }

    #[test]
    fn roots_need_their_slash() {
        assert!(is_public(&path("/pub/")) && is_private(&path("/priv/x")));
        assert!(!is_public(&path("/pub")) && !is_private(&path("/private/x")));
    }

    #[test]
    fn cursors_name_some_key_and_a_canonical_path() {
        let key = Keypair::from_secret(&[7; 32]).public_key().z32();
        for cursor in [format!("pubky://{key}/pub/a b"), format!("{key}/pub/a b")] {
            assert_eq!(parse_list_cursor(&cursor), Some(path("/pub/a b")), "{cursor}");
        }
        for cursor in [
            String::new(),
            "/pub/a".to_owned(),
            key.clone(),
            format!("pubky{key}/pub/a"),
            format!("https://{key}/pub/a"),
            format!("{key}/pub//a"),
            format!("{key}/pub/../a"),
            format!("{}/pub/a", "0".repeat(52)),
            format!("{}é/pub/a", &key[..51]),
        ] {
            assert_eq!(parse_list_cursor(&cursor), None, "{cursor}");
        }
    }
}
