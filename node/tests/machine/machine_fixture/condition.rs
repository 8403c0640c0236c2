//! Builders of conditions and of commands on locks.

use rowhouse_proto::wire::entry::{Conditions, EntityTags, LockTokens};

use super::*;

/// The tags of files with these bodies.
pub fn tags(bodies: &[&[u8]]) -> Option<EntityTags> {
    let hashes = bodies.iter().map(|body| Bytes::copy_from_slice(blake3::hash(body).as_bytes())).collect();
    Some(EntityTags { any: false, hashes })
}

pub fn any() -> Option<EntityTags> {
    Some(EntityTags { any: true, hashes: Vec::new() })
}

pub fn if_match(tags: Option<EntityTags>) -> Conditions {
    Conditions { if_match: tags, ..Conditions::default() }
}

pub fn if_none_match(tags: Option<EntityTags>) -> Conditions {
    Conditions { if_none_match: tags, ..Conditions::default() }
}

pub fn token(seed: u8) -> Bytes {
    Bytes::from(vec![seed; 16])
}

pub fn tokens(seeds: &[u8]) -> LockTokens {
    LockTokens { tokens: seeds.iter().map(|seed| token(*seed)).collect() }
}

/// Presents the tokens of these locks.
pub fn holding(seeds: &[u8]) -> Conditions {
    Conditions { held: Some(tokens(seeds)), ..Conditions::default() }
}

/// The write under conditions.
pub fn on(conditions: Conditions, body: Body) -> Body {
    let conditions = Some(conditions);
    match body {
        Body::PutEntry(put) => Body::PutEntry(command::PutEntry { conditions, ..put }),
        Body::DeleteEntry(delete) => Body::DeleteEntry(command::DeleteEntry { conditions, ..delete }),
        Body::BeginUpload(begin) => Body::BeginUpload(command::BeginUpload { conditions, ..begin }),
        other => other,
    }
}

pub fn lock(secret: u8, user: u8, path: &str, seed: u8, timeout_s: u32) -> Body {
    Body::LockEntry(command::LockEntry {
        credential: cookie(secret),
        user: key_of(user),
        path: path.to_owned(),
        token: token(seed),
        timeout_s,
    })
}

pub fn refresh(secret: u8, user: u8, path: &str, seeds: &[u8], timeout_s: u32, extend: bool) -> Body {
    Body::RefreshLock(command::RefreshLock {
        credential: cookie(secret),
        user: key_of(user),
        path: path.to_owned(),
        held: Some(tokens(seeds)),
        timeout_s,
        extend,
    })
}

pub fn unlock(secret: u8, user: u8, path: &str, seed: u8) -> Body {
    Body::UnlockEntry(command::UnlockEntry {
        credential: cookie(secret),
        user: key_of(user),
        path: path.to_owned(),
        token: token(seed),
    })
}
