//! One look at one user's packet.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use pkarr::{PublicKey, SignedPacket};
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{NotePacket, command::Body};
use tokio::time::timeout;
use tracing::error;

use super::counts::Outcome;
use super::decide::{Decision, decide};
use super::keeper::Keeper;
use crate::network::Look;
use crate::{Group, planted};

/// A look and a publication have their own deadlines, 12 s each, and a proposal has 5 s.
const CHECK_MAX: Duration = Duration::from_secs(35);

/// A look always ends: a pass waits for all of its own.
async fn bounded(check: impl Future<Output = Outcome>) -> Outcome {
    match AssertUnwindSafe(timeout(CHECK_MAX, check)).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Outcome::Slow,
        Err(_) => {
            error!("a look at a user's packet panicked; the user is looked at again later");
            Outcome::Slow
        }
    }
}

impl Keeper {
    /// Looks for the user's packet on the network, notes it in the shard if it is news, and publishes the newest one if
    /// it points here.
    pub async fn look_after(&self, group: &Group, user: &UserKey) -> Outcome {
        bounded(self.check(group, user)).await
    }

    async fn check(&self, group: &Group, user: &UserKey) -> Outcome {
        let Ok(key) = PublicKey::try_from(user) else { return Outcome::Skipped };
        let look =
            if planted::publish_without_look_up() { Look::nothing() } else { self.network.look(&key).await };
        if look.is_unheard() {
            return Outcome::Unreachable;
        }
        // Read behind the look: whatever was noted before it began is known here.
        let Some(stored) = self.stored(group, user).await else { return Outcome::Skipped };
        let (noted, decision) = decide(&look, &stored, &self.local.identity.homeserver());
        if let Some(packet) = noted.filter(|_| self.may_propose()) {
            let packet = packet.as_bytes().clone();
            let note = NotePacket { user: user.to_vec().into(), packet };
            if !self.propose(group, Body::NotePacket(note)).await {
                return Outcome::Slow;
            }
        }
        match decision {
            Decision::Publish { packet, lost } => self.publish(group, user, &packet, &look, lost).await,
            Decision::Moved => Outcome::Moved,
            Decision::Missing => Outcome::Missing,
            Decision::Unreadable => Outcome::Conflict,
        }
    }

    async fn publish(
        &self,
        group: &Group,
        user: &UserKey,
        packet: &SignedPacket,
        look: &Look,
        lost: bool,
    ) -> Outcome {
        // Another look may have seen the user leave since.
        let Some(stored) = self.stored(group, user).await else { return Outcome::Skipped };
        if stored.newest_us > packet.timestamp().as_u64() {
            return Outcome::Skipped;
        }
        let published = self.network.publish(packet, look).await;
        match (published.took, published.newer) {
            (0, 0) => Outcome::Slow,
            (_, 0) => Outcome::Published { lost },
            _ => Outcome::Conflict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_or_panics_ends_and_is_done_again_later() {
        assert_eq!(bounded(std::future::pending()).await, Outcome::Slow);
        assert_eq!(bounded(async { panic!("as told") }).await, Outcome::Slow);
        assert_eq!(bounded(async { Outcome::Moved }).await, Outcome::Moved);
    }
}
