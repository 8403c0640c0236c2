//! `GET /auth/grant/sessions` and `DELETE /auth/grant/session/{gid}`: a user's grants, for the user's own programs. Any
//! session does that has the root capability.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use pubky_common::auth::grant_session_responses::GrantInfo;
use pubky_common::auth::jws::GrantId;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{
    GrantItem, ListGrants, RevokeGrantById, execute_request, query_reply, query_request,
};

use crate::app::App;
use crate::credentials::Credentials;
use crate::layers::Target;
use crate::respond::{Rejection, empty, json};
use crate::session::with_own_credentials;

/// `GET /auth/grant/sessions`: the grants that live.
pub async fn grant_list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let tenant = request.extensions().get::<Target>().map(|target| target.user.clone());
    let credentials = Credentials::of(request.headers(), tenant.as_ref());
    let owner = tenant.as_ref().map(|user| user.as_bytes().to_vec()).unwrap_or_default();
    let (app, call) = (&app, &call);
    let reply = with_own_credentials(app, &credentials, tenant.as_ref(), |shard, credential| {
        let op = ListGrants { credential: Some(credential), tenant: owner.clone().into() };
        async move { app.cluster.query(call, shard, query_request::Op::ListGrants(op)).await }
    })
    .await?;
    let query_reply::Result::GrantList(list) = reply else { return Err(ErrorCode::Internal.into()) };
    let infos: Option<Vec<GrantInfo>> = list.grants.into_iter().map(info).collect();
    Ok(json(&infos.ok_or(ErrorCode::Internal)?))
}

/// `DELETE /auth/grant/session/{gid}`: ends a grant and its bearer.
pub async fn grant_revoke(
    State(app): State<Arc<App>>,
    Path(grant_id): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let tenant = request.extensions().get::<Target>().map(|target| target.user.clone());
    let credentials = Credentials::of(request.headers(), tenant.as_ref());
    let owner = tenant.as_ref().map(|user| user.as_bytes().to_vec()).unwrap_or_default();
    let (app, call) = (&app, &call);
    with_own_credentials(app, &credentials, tenant.as_ref(), |shard, credential| {
        let op = RevokeGrantById {
            credential: Some(credential),
            tenant: owner.clone().into(),
            grant_id: grant_id.clone(),
        };
        let op = execute_request::Op::RevokeGrantById(op);
        async move { app.cluster.execute(call, shard, String::new(), op).await }
    })
    .await?;
    Ok(empty(StatusCode::OK))
}

/// `None` for a grant that no shard should hold.
fn info(item: GrantItem) -> Option<GrantInfo> {
    Some(GrantInfo {
        grant_id: GrantId::parse(&item.grant_id).ok()?,
        client_id: item.client_id,
        capabilities: item.capabilities.join(","),
        issued_at: item.issued_at,
        expires_at: item.expires_at,
    })
}
