//! `POST /auth/grant/signup`: a new user by a grant and its proof. No session comes of it.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rowhouse_proto::wire::shard::{GrantSignup, execute_request};
use serde::Deserialize;

use super::grant_request::GrantRequest;
use super::{receive, signup_token};
use crate::app::App;
use crate::respond::{empty, refuse};
use crate::signup::{Signup, sign_up};

#[derive(Deserialize)]
struct Params {
    signup_token: Option<String>,
}

/// `POST /auth/grant/signup`: creates the grant's issuer as a user: 204.
pub async fn grant_signup(State(app): State<Arc<App>>, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let call = app.call(&parts.extensions);
    let Query(params) = Query::<Params>::try_from_uri(&parts.uri).map_err(IntoResponse::into_response)?;
    let request: GrantRequest = receive::json(&app, &parts, body).await?;
    if let Some(token) = &params.signup_token {
        signup_token::check_format(token).map_err(refuse)?;
    }
    let issuer = request.issuer().map_err(refuse)?;
    let signup = Signup {
        user: issuer,
        token: params.signup_token.unwrap_or_default(),
        client_addr: receive::client_addr(&parts),
    };
    sign_up(app, call, signup, move |admission| {
        execute_request::Op::GrantSignup(GrantSignup {
            grant: request.grant.0,
            pop: request.pop.0,
            admission: Some(admission),
        })
    })
    .await
    .map_err(refuse)?;
    Ok(empty(StatusCode::NO_CONTENT))
}
