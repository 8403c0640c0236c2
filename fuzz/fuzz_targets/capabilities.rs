//! Capability lists, and what a session with them may do to a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pubky_common::capabilities::{Capabilities, Capability};
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::domain::authorize::{self, SessionView};

const OWNER: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

fuzz_target!(|data: &[u8]| {
    // Neither may hold a line's end.
    let Some((list, path)) = std::str::from_utf8(data).ok().and_then(|text| text.split_once('\n')) else {
        return;
    };
    let Ok(capabilities) = Capabilities::try_from(list) else { return };
    let written = capabilities.to_string();
    let again = Capabilities::try_from(written.as_str()).expect("it was a list");
    assert_eq!(again.to_string(), written, "one form");
    let Ok(path) = StoragePath::normalize(path) else { return };
    let capabilities: Vec<Capability> = capabilities.iter().cloned().collect();
    let session = SessionView { user: OWNER, capabilities };
    let covers = |action: char| {
        session.capabilities.iter().any(|one| {
            let text = one.to_string();
            let (scope, actions) = text.rsplit_once(':').expect("a capability");
            let covered =
                scope == path.as_str() || (scope.ends_with('/') && path.as_str().starts_with(scope));
            covered && actions.contains(action)
        })
    };
    let below = |root: &str| path.as_str().starts_with(root);
    let writes = authorize::write(&session, &OWNER, &path).is_ok();
    assert_eq!(writes, (below("/pub/") || below("/priv/")) && covers('w'));
    let reads = authorize::read(Some(&session), &OWNER, &path).is_ok();
    assert_eq!(reads, below("/pub/") || (below("/priv/") && covers('r')));
    assert!(authorize::write(&session, &OTHER, &path).is_err(), "another user's storage");
    assert_eq!(authorize::read(None, &OTHER, &path).is_ok(), below("/pub/"));
});
