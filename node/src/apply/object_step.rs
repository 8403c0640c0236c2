//! Which steps an object may take: begun, renewed, committed, replaced, dead, forgotten. Pure; for assertions.

use rowhouse_proto::wire::state::{Object, object::State};

use crate::planted;

/// Whether the first row may become the second one; `None` is an object that is not known.
pub(super) fn is_allowed(before: Option<&Object>, after: Option<&Object>) -> bool {
    match (before, after) {
        (None, None) => false,
        (None, Some(after)) => after.state() == State::Staged && after.hash.is_empty(),
        (Some(before), None) => before.state() == State::Dead,
        (Some(before), Some(after)) => before.user == after.user && is_allowed_between(before, after),
    }
}

fn is_allowed_between(before: &Object, after: &Object) -> bool {
    let is_same_body = before.length == after.length && before.hash == after.hash;
    match (before.state(), after.state()) {
        // Chunks that were let in stay counted.
        (State::Staged, State::Staged) => after.hash.is_empty() && after.length >= before.length,
        (State::Staged, State::Live) => !after.hash.is_empty(),
        (State::Staged | State::Garbage, State::Dead) | (State::Live, State::Garbage) => is_same_body,
        (State::Live, State::Dead) => planted::erase_at_overwrite() && is_same_body,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = Object> {
        let state = prop::sample::select(vec![State::Staged, State::Live, State::Garbage, State::Dead]);
        (state, 0..3u64, 0..4u64, 0..2u8).prop_map(|(state, at, length, user)| {
            let hash = if state == State::Staged { Vec::new() } else { vec![7; 32] };
            let mut row = Object { at, length, hash: hash.into(), user: vec![user; 32].into(), state: 0 };
            row.set_state(state);
            row
        })
    }

    /// A row of the same body and user in another state.
    fn moved(row: &Object, state: State, at: u64) -> Object {
        let mut next = Object { at, ..row.clone() };
        next.set_state(state);
        next
    }

    proptest! {
        #[test]
        fn every_life_goes_one_way_and_ends(lengths in prop::collection::vec(0..9u64, 1..6), commits: bool) {
            let mut grown = 0;
            let mut before: Option<Object> = None;
            for (at, length) in (0..).zip(lengths) {
                grown = length.max(grown);
                let staged = Object { at, length: grown, user: vec![1; 32].into(), ..Object::default() };
                prop_assert!(is_allowed(before.as_ref(), Some(&staged)));
                before = Some(staged);
            }
            let mut row = before.expect("at least one");
            if commits {
                let hash = Bytes::from(vec![7; 32]);
                let live = Object { hash, length: 5, ..moved(&row, State::Live, 9) };
                prop_assert!(is_allowed(Some(&row), Some(&live)));
                row = moved(&live, State::Garbage, 10);
                prop_assert!(is_allowed(Some(&live), Some(&row)));
            }
            let dead = moved(&row, State::Dead, 11);
            prop_assert!(is_allowed(Some(&row), Some(&dead)));
            prop_assert!(is_allowed(Some(&dead), None));
            prop_assert!(!is_allowed(None, Some(&dead)), "what was forgotten begins anew or not at all");
        }

        #[test]
        fn no_step_leads_back_or_to_another_body(before in row(), after in row()) {
            if is_allowed(Some(&before), Some(&after)) {
                prop_assert!(before.state() < after.state() || before.state() == State::Staged);
                prop_assert_eq!(&before.user, &after.user);
                if before.state() != State::Staged {
                    prop_assert_eq!((before.length, &before.hash), (after.length, &after.hash));
                }
            }
            prop_assert_eq!(is_allowed(Some(&before), None), before.state() == State::Dead);
            prop_assert_eq!(is_allowed(None, Some(&after)), after.state() == State::Staged);
        }
    }
}
