//! `GET /` and `GET /info`: the same on every gateway, whatever state the cluster is in, because
//! clients cache a failed `/info` as "no features".

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use pubky_common::constants::features::{GRANT_PROOF_LOGOUT, PATH_ADDRESSED_STORAGE, WEBDAV_LOCKS, WEBSITES};
use serde::Serialize;

use crate::app::App;
use crate::respond;

/// Writes on conditions; the common crate has no name for it.
const CONDITIONAL_WRITES: &str = "conditional-writes";

/// The body of `/info`.
#[derive(Serialize)]
struct Info {
    features: Vec<&'static str>,
}

/// `GET /`: a greeting.
pub async fn root() -> Response {
    respond::text("Pubky Homeserver")
}

/// `GET /info`: the features that clients may use; never cached.
pub async fn info(State(app): State<Arc<App>>) -> Response {
    respond::not_cached(respond::json(&Info { features: features(app.websites) }))
}

/// Only what works: clients choose their routes by this list.
fn features(websites: bool) -> Vec<&'static str> {
    let mut features = vec![PATH_ADDRESSED_STORAGE, GRANT_PROOF_LOGOUT, WEBDAV_LOCKS];
    if websites {
        features.push(WEBSITES);
    }
    features.push(CONDITIONAL_WRITES);
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_served_is_listed() {
        let always = ["path-addressed-storage", "grant-proof-logout", "webdav-locks", "conditional-writes"];
        assert_eq!(features(false), always);
        assert_eq!(features(true), [&always[..3], &["websites"], &always[3..]].concat());
    }
}
