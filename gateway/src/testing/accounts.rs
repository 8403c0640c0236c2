//! Accounts, tokens, settings and the audit records of a scripted cluster: enough of what nodes decide for the
//! operator's API to be asked about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rowhouse_proto::domain::quota;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::meta::{list_signup_tokens, *};
use rowhouse_proto::wire::shard::{list_users, *};
use rowhouse_proto::{ErrorCode, Refusal, lock::lock};

use super::fixture::SHARDS;
use super::node::{Reaction, Script, failure};

type Key = [u8; 32];

/// What the cluster keeps.
#[derive(Default)]
pub struct Accounts {
    pub users: BTreeMap<Key, Account>,
    pub entries: BTreeSet<(Key, String)>,
    pub tokens: BTreeMap<String, SignupToken>,
    pub settings: Settings,
    pub audit: Vec<AppendAudit>,
    /// Records are refused so.
    pub audit_refused: Option<ErrorCode>,
    /// Tokens that are said to exist already before one is taken.
    pub collisions: usize,
}

impl Accounts {
    pub fn add_user(&mut self, key: Key, created_at_ms: u64, used_bytes: u64) {
        let account = Account { user: key.to_vec().into(), created_at_ms, used_bytes, ..Account::default() };
        self.users.insert(key, account);
    }

    /// A token, which is kept for somebody if `reserved_by` is not empty.
    pub fn add_token(&mut self, token: &str, reserved_by: &[u8]) {
        let row = SignupToken {
            token: token.to_owned(),
            created_at_ms: 1_792_663_872_123,
            reserved_by: reserved_by.to_vec().into(),
            reservation: 7,
            ..SignupToken::default()
        };
        self.tokens.insert(token.to_owned(), row);
    }

    /// A node that knows all of it.
    pub fn script(accounts: &Arc<Mutex<Self>>) -> Script {
        let with = || Arc::clone(accounts);
        let (execute, query, change, question) = (with(), with(), with(), with());
        Script {
            execute: Box::new(move |request| {
                let answer = lock(&execute).execute(request.op.expect("an operation"));
                Ok(Reaction::Execute(
                    answer.unwrap_or_else(|error| execute_reply::Result::Failure(of(error))),
                ))
            }),
            query: Box::new(move |request| {
                let answer = lock(&query).query(request.group, request.op.expect("a question"));
                Ok(Reaction::Query(answer.unwrap_or_else(|error| query_reply::Result::Failure(of(error)))))
            }),
            meta_execute: Box::new(move |request| {
                let answer = lock(&change).change(request.op.expect("a change"));
                Ok(match answer {
                    Ok(()) => meta_execute_reply::Result::Done(MetaDone {}),
                    Err(error) => meta_execute_reply::Result::Failure(of(error)),
                })
            }),
            meta_query: Box::new(
                move |request| Ok(lock(&question).question(request.op.expect("a question"))),
            ),
            ..Script::default()
        }
    }

    fn user(&mut self, key: &[u8]) -> Result<&mut Account, Refusal> {
        let found = <Key>::try_from(key).ok().and_then(|key| self.users.get_mut(&key));
        found.ok_or_else(|| ErrorCode::NotFound.into())
    }

    fn execute(&mut self, op: execute_request::Op) -> Result<execute_reply::Result, Refusal> {
        match op {
            execute_request::Op::DisableUser(op) => self.user(&op.tenant)?.disabled = op.disabled,
            execute_request::Op::ChangeQuota(op) => {
                let user = self.user(&op.tenant)?;
                let merged =
                    quota::merge(&user.quota.clone().unwrap_or_default(), &op.patch.expect("a patch"));
                user.quota = Some(merged.map_err(|why| Refusal::new(ErrorCode::InvalidQuota, why))?);
            }
            execute_request::Op::DeleteEntry(op) => {
                let operator = Some(Credential { kind: Some(credential::Kind::Operator(true)) });
                assert_eq!(op.credential, operator, "no session is asked for");
                let entry = (op.tenant[..].try_into().expect("a key"), op.path);
                if !self.entries.remove(&entry) {
                    return Err(ErrorCode::NotFound.into());
                }
            }
            execute_request::Op::SettleSignup(op) => {
                let spent = self.user(&op.tenant).is_ok();
                return Ok(execute_reply::Result::SignupSettled(SignupSettled { spent }));
            }
            other => panic!("{other:?}"),
        }
        Ok(execute_reply::Result::Done(Done {}))
    }

    /// The token with which a user signed up; empty: none.
    fn token_of(&self, key: &Key) -> String {
        let kept = self.tokens.values().find(|row| row.reserved_by == key[..] || row.used_by == key[..]);
        kept.map(|row| row.token.clone()).unwrap_or_default()
    }

    fn query(&mut self, shard: u32, op: query_request::Op) -> Result<query_reply::Result, Refusal> {
        let here = |key: &&Key| Slot::of_key(key).shard(SHARDS) == shard;
        match op {
            query_request::Op::GetUser(op) => {
                let key: Key = op.tenant[..].try_into().expect("a key");
                assert!(here(&&key), "another shard's user");
                let signup_token = self.token_of(&key);
                let account = self.user(&key)?.clone();
                Ok(query_reply::Result::Account(Account { signup_token, ..account }))
            }
            query_request::Op::ListUsers(op) => {
                let users = self.users.iter().filter(|(key, _)| here(key));
                let accounts = page(users.map(|(_, account)| account.clone()).collect(), &op);
                Ok(query_reply::Result::AccountPage(AccountPage { accounts }))
            }
            query_request::Op::ShardStats(_) => {
                let users: Vec<&Account> =
                    self.users.iter().filter(|(key, _)| here(key)).map(|(_, account)| account).collect();
                Ok(query_reply::Result::Stats(Stats {
                    users: users.len() as u64,
                    disabled_users: users.iter().filter(|user| user.disabled).count() as u64,
                    used_bytes: users.iter().map(|user| user.used_bytes).sum(),
                }))
            }
            other => panic!("{other:?}"),
        }
    }

    fn change(&mut self, op: meta_execute_request::Op) -> Result<(), Refusal> {
        let refused = |why: &str| Err(Refusal::new(ErrorCode::SettingRefused, why));
        match op {
            meta_execute_request::Op::CreateSignupToken(op) => {
                if self.collisions > 0 || self.tokens.contains_key(&op.token) {
                    self.collisions = self.collisions.saturating_sub(1);
                    return refused("the token exists already");
                }
                self.add_token(&op.token, &[]);
                self.tokens.get_mut(&op.token).expect("added").quota = op.quota;
            }
            meta_execute_request::Op::SettleSignupToken(op) => {
                let row = self.tokens.get_mut(&op.token).expect("a token");
                let user = std::mem::take(&mut row.reserved_by);
                if op.spent {
                    (row.used_by, row.used_at_ms) = (user, 1_792_663_872_999);
                }
            }
            meta_execute_request::Op::ChangeSettings(op) => {
                if let Some(mode) = op.signup_mode {
                    self.settings.signup_mode = mode;
                }
                let before = self.settings.defaults.clone().unwrap_or_default();
                match quota::merge(&before, &op.defaults.unwrap_or_default()) {
                    Ok(defaults) => self.settings.defaults = Some(defaults),
                    Err(why) => return refused(&why),
                }
            }
            meta_execute_request::Op::AppendAudit(op) => match self.audit_refused {
                Some(code) => return Err(code.into()),
                None => self.audit.push(op),
            },
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn question(&mut self, op: meta_query_request::Op) -> meta_query_reply::Result {
        let is_used = |row: &SignupToken| !row.used_by.is_empty();
        match op {
            meta_query_request::Op::ListSignupTokens(op) => {
                let wanted = |row: &&SignupToken| match op.state() {
                    list_signup_tokens::State::All => true,
                    list_signup_tokens::State::Used => is_used(row),
                    list_signup_tokens::State::Unused => !is_used(row),
                };
                let after = self.tokens.values().filter(|row| row.token > op.after).filter(wanted);
                let tokens = after.take(op.limit as usize).cloned().collect();
                meta_query_reply::Result::SignupTokenPage(SignupTokenPage { tokens })
            }
            meta_query_request::Op::GetAccountSettings(_) => {
                let held = self.tokens.values().filter(|row| !row.reserved_by.is_empty());
                let held = held.map(|row| HeldToken {
                    token: row.token.clone(),
                    user: row.reserved_by.clone(),
                    number: row.reservation,
                    age_ms: row.reserved_at_ms,
                });
                meta_query_reply::Result::AccountSettings(AccountSettings {
                    settings: Some(self.settings.clone()),
                    signup_tokens: self.tokens.len() as u64,
                    spent_signup_tokens: self.tokens.values().filter(|row| is_used(row)).count() as u64,
                    held: held.collect(),
                    map_version: 0,
                })
            }
            other => panic!("{other:?}"),
        }
    }

    /// The defaults of every user.
    pub fn set_defaults(&mut self, defaults: UserQuota) {
        self.settings.defaults = Some(defaults);
    }
}

/// What a shard answers of its users: in order after a place.
pub fn page(mut users: Vec<Account>, op: &ListUsers) -> Vec<Account> {
    let place = |account: &Account| match op.sort() {
        list_users::Sort::CreatedAt => (account.created_at_ms, account.user.clone()),
        list_users::Sort::UsedBytes => (account.used_bytes, account.user.clone()),
    };
    users.sort_by_key(place);
    if op.reverse {
        users.reverse();
    }
    let after = op.after.as_ref().map(|after| (after.value, after.user.clone()));
    let is_past =
        |account: &Account| {
            after.as_ref().is_none_or(|after| {
                if op.reverse { place(account) < *after } else { place(account) > *after }
            })
        };
    let wanted = |account: &Account| match op.state() {
        list_users::State::All => true,
        list_users::State::Enabled => !account.disabled,
        list_users::State::Disabled => account.disabled,
    };
    users.into_iter().filter(|user| is_past(user) && wanted(user)).take(op.limit as usize).collect()
}

fn of(refusal: Refusal) -> Failure {
    Failure { detail: refusal.detail, ..failure(refusal.code) }
}
