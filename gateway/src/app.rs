//! What every route shares, and the stack of layers around them, outermost last as axum reads it.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use http::HeaderName;
use http::header::RETRY_AFTER;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::wire::shard::{execute_reply, execute_request, query_reply, query_request};
use tower_http::cors::CorsLayer;

use crate::cluster::{Call, Cluster};
use crate::layers::{RequestTrace, cache_policy, tenant, trace};
use crate::not_implemented;
use crate::respond::Rejection;
use crate::routes::{
    cookie_session, cookie_signin, cookie_signout, cookie_signup, delete_entry, get_entry, grant_exchange,
    grant_session, grant_signout, grant_signup, head_entry, info, no_such_storage_method, only_get,
    put_entry, root, signup_token,
};
use crate::settings::Limits;

/// Response headers that scripts of other origins may read (docs/rules/protocol.md#layers).
const EXPOSED: [HeaderName; 3] =
    [RETRY_AFTER, HeaderName::from_static("lock-token"), HeaderName::from_static("timeout")];

pub struct App {
    pub cluster: Arc<Cluster>,
    pub homeserver: PublicKey,
    pub limits: Limits,
}

impl App {
    /// Opens a request's account with the cluster: its deadline runs from here.
    pub fn call(&self, extensions: &http::Extensions) -> Call {
        self.cluster.call(extensions.get::<RequestTrace>().map(|trace| trace.0))
    }

    /// A read in the shard of `user`.
    pub async fn query_user(
        &self,
        call: &Call,
        user: &PublicKey,
        op: query_request::Op,
    ) -> Result<query_reply::Result, Rejection> {
        let shard = self.cluster.map().await?.shard_of_user(user);
        self.cluster.query(call, shard, op).await
    }

    /// A change in the shard of `user`.
    pub async fn execute_user(
        &self,
        call: &Call,
        user: &PublicKey,
        client_addr: String,
        op: execute_request::Op,
    ) -> Result<execute_reply::Result, Rejection> {
        let shard = self.cluster.map().await?.shard_of_user(user);
        self.cluster.execute(call, shard, client_addr, op).await
    }
}

/// The client API, the same on every client listener.
pub fn router(app: Arc<App>) -> Router {
    not_implemented::mount(Router::new(), not_implemented::CLIENT)
        .route("/", get(root))
        .route("/info", get(info))
        .route("/signup_tokens/{token}", get(signup_token).head(only_get).fallback(only_get))
        .route("/signup", post(cookie_signup))
        .route("/session", post(cookie_signin).get(cookie_session).delete(cookie_signout))
        .route("/auth/grant/signup", post(grant_signup))
        .route("/auth/grant/session", post(grant_exchange).get(grant_session).delete(grant_signout))
        .merge(storage_router())
        .with_state(app)
        // The root span knows the tenant, so it stands inside the tenant's layer.
        .layer(from_fn(trace))
        // Malformed storage paths are refused before anyone asks who is there.
        .layer(from_fn(tenant))
        // Outermost: answers every OPTIONS itself, and refusals stay readable to browsers.
        .layer(CorsLayer::very_permissive().expose_headers(EXPOSED))
}

/// Both addressings share their handlers; they differ in how the target is found.
fn storage_router() -> Router<Arc<App>> {
    let entries = get(get_entry).head(head_entry).put(put_entry).delete(delete_entry);
    Router::new()
        .route("/storage/{user}/{*path}", entries.clone().fallback(no_such_storage_method))
        .route("/{*path}", entries)
        .layer(from_fn(cache_policy))
}
