//! A model of a shard in the plainest form, and random steps for it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rowhouse_proto::ErrorCode::{self, *};

/// Users 1 and 2 exist from the start, 3 may sign up; user 2 writes under a quota.
pub const USERS: [u8; 3] = [1, 2, 3];
pub const QUOTA: u64 = 1500;
pub const PATHS: [&str; 7] = ["/pub/a", "/pub/a/b", "/pub/a/b/c", "/pub/a-b", "/pub/b", "/priv/x", "/else/x"];

#[derive(Clone, Debug)]
pub enum Step {
    Signup {
        user: usize,
        token: u64,
    },
    Mint {
        user: usize,
        grant: u8,
        nonce: u8,
    },
    Logout {
        bearer: usize,
    },
    Put {
        user: usize,
        path: usize,
        length: usize,
        credential: Ticket,
    },
    Delete {
        user: usize,
        path: usize,
        credential: Ticket,
    },
    Retry {
        back: usize,
    },
    Close {
        ahead: u64,
    },
    Wait {
        ms: u64,
    },
    /// The next leader's clock is behind.
    Setback {
        ms: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Ticket {
    None,
    OwnCookie,
    Bearer(usize),
}

pub fn step() -> impl Strategy<Value = Step> {
    let ticket = prop_oneof![
        1 => Just(Ticket::None),
        6 => Just(Ticket::OwnCookie),
        2 => (0usize..8).prop_map(Ticket::Bearer),
    ];
    let (user, path) = (0usize..3, 0usize..PATHS.len());
    prop_oneof![
        1 => (user.clone(), 0u64..3).prop_map(|(user, token)| Step::Signup { user, token }),
        2 => (user.clone(), 0u8..2, 0u8..6).prop_map(|(user, grant, nonce)| Step::Mint { user, grant, nonce }),
        1 => (0usize..8).prop_map(|bearer| Step::Logout { bearer }),
        8 => (user.clone(), path.clone(), 0usize..900, ticket.clone())
            .prop_map(|(user, path, length, credential)| Step::Put { user, path, length, credential }),
        4 => (user, path, ticket).prop_map(|(user, path, credential)| Step::Delete { user, path, credential }),
        3 => (1usize..12).prop_map(|back| Step::Retry { back }),
        1 => (0u64..1_000_000).prop_map(|ahead| Step::Close { ahead }),
        3 => prop_oneof![0u64..10, 0u64..60_000, 100_000u64..4_000_000].prop_map(|ms| Step::Wait { ms }),
        1 => (0u64..5_000).prop_map(|ms| Step::Setback { ms }),
    ]
}

#[derive(Clone, PartialEq)]
pub struct Grant {
    pub revoked: bool,
    pub bearer: Option<(u8, u64)>,
}

/// The state that the shard should have, in the plainest form.
#[derive(Default)]
pub struct Model {
    pub files: BTreeMap<(u8, &'static str), u64>,
    pub users: BTreeSet<u8>,
    pub grants: BTreeMap<(u8, u8), Grant>,
    pub tokens: BTreeMap<(u8, u64), u64>,
    pub nonces: BTreeMap<(u8, u8), u64>,
    pub now_ms: u64,
    pub age_ms: u64,
    pub last_t: u64,
    pub events: Vec<(bool, u8, &'static str)>,
}

impl Model {
    /// No clock of this model leaps back by a minute.
    pub fn tick(&mut self, told_ms: u64) {
        let passed_ms = told_ms.saturating_sub(self.now_ms);
        self.age_ms += if passed_ms <= 30_000 { passed_ms } else { 100 };
        self.now_ms += passed_ms;
    }

    pub fn usage(&self, user: u8) -> u64 {
        self.files.iter().filter(|((owner, _), _)| *owner == user).map(|(_, length)| length + 256).sum()
    }

    /// Whom a credential stands for when it is used at `tenant`.
    fn session(&self, ticket: Ticket, tenant: u8) -> Option<u8> {
        match ticket {
            Ticket::None => None,
            Ticket::OwnCookie => self.users.contains(&tenant).then_some(tenant),
            Ticket::Bearer(nth) => {
                let secret = bearer_secret(nth);
                let now_s = self.now_ms / 1000;
                let live = |grant: &Grant| {
                    !grant.revoked && grant.bearer.is_some_and(|(own, end)| own == secret && end > now_s)
                };
                self.grants.iter().find(|(_, grant)| live(grant)).map(|((user, _), _)| *user)
            }
        }
    }

    fn write_refusal(&self, user: u8, path: &str, ticket: Ticket) -> Option<ErrorCode> {
        match self.session(ticket, user) {
            None => Some(NoSession),
            Some(_) if path.starts_with("/else") => Some(WriteOutsideRoots),
            Some(session) if session != user => Some(TenantMismatch),
            Some(_) => None,
        }
    }

    pub fn put(&mut self, user: u8, path: &'static str, length: u64, ticket: Ticket) -> Option<ErrorCode> {
        if let Some(refusal) = self.write_refusal(user, path, ticket) {
            return Some(refusal);
        }
        let old = self.files.get(&(user, path)).map_or(0, |length| length + 256);
        if user == 2 && self.usage(user) - old + length + 256 > QUOTA {
            return Some(QuotaExceeded);
        }
        let overlaps =
            |other: &str| other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"));
        if self.files.keys().any(|(owner, other)| *owner == user && overlaps(other)) {
            return Some(PathCollision);
        }
        self.files.insert((user, path), length);
        self.events.push((false, user, path));
        None
    }

    pub fn delete(&mut self, user: u8, path: &'static str, ticket: Ticket) -> Option<ErrorCode> {
        if let Some(refusal) = self.write_refusal(user, path, ticket) {
            return Some(refusal);
        }
        if self.files.remove(&(user, path)).is_none() {
            return Some(NotFound);
        }
        self.events.push((true, user, path));
        None
    }

    pub fn signup(&mut self, user: u8, timestamp_us: u64) -> Option<ErrorCode> {
        if (timestamp_us / 1000).abs_diff(self.now_ms) > 180_000 {
            return Some(InvalidAuthToken);
        }
        if self.tokens.insert((user, timestamp_us), self.age_ms).is_some() {
            return Some(AuthTokenReused);
        }
        if self.users.insert(user) { None } else { Some(UserExists) }
    }

    pub fn mint(&mut self, user: u8, id: u8, nonce: u8, secret: u8) -> Option<ErrorCode> {
        if self.grants.get(&(user, id)).is_some_and(|grant| grant.revoked) {
            return Some(GrantRevoked);
        }
        let now = self.now_ms;
        match self.nonces.get(&(user, nonce)) {
            Some(seen) if seen + 421_000 >= self.age_ms => return Some(PopNonceReused),
            _ => self.nonces.insert((user, nonce), self.age_ms),
        };
        if !self.users.contains(&user) {
            return Some(NotFound);
        }
        let grant = self.grants.entry((user, id)).or_insert(Grant { revoked: false, bearer: None });
        grant.bearer = Some((secret, now / 1000 + 3600));
        None
    }

    pub fn logout(&mut self, secret: u8) {
        let now_s = self.now_ms / 1000;
        for grant in self.grants.values_mut() {
            if grant.bearer.is_some_and(|(own, end)| own == secret && end > now_s) {
                *grant = Grant { revoked: true, bearer: None };
            }
        }
    }
}

/// Mints draw secrets 100, 101, ...; steps name the latest eight or so by their remainder.
pub fn bearer_secret(nth: usize) -> u8 {
    100 + (nth % 100) as u8
}
