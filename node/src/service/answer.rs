//! What a client is told when its change succeeded.

use rowhouse_proto::wire::command::{Outcome, outcome::Value};
use rowhouse_proto::wire::shard::execute_reply::Result as Reply;
use rowhouse_proto::wire::shard::{CookieSession, Done, GrantSession, UploadBegun};

/// Known before the outcome, but for what only the log decides: times and ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    CookieSession(CookieSession),
    GrantSession(GrantSession),
    UploadBegun { lifetime_ms: u64 },
}

impl Answer {
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
            _ => Reply::Done(Done {}),
        }
    }
}
