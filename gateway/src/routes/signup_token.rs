//! `GET /signup_tokens/{token}` and the format of signup tokens.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::Extensions;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::meta::{GetSignupToken, SignupToken, meta_query_reply, meta_query_request};
use serde::Serialize;

use crate::app::App;
use crate::cluster::Call;
use crate::date::rfc3339;
use crate::respond::{Rejection, json, method_not_allowed, not_cached};
use crate::signup::{held_token, settle_if_over};

/// `XXXX-XXXX-XXXX`, though the hyphens may stand anywhere.
const TOKEN_BYTES: usize = 14;

/// `GET /signup_tokens/{token}`: whether it is valid or used. Refused while signup is open, and for what is no token.
pub async fn signup_token(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    extensions: Extensions,
) -> Result<Response, Rejection> {
    // The meta group says whether tokens are asked for, and it says so first; a text that is none is not sent.
    let is_token = check_format(&token);
    let token = if is_token.is_ok() { token } else { String::new() };
    let call = app.call(&extensions);
    let row = match ask(&app, &call, &token).await {
        Err(rejection) if rejection.code() == ErrorCode::SignupTokensNotRequired => return Err(rejection),
        _ if is_token.is_err() => return Err(ErrorCode::SignupTokenFormat.into()),
        row => row?,
    };
    let row = match held_token(&row) {
        None => row,
        Some(held) => {
            settle_if_over(&app.cluster, app.limits.signup_reservation_s, &call, held).await?;
            ask(&app, &call, &token).await?
        }
    };
    Ok(not_cached(json(&Status {
        status: if row.used_by.is_empty() { "valid" } else { "used" },
        created_at: rfc3339(row.created_at_ms),
    })))
}

async fn ask(app: &App, call: &Call, token: &str) -> Result<SignupToken, Rejection> {
    let asked = GetSignupToken { token: token.to_owned() };
    match app.cluster.meta_query(call, meta_query_request::Op::GetSignupToken(asked)).await? {
        meta_query_reply::Result::SignupToken(row) => Ok(row),
        _ => Err(ErrorCode::Internal.into()),
    }
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    created_at: String,
}

/// 405 for every method but GET.
pub async fn only_get() -> Response {
    method_not_allowed("GET")
}

/// Fourteen bytes that are Crockford base32 once the hyphens are gone.
pub fn check_format(token: &str) -> Result<(), ErrorCode> {
    let crockford =
        |byte: u8| byte.is_ascii_digit() || (byte.is_ascii_alphabetic() && !matches!(byte, b'u' | b'U'));
    let well_formed = token.len() == TOKEN_BYTES && token.bytes().filter(|byte| *byte != b'-').all(crockford);
    if well_formed { Ok(()) } else { Err(ErrorCode::SignupTokenFormat) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_may_stand_anywhere_but_the_length_counts() {
        for good in ["ABCD-EFGH-JKMN", "abcd-oil0-1234", "A-B-C-D-E-F-GH", "ABCDEFGHJKMNPQ"] {
            assert_eq!(check_format(good), Ok(()), "{good}");
        }
        for bad in ["", "ABCD", "ABCD-EFGH-JKMU", "ABCD-EFGH-JKM!", "ABCD-EFGH-JKMNP", "ÄBCD-EFGH-JKM"] {
            assert_eq!(check_format(bad), Err(ErrorCode::SignupTokenFormat), "{bad}");
        }
    }
}
