//! The user and path that a request is about: from any path, query, `Host` and `pubky-host`. And the file of a website.
#![no_main]

use http::{HeaderValue, Request, Uri};
use libfuzzer_sys::fuzz_target;
use pubky_common::crypto::Keypair;
use pubky_common::storage_path::StoragePath;
use rowhouse_gateway::fuzzing::{target, website_file};
use rowhouse_proto::domain::path;

fuzz_target!(|data: &[u8]| {
    // No part may hold a line's end.
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (text, host, pubky_host) = (line(), line(), line());
    let Ok(text) = std::str::from_utf8(text) else { return };
    let owner = Keypair::from_secret(&[7; 32]).public_key().z32();
    for text in [text.to_owned(), format!("/storage/{owner}/{text}")] {
        let Ok(uri) = text.parse::<Uri>() else { continue };
        let mut request = Request::builder().uri(uri).body(()).expect("a request");
        for (name, value) in [("host", host), ("pubky-host", pubky_host)] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request.headers_mut().insert(name, value);
            }
        }
        let homeserver = Keypair::from_secret(&[8; 32]).public_key();
        if let Some(file) = website_file(&request, &homeserver) {
            assert!(file.is_file() && file.as_str().starts_with("/pub/website/"), "within the site: {file}");
            assert!(path::parse_canonical(file.as_str()).is_ok());
        }
        let Ok(Some(target)) = target(&request) else { continue };
        if let Some(path) = &target.path {
            assert_eq!(StoragePath::normalize(path.as_str()).as_ref(), Ok(path), "one form");
            assert!(path::parse_canonical(path.as_str()).is_ok());
            assert!(!(path::is_public(path) && path::is_private(path)));
            let cursor = format!("pubky://{}{}", target.user.z32(), path.as_str());
            assert_eq!(path::parse_list_cursor(&cursor).as_ref(), Some(path));
        }
    }
    path::parse_list_cursor(text);
});
