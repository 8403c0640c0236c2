//! The answer to a client whose change succeeded.

use bytes::Bytes;
use rowhouse_proto::wire::command::{Outcome, outcome::Value};
use rowhouse_proto::wire::shard::execute_reply::Result as Reply;
use rowhouse_proto::wire::shard::{
    CookieSession, Done, GrantSession, LockRefreshed, SignupSettled, UploadBegun,
};

/// The answer as far as it is known before the log decides. Times and ids come from the outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing to tell.
    Done,
    /// The session, without the time it was made.
    CookieSession(CookieSession),
    /// The session, without its times and the grant's id.
    GrantSession(GrantSession),
    /// The upload's time until it is renewed or put.
    UploadBegun { lifetime_ms: u64 },
    /// What became of a reservation; the outcome tells.
    SignupSettled,
    /// The lock's token, one of these; the outcome tells which.
    LockRefreshed { presented: Vec<Bytes> },
}

impl Answer {
    /// The whole answer, with the outcome's part. The outcome is no refusal.
    pub fn complete(self, outcome: Outcome) -> Reply {
        match (self, outcome.value) {
            (Self::CookieSession(session), Some(Value::Opened(opened))) => {
                Reply::CookieSession(CookieSession { created_at_us: opened.created_at_us, ..session })
            }
            (Self::GrantSession(session), Some(Value::Minted(minted))) => Reply::GrantSession(GrantSession {
                grant_id: minted.grant_id,
                token_expires_at: minted.token_expires_at,
                grant_expires_at: minted.grant_expires_at,
                created_at: minted.created_at,
                ..session
            }),
            (Self::UploadBegun { lifetime_ms }, _) => Reply::UploadBegun(UploadBegun { lifetime_ms }),
            (Self::SignupSettled, Some(Value::Settled(settled))) => {
                Reply::SignupSettled(SignupSettled { spent: settled.spent })
            }
            (Self::LockRefreshed { presented }, Some(Value::Refreshed(refreshed))) => {
                let token = presented.get(refreshed.token as usize).cloned().unwrap_or_default();
                Reply::LockRefreshed(LockRefreshed { token })
            }
            _ => Reply::Done(Done {}),
        }
    }
}
