//! `POST|GET|DELETE /session`: sign-in, session and sign-out by cookie.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::secret::CookieSecret;
use rowhouse_proto::wire::shard::{CookieSignin, CookieSignout, execute_request};

use super::cookie_signup::{open_session, record, verify};
use super::receive;
use crate::app::App;
use crate::cookie::{RequestHost, removal_cookie};
use crate::credentials::Credentials;
use crate::layers::Target;
use crate::respond::{OCTETS, Rejection, empty, refuse, set_cookie, with_body};
use crate::session::{self, Session};

const MICROS_PER_SECOND: u64 = 1_000_000;

/// `POST /session`: a session for an AuthToken; answers its record and sets the cookie.
pub async fn cookie_signin(State(app): State<Arc<App>>, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let call = app.call(&parts.extensions);
    let host = RequestHost::of(&parts.headers).map_err(refuse)?;
    let auth_token = receive::bytes(&app, &parts, body).await?;
    let user = verify(&auth_token).map_err(refuse)?;
    let secret = CookieSecret::generate();
    let op = execute_request::Op::CookieSignin(CookieSignin {
        auth_token,
        cookie_hash: secret.hash().0.to_vec().into(),
    });
    let shard = app.cluster.shard_of_user(&user).await.map_err(refuse)?;
    let result = app.cluster.execute(&call, shard, receive::client_addr(&parts), op).await;
    open_session(result, &user, &secret, &host).map_err(refuse)
}

/// `GET /session`: the record of the cookie's session. A bearer's session has none here: 401.
pub async fn cookie_session(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let tenant = tenant_of(&request);
    let credentials = Credentials::of(request.headers(), tenant);
    match session::authenticate(&app, &call, &credentials, tenant).await? {
        Some(Session::Cookie(session)) => {
            let user = tenant.ok_or(ErrorCode::Internal)?;
            let body = record(user, &session, session.created_at_us / MICROS_PER_SECOND)?;
            Ok(with_body(StatusCode::OK, OCTETS, body))
        }
        Some(Session::Grant(_)) => Err(ErrorCode::Unauthorized.into()),
        None => Err(ErrorCode::NoSession.into()),
    }
}

/// Always 200 and always removes the cookie, so that a client can sign out twice.
pub async fn cookie_signout(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let host = RequestHost::of(request.headers())?;
    let tenant = tenant_of(&request).ok_or(ErrorCode::MissingTenant)?;
    let credentials = Credentials::of(request.headers(), Some(tenant));
    // A live bearer is who the request comes from; the cookie is then not looked at.
    let by_bearer = match credentials.bearer {
        Some(bearer) => session::by_bearer(&app, &call, bearer).await?.is_some(),
        None => false,
    };
    if let Some(cookie) = credentials.cookie.filter(|_| !by_bearer) {
        let op = execute_request::Op::CookieSignout(CookieSignout {
            user: tenant.as_bytes().to_vec().into(),
            cookie_hash: cookie.0.to_vec().into(),
        });
        let shard = app.cluster.shard_of_user(tenant).await?;
        match app.cluster.execute(&call, shard, String::new(), op).await {
            Err(rejection) if rejection.code() != ErrorCode::NoSession => return Err(rejection),
            _ => {}
        }
    }
    let cookie = removal_cookie(tenant, &host).ok_or(ErrorCode::Internal)?;
    Ok(set_cookie(empty(StatusCode::OK), cookie))
}

fn tenant_of(request: &Request) -> Option<&PublicKey> {
    request.extensions().get::<Target>().map(|target| &target.user)
}
