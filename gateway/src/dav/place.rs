//! What a URL below `/dav` is about.

use http::Uri;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::{ErrorCode, Refusal};

use crate::escape::url_path;
use crate::layers::{KEY_CHARS, decode_path, parse_key};

/// Where WebDAV is on the admin listener.
pub const PREFIX: &str = "/dav";

/// The root, which holds users; a user, who holds `pub` and `priv`; or something below.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Root,
    User(PublicKey),
    /// A path that is not `/`. Its last slash does not tell whether it is a collection.
    Member(PublicKey, StoragePath),
}

impl Place {
    /// A place from the path of a URL. `NotFound` if it lies elsewhere or names no key: file managers look for files
    /// of their own beside the users.
    pub fn of(uri: &Uri) -> Result<Self, Refusal> {
        let rest = uri.path().strip_prefix(PREFIX).ok_or(ErrorCode::NotFound)?;
        let Some(rest) = rest.strip_prefix('/') else {
            return if rest.is_empty() { Ok(Self::Root) } else { Err(ErrorCode::NotFound.into()) };
        };
        if rest.is_empty() {
            return Ok(Self::Root);
        }
        let (owner, path) = rest.split_once('/').unwrap_or((rest, ""));
        if owner.len() != KEY_CHARS {
            return Err(ErrorCode::NotFound.into());
        }
        let user = parse_key(owner).ok_or(ErrorCode::NotFound)?;
        let path = decode_path(path)?;
        Ok(if path.is_root() { Self::User(user) } else { Self::Member(user, path) })
    }

    /// The place as a file or collection that can be changed: refused for the root and for users themselves.
    pub fn into_member(self) -> Result<(PublicKey, StoragePath), ErrorCode> {
        match self {
            Self::Member(user, path) => Ok((user, path)),
            Self::Root | Self::User(_) => Err(ErrorCode::WriteOutsideRoots),
        }
    }
}

/// The URL of what is at a path of a user's drive. A collection's path ends in a slash.
pub fn href(user: &PublicKey, path: &str) -> String {
    format!("{PREFIX}/{}{}", user.z32(), url_path(path))
}

/// The path as that of a collection: with a last slash.
pub fn as_collection(path: &StoragePath) -> String {
    format!("{}/", path.as_str().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn place(path: &str) -> Result<Place, ErrorCode> {
        Place::of(&path.parse().expect("a URI")).map_err(|refusal| refusal.code)
    }

    #[test]
    fn urls_name_the_root_a_user_or_a_path() {
        let user = Keypair::from_secret(&[7; 32]).public_key();
        let z32 = user.z32();
        assert_eq!((place("/dav"), place("/dav/")), (Ok(Place::Root), Ok(Place::Root)));
        for path in [format!("/dav/{z32}"), format!("/dav/{z32}/"), format!("/dav/{z32}/pub/..")] {
            assert_eq!(place(&path), Ok(Place::User(user.clone())), "{path}");
        }
        for (path, expected) in [
            ("pub", "/pub"),
            ("pub/", "/pub/"),
            ("pub/a%20b%2525;c=d/", "/pub/a b%25;c=d/"),
            ("other/x?y=z", "/other/x"),
        ] {
            let expected = StoragePath::new(expected).expect("canonical");
            assert_eq!(place(&format!("/dav/{z32}/{path}")), Ok(Place::Member(user.clone(), expected)));
        }
        for path in ["/davx", "/dav/.DS_Store", "/dav//", "/", "/dav/0/pub/a"] {
            assert_eq!(place(path), Err(ErrorCode::NotFound), "{path}");
        }
        assert_eq!(place(&format!("/dav/{z32}/../x")), Err(ErrorCode::InvalidStoragePath));
        assert_eq!(place(&format!("/dav/{z32}/pub/%ff")), Err(ErrorCode::StoragePathNotUtf8));
    }

    #[test]
    fn an_href_is_read_as_the_place_it_is_of() {
        let user = Keypair::from_secret(&[7; 32]).public_key();
        for path in ["/pub/a&b", "/pub/100%25", "/pub/t #:?3.txt", "/pub/\u{FFFE}/\u{1F600}\"'<>"] {
            let expected = Place::Member(user.clone(), StoragePath::new(path).expect("canonical"));
            assert_eq!(place(&href(&user, path)), Ok(expected));
        }
    }
}
