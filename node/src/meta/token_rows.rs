//! Rows of signup tokens, and who asks for them. A token is unused, kept for one user, or used; indexes by state let
//! each be listed without the others.

use std::ops::ControlFlow;

use rowhouse_proto::wire::meta::list_signup_tokens::State;
use rowhouse_proto::wire::meta::{HeldToken, ListSignupTokens, SignupToken};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::tables::{AFTER_TEXT, key};
use crate::state::Read;
use crate::state::read::{encode, load, wrap_raw};

/// token → SignupToken
const TOKEN: u8 = 7;
/// token, of those nobody has signed up with
const UNUSED: u8 = 8;
/// token, of those somebody has signed up with
const USED: u8 = 9;
/// token, of the unused ones that are kept for a user
const HELD: u8 = 10;

/// The token, `None` for one that was never made.
pub fn token(store: &dyn Read, token: &str) -> Result<Option<SignupToken>, Error> {
    load(store, &key(TOKEN, token.as_bytes()), "signup token")
}

/// Stores a token under its text, and in the indexes of its state.
pub(super) fn put(txn: &mut Txn<'_>, row: &SignupToken) {
    let text = row.token.as_bytes();
    let (is_used, is_held) = (!row.used_by.is_empty(), !row.reserved_by.is_empty());
    for (index, holds) in [(UNUSED, !is_used), (USED, is_used), (HELD, !is_used && is_held)] {
        if holds {
            txn.put(key(index, text), wrap_raw(&[]));
        } else {
            txn.delete(key(index, text));
        }
    }
    txn.put(key(TOKEN, text), encode(row));
}

/// A page of tokens in the order of their texts.
pub fn page(store: &dyn Read, query: &ListSignupTokens, limit: usize) -> Result<Vec<SignupToken>, Error> {
    let index = match query.state() {
        State::All => TOKEN,
        State::Used => USED,
        State::Unused => UNUSED,
    };
    texts(store, index, &query.after, limit)?.iter().map(|text| known(store, text)).collect()
}

/// The tokens that are kept for somebody, at most `limit`. `now_ms` is the asker's clock.
pub fn held(store: &dyn Read, limit: usize, now_ms: u64) -> Result<Vec<HeldToken>, Error> {
    let texts = texts(store, HELD, "", limit)?;
    texts.iter().map(|text| known(store, text).map(|row| held_token(row, now_ms))).collect()
}

/// The reservation of a token that is kept for somebody.
pub(crate) fn held_token(row: SignupToken, now_ms: u64) -> HeldToken {
    HeldToken {
        token: row.token,
        user: row.reserved_by,
        number: row.reservation,
        age_ms: now_ms.saturating_sub(row.reserved_at_ms),
    }
}

fn texts(store: &dyn Read, index: u8, after: &str, limit: usize) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut failure = None;
    // The least key above `after`.
    let start =
        if after.is_empty() { vec![index] } else { [&key(index, after.as_bytes())[..], &[0]].concat() };
    store.scan(&start, &key(index, AFTER_TEXT), &mut |row, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        match std::str::from_utf8(&row[1..]) {
            Ok(text) => {
                found.push(text.to_owned());
                ControlFlow::Continue(())
            }
            Err(error) => {
                failure = Some(Error::corrupt("signup token", error));
                ControlFlow::Break(())
            }
        }
    })?;
    failure.map_or(Ok(found), Err)
}

fn known(store: &dyn Read, text: &str) -> Result<SignupToken, Error> {
    token(store, text)?.ok_or_else(|| Error::corrupt("signup token", "an index knows one without a row"))
}
