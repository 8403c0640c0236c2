//! Sign-out of a cookie session; of an unknown one too (docs/rules/protocol.md#cookie-sessions).

use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{CloseCookieSession, Outcome};

use super::stop::Stop;
use super::turn::Turn;
use super::{cookies, outcome};

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &CloseCookieSession) -> Result<Outcome, Stop> {
    let user = user::parse(&command.user)?;
    cookies::remove(turn, &user, &command.secret_hash)?;
    Ok(outcome::done())
}
