//! Conditions that a request's head makes on a change, as its shard is told them. They are judged there and nowhere
//! else, where the change stands in the log (docs/rules/protocol.md#conditional-writes).

mod entity_tags;
mod lock_tokens;

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::entry::Conditions;

pub use lock_tokens::{format_token, if_tokens, unlock_token};

/// Everything that the head demands of the path; `None` if it demands nothing. Refused as `InvalidCondition` when it
/// cannot be read: a condition is never left out.
pub fn conditions(headers: &HeaderMap) -> Result<Option<Conditions>, ErrorCode> {
    let tags = tag_conditions(headers)?;
    let held = if_tokens(headers)?;
    Ok(match (tags, held) {
        (tags, None) => tags,
        (tags, held) => Some(Conditions { held, ..tags.unwrap_or_default() }),
    })
}

/// `conditions` without the locks.
pub fn tag_conditions(headers: &HeaderMap) -> Result<Option<Conditions>, ErrorCode> {
    let if_match = entity_tags::parse(headers.get_all(IF_MATCH))?;
    let if_none_match = entity_tags::parse(headers.get_all(IF_NONE_MATCH))?;
    let some = if_match.is_some() || if_none_match.is_some();
    Ok(some.then_some(Conditions { if_match, if_none_match, held: None }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn read(lines: &[(&'static str, &str)]) -> Result<Option<Conditions>, ErrorCode> {
        let lines = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header's value")));
        conditions(&lines.collect())
    }

    #[test]
    fn a_head_makes_all_its_conditions_or_is_refused() {
        assert_eq!(read(&[("if-modified-since", "yesterday")]), Ok(None));
        let all = read(&[("if-match", "*"), ("if-none-match", "\"x\""), ("if", "(<opaquelocktoken:x>)")]);
        let all = all.expect("well-formed").expect("conditions");
        assert!(all.if_match.is_some_and(|tags| tags.any));
        assert!(all.if_none_match.is_some_and(|tags| !tags.any && tags.hashes.is_empty()));
        assert!(all.held.is_some_and(|held| held.tokens.is_empty()));
        for bad in [("if-match", "x"), ("if-none-match", ""), ("if-none-match", "\"x")] {
            assert_eq!(read(&[bad]), Err(ErrorCode::InvalidCondition), "{bad:?}");
        }
    }
}
