//! The body of every grant route: a grant and a proof of possession.

use pubky_common::auth::grant::GrantClaims;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::ErrorCode;
use serde::Deserialize;

/// A grant and the proof that the sender holds the client's key.
#[derive(Debug, Deserialize)]
pub struct GrantRequest {
    pub grant: Jws,
    pub pop: Jws,
}

/// A JWS in compact form: three parts joined by dots.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Jws(pub String);

impl TryFrom<String> for Jws {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.split('.').count() == 3 { Ok(Self(text)) } else { Err("a compact JWS has three parts") }
    }
}

impl GrantRequest {
    /// Whose shard decides. Nothing is verified here: the shard does, in its order.
    pub fn issuer(&self) -> Result<PublicKey, ErrorCode> {
        GrantClaims::decode(&self.grant.0).map(|claims| claims.iss).map_err(|_| ErrorCode::GrantFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_parts_are_a_jws() {
        let parse = |grant: &str| {
            serde_json::from_value::<GrantRequest>(serde_json::json!({ "grant": grant, "pop": "a.b.c" }))
        };
        assert!(parse("a.b").is_err() && parse("a.b.c.d").is_err() && parse("").is_err());
        let request = parse("a.b.c").expect("three parts");
        assert_eq!(request.issuer(), Err(ErrorCode::GrantFormat));
    }
}
