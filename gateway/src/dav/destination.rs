//! The `Destination` and `Overwrite` headers of MOVE and COPY.

use http::header::HOST;
use http::{HeaderMap, Uri};
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::{ErrorCode, Refusal};

use super::place::Place;

/// Where to, on the drive of `user`. Another server is refused with 502, another drive with 403.
pub fn destination(headers: &HeaderMap, user: &PublicKey) -> Result<StoragePath, Refusal> {
    let text = headers.get("destination").and_then(|value| value.to_str().ok());
    let uri: Uri = text.and_then(|text| text.parse().ok()).ok_or(ErrorCode::MissingDestination)?;
    if !uri.path().starts_with('/') {
        return Err(ErrorCode::MissingDestination.into());
    }
    if let Some(authority) = uri.authority() {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !same_host(authority.as_str(), host) {
            return Err(ErrorCode::ForeignDestination.into());
        }
    }
    match Place::of(&uri) {
        Ok(Place::Member(owner, path)) if owner == *user => Ok(path),
        Ok(_) => Err(ErrorCode::OutsideDrive.into()),
        Err(refusal) if refusal.code == ErrorCode::NotFound => Err(ErrorCode::OutsideDrive.into()),
        Err(refusal) => Err(refusal),
    }
}

/// Proxies and clients leave default ports out, or name them.
fn same_host(one: &str, other: &str) -> bool {
    let bare = |host: &str| -> String {
        let host = host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host);
        host.to_ascii_lowercase()
    };
    bare(one) == bare(other)
}

/// Whether what is at the destination may be replaced; yes, if nothing is said.
pub fn overwrite(headers: &HeaderMap) -> Result<bool, ErrorCode> {
    match headers.get("overwrite").map(|value| value.as_bytes()) {
        None | Some(b"T" | b"t") => Ok(true),
        Some(b"F" | b"f") => Ok(false),
        Some(_) => Err(ErrorCode::InvalidParameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    #[test]
    fn default_ports_may_be_left_out() {
        assert!(same_host("Admin.example:443", "admin.example") && same_host("a:6288", "A:6288"));
        assert!(!same_host("a:6288", "a") && !same_host("a", "b") && !same_host("[::1]:1", "[::1]:2"));
    }

    #[test]
    fn destinations_are_on_this_server_and_on_the_same_drive() {
        let (user, other) = (Keypair::from_secret(&[7; 32]), Keypair::from_secret(&[8; 32]));
        let (key, z32, other) = (user.public_key(), user.public_key().z32(), other.public_key().z32());
        let to = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "Admin:6288".parse().expect("a header"));
            headers.insert("destination", text.parse().expect("a header"));
            destination(&headers, &key).map(|path| path.as_str().to_owned()).map_err(|refusal| refusal.code)
        };
        let path = |text: &str| Ok(text.to_owned());
        assert_eq!(to(&format!("/dav/{z32}/pub/a")), path("/pub/a"));
        assert_eq!(to(&format!("http://admin:6288/dav/{z32}/pub/a%20b/")), path("/pub/a b/"));
        assert_eq!(to(&format!("https://admin:6288/dav/{z32}/pub/100%2525")), path("/pub/100%25"));
        for foreign in ["http://other:6288", "http://admin", "http://x@admin:6288"] {
            assert_eq!(to(&format!("{foreign}/dav/{z32}/pub/a")), Err(ErrorCode::ForeignDestination));
        }
        for outside in
            ["/etc/x".to_owned(), "/dav/".to_owned(), format!("/dav/{z32}/"), format!("/dav/{other}/pub/a")]
        {
            assert_eq!(to(&outside), Err(ErrorCode::OutsideDrive), "{outside}");
        }
        for malformed in ["", "a b", "dav", "http://"] {
            assert_eq!(to(malformed), Err(ErrorCode::MissingDestination), "{malformed:?}");
        }
        assert_eq!(
            destination(&HeaderMap::new(), &key).expect_err("none").code,
            ErrorCode::MissingDestination
        );
    }
}
