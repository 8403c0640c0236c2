//! `GET /signup_tokens/{token}` and the format of signup tokens.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use rowhouse_proto::ErrorCode;

use crate::app::App;
use crate::respond::{Rejection, method_not_allowed};

/// `XXXX-XXXX-XXXX`, though the hyphens may stand anywhere.
const TOKEN_BYTES: usize = 14;

/// `GET /signup_tokens/{token}`: refused while signup is open, and for what is no token.
pub async fn signup_token(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
) -> Result<Response, Rejection> {
    if app.cluster.map().await?.open_signup() {
        return Err(ErrorCode::SignupTokensNotRequired.into());
    }
    check_format(&token)?;
    // Tokens live in the meta group, which has no question for them yet.
    Err(ErrorCode::Unavailable.into())
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
