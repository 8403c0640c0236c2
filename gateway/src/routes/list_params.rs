//! The query of a GET. It is checked for files too, before permission (docs/rules/protocol.md#listings).

use std::collections::HashMap;

use axum::extract::Query;
use http::Uri;
use rowhouse_proto::ErrorCode;

const LIMIT_DEFAULT: u16 = 100;
const LIMIT_MAX: u16 = 1000;

/// How a directory is listed.
#[derive(Debug, PartialEq, Eq)]
pub struct ListParams {
    pub limit: u16,
    /// As given: the shard parses it after it knows that the directory exists. Empty: none.
    pub cursor: String,
    pub shallow: bool,
    pub reverse: bool,
}

impl ListParams {
    /// Reads the query; `InvalidBoolean` for a flag that is no boolean. Everything else has a default.
    pub fn of(uri: &Uri) -> Result<Self, ErrorCode> {
        let mut params = match uri.query() {
            None | Some("") => HashMap::new(),
            Some(_) => match Query::<HashMap<String, String>>::try_from_uri(uri) {
                Ok(Query(params)) => params,
                // Pairs of strings always parse; a query that does not is no query.
                Err(_) => HashMap::new(),
            },
        };
        let mut flag = |name: &str| params.remove(name).map_or(Ok(false), |value| parse_flag(&value));
        let (reverse, shallow) = (flag("reverse")?, flag("shallow")?);
        let limit = params.get("limit").and_then(|limit| limit.parse::<u16>().ok());
        Ok(Self {
            limit: limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
            cursor: params.remove("cursor").unwrap_or_default(),
            shallow,
            reverse,
        })
    }
}

fn parse_flag(value: &str) -> Result<bool, ErrorCode> {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is(&["", "1", "true", "yes"]) {
        Ok(true)
    } else if is(&["0", "false", "no"]) {
        Ok(false)
    } else {
        Err(ErrorCode::InvalidBoolean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<ListParams, ErrorCode> {
        ListParams::of(&format!("/pub/{query}").parse().expect("uri"))
    }

    #[test]
    fn limits_fall_back_to_the_default_and_stop_at_the_maximum() {
        for (query, limit) in [
            ("", 100),
            ("?", 100),
            ("?limit=", 100),
            ("?limit=junk", 100),
            ("?limit=-1", 100),
            ("?limit=65536", 100),
            ("?limit=0", 0),
            ("?limit=7", 7),
            ("?limit=1000", 1000),
            ("?limit=65535", 1000),
        ] {
            assert_eq!(of(query).expect(query).limit, limit, "{query}");
        }
    }

    #[test]
    fn flags_are_words_and_nothing_else() {
        for query in ["?shallow", "?shallow=", "?shallow=1", "?shallow=TRUE", "?shallow=yes"] {
            assert!(of(query).expect(query).shallow, "{query}");
        }
        for query in ["", "?shallow=0", "?shallow=False", "?shallow=no"] {
            assert!(!of(query).expect(query).shallow, "{query}");
        }
        for query in ["?shallow=2", "?reverse=on", "?reverse=%20", "?shallow=true&reverse=x"] {
            assert_eq!(of(query), Err(ErrorCode::InvalidBoolean), "{query}");
        }
    }

    #[test]
    fn cursors_are_decoded_and_passed_on() {
        let cursor = of("?cursor=pubky%3A%2F%2Fkey%2Fpub%2Fa+b&limit=1").expect("valid").cursor;
        assert_eq!(cursor, "pubky://key/pub/a b");
        assert_eq!(of("?cursor=").expect("valid").cursor, "");
    }
}
