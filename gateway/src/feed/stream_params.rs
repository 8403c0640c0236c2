//! The query of an event stream: read from its raw text, in the protocol's order of checks and with its texts
//! (docs/rules/feed.md#event-streams). Pure.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::{ErrorCode, Refusal};

use crate::layers::parse_key;

/// Users of one stream; counted before those that stand twice are taken together.
pub const USERS_MAX: usize = 50;

/// Which events a stream brings, and for how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamParams {
    /// As they stand in the query; a user may stand twice.
    pub users: Vec<StreamUser>,
    /// The union of these. Empty: what the route says.
    pub paths: Vec<StoragePath>,
    /// Events until the stream ends, from 1; `None`: no bound.
    pub limit: Option<u16>,
    /// The stream goes on with new events. Never together with `reverse`.
    pub live: bool,
    /// Descending ids.
    pub reverse: bool,
}

/// A user of a stream, and where to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamUser {
    pub key: PublicKey,
    /// As given; not looked at before it is known that the user is here.
    pub cursor: Option<String>,
}

impl StreamParams {
    /// The query of `GET /events-stream`. Refuses what the protocol refuses before it asks who the client is.
    pub fn of_users(query: &str) -> Result<Self, Refusal> {
        let mut params = Self::default();
        let (mut users, mut paths) = (Vec::new(), Vec::new());
        for (name, value) in pairs(query) {
            match &*name {
                "user" if !value.is_empty() => users.push(value),
                "path" if !value.is_empty() => paths.push(value),
                _ => params.take(&name, &value)?,
            }
        }
        params.check_order()?;
        params.users = users.iter().map(|value| user(value)).collect::<Result<_, _>>()?;
        if params.users.is_empty() {
            return Err(ErrorCode::UserRequired.into());
        }
        if params.users.len() > USERS_MAX {
            return Err(ErrorCode::TooManyUsers.into());
        }
        params.paths = paths.iter().map(|value| path(value)).collect::<Result<_, _>>()?;
        Ok(params)
    }

    /// The query of the operator's `/events-stream`, and its one cursor. Users need not be named there, stand for
    /// themselves, and are refused where they stand.
    pub fn of_operator(query: &str) -> Result<(Self, Option<String>), Refusal> {
        let (mut params, mut cursor) = (Self::default(), None);
        for (name, value) in pairs(query) {
            match &*name {
                "user" if !value.is_empty() => {
                    let key = key(&value)?;
                    if params.users.iter().all(|user| user.key != key) {
                        params.users.push(StreamUser { key, cursor: None });
                    }
                }
                "path" if !value.is_empty() => params.paths.push(path(&value)?),
                "cursor" if !value.is_empty() => cursor = Some(value.into_owned()),
                _ => params.take(&name, &value)?,
            }
        }
        params.check_order()?;
        if params.users.len() > USERS_MAX {
            return Err(ErrorCode::TooManyUsers.into());
        }
        Ok((params, cursor))
    }

    /// Unknown parameters are ignored.
    fn take(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let is_true = value == "true" || value == "1";
        match name {
            "limit" => self.limit = Some(limit(value)?),
            "live" => self.live = is_true,
            "reverse" => self.reverse = is_true,
            _ => {}
        }
        Ok(())
    }

    fn check_order(&self) -> Result<(), Refusal> {
        if self.live && self.reverse { Err(ErrorCode::LiveReverse.into()) } else { Ok(()) }
    }
}

/// A refusal whose text ends in what was given. A client that reads a body without looking at its status must find no
/// second line in it, so line breaks do not come back.
pub fn refused(code: ErrorCode, given: &str) -> Refusal {
    let given: String = given.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    Refusal::new(code, format!("{}: {given}", code.text()))
}

/// The pairs of a query, decoded as forms are.
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
}

fn limit(value: &str) -> Result<u16, Refusal> {
    match value.parse() {
        Ok(0) => Err(ErrorCode::LimitTooSmall.into()),
        Ok(limit) => Ok(limit),
        Err(_) => Err(refused(ErrorCode::InvalidLimit, value)),
    }
}

fn user(value: &str) -> Result<StreamUser, Refusal> {
    let (name, cursor) = match value.split_once(':') {
        Some((name, cursor)) => (name, Some(cursor.to_owned())),
        None => (value, None),
    };
    Ok(StreamUser { key: key(name)?, cursor })
}

fn key(text: &str) -> Result<PublicKey, Refusal> {
    let plain = Some(text).filter(|text| !PublicKey::is_pubky_prefixed(text));
    plain.and_then(parse_key).ok_or_else(|| refused(ErrorCode::InvalidPublicKey, text))
}

fn path(value: &str) -> Result<StoragePath, Refusal> {
    let absolute =
        if value.starts_with('/') { Cow::Borrowed(value) } else { Cow::Owned(format!("/{value}")) };
    StoragePath::normalize(&absolute).map_err(|_| refused(ErrorCode::InvalidEventPath, &absolute))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn z32() -> String {
        Keypair::random().public_key().z32()
    }

    fn text_of(query: &str) -> String {
        StreamParams::of_users(query).expect_err(query).text().to_owned()
    }

    #[test]
    fn each_refusal_has_its_text() {
        let key = z32();
        let prefixed = format!("pubky{key}");
        for (query, text) in [
            (String::new(), "user parameter is required"),
            ("user=&user=".into(), "user parameter is required"),
            (format!("user={key}&limit="), "Invalid limit: "),
            (format!("user={key}&limit=65536"), "Invalid limit: 65536"),
            (format!("user={key}&limit=-1"), "Invalid limit: -1"),
            (format!("user={key}&limit=0"), "limit must be at least 1"),
            (format!("user={key}&live=1&reverse=true"), "Cannot use live mode with reverse ordering"),
            ("user=junk:5".into(), "Invalid public key: junk"),
            (format!("user={prefixed}"), &*format!("Invalid public key: {prefixed}")),
            (format!("user={key}&path=../x"), "Invalid path: /../x"),
            (format!("user={key}&path=%2Fpub%2Fa%5Cb"), "Invalid path: /pub/a\\b"),
            ("user=a%0Acursor:%205".into(), "Invalid public key: a cursor"),
        ] {
            assert_eq!(text_of(&query), text, "{query}");
        }
    }

    #[test]
    fn checks_have_their_order() {
        let key = z32();
        let many = format!("user={key}&").repeat(USERS_MAX + 1);
        for (query, text) in [
            ("user=junk&limit=x&live=1&reverse=1&path=../x".to_owned(), "Invalid limit: x"),
            ("user=junk&limit=x&limit=0".to_owned(), "Invalid limit: x"),
            ("user=junk&live=1&reverse=1&path=../x".to_owned(), "Cannot use live mode with reverse ordering"),
            (format!("{many}user=junk"), "Invalid public key: junk"),
            (format!("{many}path=../x"), "Too many users. Maximum allowed: 50"),
            ("path=../x".to_owned(), "user parameter is required"),
        ] {
            assert_eq!(text_of(&query), text, "{query}");
        }
    }

    #[test]
    fn fifty_users_are_fine_and_are_counted_before_they_are_taken_together() {
        let of = |count| {
            let query: String = (0..count).map(|_| format!("user={}&", z32())).collect();
            StreamParams::of_users(&query).map(|params| params.users.len())
        };
        assert_eq!(of(50), Ok(50));
        assert_eq!(of(51), Err(ErrorCode::TooManyUsers.into()));
        let same = format!("user={}&", z32()).repeat(51);
        assert_eq!(StreamParams::of_users(&same), Err(ErrorCode::TooManyUsers.into()));
        let same = StreamParams::of_operator(&same).expect("one user").0;
        assert_eq!(same.users.len(), 1);
        let others: String = (0..51).map(|_| format!("user={}&", z32())).collect();
        assert_eq!(StreamParams::of_operator(&others), Err(ErrorCode::TooManyUsers.into()));
    }

    #[test]
    fn flags_are_true_or_1_and_nothing_else_and_the_rest_is_decoded_like_a_form() {
        let key = z32();
        let query = format!(
            "x=y&&user={key}:7&user=_pubky.{key}&live=TRUE&reverse=1&path=pub/a+b/&path=&path=/pub/%2B"
        );
        let params = StreamParams::of_users(&query).expect("valid");
        assert!(!params.live && params.reverse);
        assert_eq!(params.limit, None);
        let paths: Vec<_> = params.paths.iter().map(StoragePath::as_str).collect();
        assert_eq!(paths, ["/pub/a b/", "/pub/+"]);
        let cursors: Vec<_> = params.users.iter().map(|user| user.cursor.as_deref()).collect();
        assert_eq!(cursors, [Some("7"), None]);
        assert_eq!(params.users[0].key, params.users[1].key);
        let all = StreamParams::of_users(&format!("user={key}&limit=65535&live=true")).expect("valid");
        assert_eq!((all.limit, all.live), (Some(u16::MAX), true));
    }

    #[test]
    fn the_operators_query_has_one_cursor_and_needs_no_user() {
        let (params, cursor) = StreamParams::of_operator("cursor=&cursor=9&limit=3").expect("valid");
        assert_eq!((params.users.len(), params.limit, cursor.as_deref()), (0, Some(3), Some("9")));
        let first = StreamParams::of_operator("user=junk&limit=0").expect_err("in their order");
        assert_eq!(first.text(), "Invalid public key: junk");
        let key = z32();
        let with_cursor = StreamParams::of_operator(&format!("user={key}:1")).expect_err("no key");
        assert_eq!(with_cursor.text(), format!("Invalid public key: {key}:1"));
    }
}
