//! `GET /` and `GET /info`: the same on every gateway, whatever state the cluster is in, because
//! clients cache a failed `/info` as "no features".

use axum::response::Response;
use http::StatusCode;

use crate::respond;

/// Only what works: clients choose their routes by this list.
const FEATURES: &str =
    r#"{"features":["path-addressed-storage","grant-proof-logout","webdav-locks","conditional-writes"]}"#;

/// `GET /`: a greeting.
pub async fn root() -> Response {
    respond::text("Pubky Homeserver")
}

/// `GET /info`: the features that clients may use; never cached.
pub async fn info() -> Response {
    respond::not_cached(respond::with_body(StatusCode::OK, respond::JSON, FEATURES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::constants::features::{GRANT_PROOF_LOGOUT, PATH_ADDRESSED_STORAGE};

    /// Without names in the common crate.
    const OTHERS: [&str; 2] = ["webdav-locks", "conditional-writes"];

    #[test]
    fn the_list_is_json_of_known_features() {
        let list: serde_json::Value = serde_json::from_str(FEATURES).expect("json");
        let features = [&[PATH_ADDRESSED_STORAGE, GRANT_PROOF_LOGOUT][..], &OTHERS].concat();
        assert_eq!(list, serde_json::json!({ "features": features }));
    }
}
