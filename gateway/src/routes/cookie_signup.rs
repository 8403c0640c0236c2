//! `POST /signup`: a new user by AuthToken, signed in with a cookie. Also the part that sign-in shares:
//! the secret is drawn here and only its hash leaves the gateway.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use pubky_common::capabilities::{Capabilities, Capability};
use pubky_common::crypto::PublicKey;
use pubky_common::session::CookieSessionRecord;
use rowhouse_proto::domain::auth_token;
use rowhouse_proto::domain::secret::CookieSecret;
use rowhouse_proto::wire::shard::{CookieSession, CookieSignup, execute_reply, execute_request};
use rowhouse_proto::{ErrorCode, Refusal};

use super::{receive, signup_token};
use crate::app::App;
use crate::cookie::{RequestHost, session_cookie};
use crate::respond::{OCTETS, Rejection, refuse, set_cookie, with_body};
use crate::signup::{Signup, sign_up};

const SIGNUP_TOKEN: &str = "signup_token";

/// `POST /signup`: creates the user and opens a first session.
pub async fn cookie_signup(State(app): State<Arc<App>>, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let call = app.call(&parts.extensions);
    let host = RequestHost::of(&parts.headers).map_err(refuse)?;
    let Query(mut params) =
        Query::<HashMap<String, String>>::try_from_uri(&parts.uri).map_err(IntoResponse::into_response)?;
    let auth_token = receive::bytes(&app, &parts, body).await?;
    let signup_token = params.remove(SIGNUP_TOKEN);
    if let Some(token) = &signup_token {
        signup_token::check_format(token).map_err(refuse)?;
    }
    let user = verify(&auth_token).map_err(refuse)?;
    let secret = CookieSecret::generate();
    let cookie_hash = secret.hash().0.to_vec().into();
    let signup = Signup {
        user: user.clone(),
        token: signup_token.unwrap_or_default(),
        client_addr: receive::client_addr(&parts),
    };
    let result = sign_up(app, call, signup, move |admission| {
        let admission = Some(admission);
        execute_request::Op::CookieSignup(CookieSignup { auth_token, cookie_hash, admission })
    })
    .await;
    open_session(result, &user, &secret, &host).map_err(refuse)
}

/// Refuses early what the shard would refuse, and tells whose shard that is.
pub fn verify(auth_token: &[u8]) -> Result<PublicKey, Refusal> {
    auth_token::verify(auth_token).map(|token| token.public_key().clone())
}

/// The record and the cookie of a session that was just made.
pub fn open_session(
    result: Result<execute_reply::Result, Rejection>,
    user: &PublicKey,
    secret: &CookieSecret,
    host: &RequestHost,
) -> Result<Response, Rejection> {
    let execute_reply::Result::CookieSession(session) = result? else {
        return Err(ErrorCode::Internal.into());
    };
    let body = record(user, &session, session.created_at_us)?;
    let cookie = session_cookie(user, secret, host).ok_or(ErrorCode::Internal)?;
    Ok(set_cookie(with_body(StatusCode::OK, OCTETS, body), cookie))
}

/// `created_at`: microseconds when a session is made, seconds when it is read later
/// (docs/rules/protocol.md#cookie-sessions).
pub fn record(user: &PublicKey, session: &CookieSession, created_at: u64) -> Result<Vec<u8>, ErrorCode> {
    let capabilities: Vec<Capability> = session
        .capabilities
        .iter()
        .map(|text| Capability::try_from(text.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|_| ErrorCode::Internal)?;
    let mut record = CookieSessionRecord::new(user, Capabilities::from(capabilities), None);
    record.set_created_at(created_at);
    Ok(record.serialize())
}
