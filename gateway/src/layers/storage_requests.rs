//! Counts storage requests as the reference does: by addressing and by the credential that was shown.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use pubky_common::crypto::PublicKey;

use super::Target;
use super::known_keys::parse_key;
use crate::credentials::Credentials;
use crate::reference_metrics::{StorageRequest, storage_requested};

const PUBKY_HOST: &str = "pubky-host";

/// Counts a request that has a tenant once it is answered: whether a credential lives is known only then.
pub async fn storage_requests(request: Request, next: Next) -> Response {
    let Some(target) = request.extensions().get::<Target>() else { return next.run(request).await };
    let (headers, user) = (request.headers(), &target.user);
    let mut counted = StorageRequest {
        addressing_mode: if target.path.is_some() { "path" } else { "legacy" },
        pubky_host_header: host_header(headers, user),
        pubky_host_query: request.uri().query().is_some_and(names_host),
        auth_method: auth_method(&Credentials::of(headers, Some(user))),
    };
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        counted.auth_method = "none";
    }
    storage_requested(&counted);
    response
}

fn host_header(headers: &HeaderMap, user: &PublicKey) -> &'static str {
    match headers.get(PUBKY_HOST) {
        None => "absent",
        Some(value) if value.to_str().ok().and_then(parse_key).as_ref() == Some(user) => "matching",
        Some(_) => "other",
    }
}

fn names_host(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some(PUBKY_HOST))
}

fn auth_method(shown: &Credentials) -> &'static str {
    match shown {
        Credentials { bearer: Some(_), .. } => "grant",
        Credentials { cookie: Some(_), .. } => "cookie",
        Credentials { bearer: None, cookie: None } => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    #[test]
    fn hosts_are_told_apart() {
        let (user, other) = (Keypair::random().public_key(), Keypair::random().public_key());
        let of = |value: Option<String>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(PUBKY_HOST, value.parse().expect("a header"));
            }
            host_header(&headers, &user)
        };
        assert_eq!(of(None), "absent");
        assert_eq!(of(Some(user.z32())), "matching");
        assert_eq!(of(Some(other.z32())), "other");
        assert_eq!(of(Some("x".into())), "other");
        assert!(names_host("a=b&pubky-host=x") && names_host("pubky-host"));
        assert!(!names_host("a=pubky-host"));
    }
}
