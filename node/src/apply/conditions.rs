//! Conditions on the file at a path, as RFC 9110 §13 has them (docs/rules/protocol.md#conditional-writes).
//!
//! They are judged last: whatever else refuses a request does so whether or not its conditions hold (§13.2.1).

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::entry::{Conditions, EntityTags};
use rowhouse_proto::wire::state::Entry;

use super::error::ApplyError;
use crate::planted;

/// Refuses a change unless its conditions hold of the file that is there, or of nothing. `If-Match` comes first
/// (§13.2.2); both must hold.
pub(super) fn check(conditions: Option<&Conditions>, found: Option<&Entry>) -> Result<(), ApplyError> {
    let Some(conditions) = conditions.filter(|_| !planted::ignore_conditions()) else { return Ok(()) };
    let is_named =
        |tags: &EntityTags| found.is_some_and(|entry| tags.any || tags.hashes.contains(&entry.hash));
    let is_wanted = conditions.if_match.as_ref().is_none_or(is_named);
    let is_unwanted = conditions.if_none_match.as_ref().is_some_and(is_named);
    if is_wanted && !is_unwanted { Ok(()) } else { Err(ErrorCode::PreconditionFailed.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(any: bool, hashes: &[u8]) -> Option<EntityTags> {
        Some(EntityTags { any, hashes: hashes.iter().map(|byte| vec![*byte; 32].into()).collect() })
    }

    #[test]
    fn both_conditions_are_about_the_file_that_is_there() {
        let file = Entry { hash: vec![1; 32].into(), ..Entry::default() };
        let held = |if_match: &Option<EntityTags>, if_none_match: &Option<EntityTags>, found| {
            let conditions = Conditions {
                if_match: if_match.clone(),
                if_none_match: if_none_match.clone(),
                ..Conditions::default()
            };
            check(Some(&conditions), found).is_ok()
        };
        for (tags, of_file, of_nothing) in [
            (tags(true, &[]), true, false),
            (tags(false, &[1]), true, false),
            (tags(false, &[2, 1]), true, false),
            (tags(false, &[2]), false, false),
            (tags(false, &[]), false, false),
        ] {
            assert_eq!(held(&tags, &None, Some(&file)), of_file, "{tags:?}");
            assert_eq!(held(&tags, &None, None), of_nothing, "{tags:?}");
            assert_eq!(held(&None, &tags, Some(&file)), !of_file, "{tags:?}");
            assert_eq!(held(&None, &tags, None), !of_nothing, "{tags:?}");
        }
        assert!(!held(&tags(false, &[1]), &tags(false, &[1]), Some(&file)), "both must hold");
        assert!(held(&tags(true, &[]), &tags(false, &[2]), Some(&file)));
        assert!(check(None, None).is_ok() && check(Some(&Conditions::default()), None).is_ok());
    }
}
