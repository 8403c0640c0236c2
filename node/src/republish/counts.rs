//! What became of the looks at users' packets, counted since the process started.

use std::sync::Mutex;
use std::time::Duration;

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::PacketStatus;
use tokio::time::Instant;

use super::ages::Ages;

/// The rate is that of the last minute, in parts of this length.
const PART: Duration = Duration::from_secs(10);
const PARTS: usize = 6;

/// What became of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `lost`: the network had none.
    Published { lost: bool },
    /// Somebody else looks after it by now.
    Skipped,
    /// Nobody has a packet.
    Missing,
    /// The network has something newer that is no packet, or took none.
    Conflict,
    /// The newest packet does not point here.
    Moved,
    /// Nobody on the network answered.
    Unreachable,
    /// It was given up in the middle.
    Slow,
}

/// Shared by the republisher and those who tell of it.
#[derive(Default)]
pub struct Counts(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    told: PacketStatus,
    /// Looks in the last parts of a minute, the newest last, and when it began.
    parts: [u64; PARTS],
    began: Option<Instant>,
    ages: Ages,
}

impl Counts {
    /// A look ended.
    pub fn note(&self, user: &UserKey, outcome: Outcome, now_us: u64) {
        let mut inner = lock(&self.0);
        inner.turn();
        if let Some(newest) = inner.parts.last_mut() {
            *newest += 1;
        }
        let told = &mut inner.told;
        told.checked += 1;
        match outcome {
            Outcome::Published { lost } => {
                told.published += 1;
                told.restored += u64::from(lost);
                inner.ages.note(user, now_us);
            }
            Outcome::Skipped => told.skipped += 1,
            Outcome::Missing => told.missing += 1,
            Outcome::Conflict => told.conflicts += 1,
            Outcome::Moved => {
                told.moved += 1;
                inner.ages.forget(user);
            }
            Outcome::Unreachable => told.unreachable += 1,
            Outcome::Slow => told.slow += 1,
        }
    }

    /// All users of a shard were looked at.
    pub fn pass_ended(&self) {
        lock(&self.0).told.passes += 1;
    }

    /// Of the shards led from here.
    pub fn note_users(&self, users: u64, kept: u64, left: u64) {
        let told = &mut lock(&self.0).told;
        (told.users, told.kept, told.left) = (users, kept, left);
    }

    /// Forgets the ages of users of shards that are not led from here any more.
    pub fn retain(&self, stay: impl FnMut(&UserKey) -> bool) {
        lock(&self.0).ages.retain(stay);
    }

    /// For operators.
    pub fn told(&self, now_us: u64) -> PacketStatus {
        let mut inner = lock(&self.0);
        inner.turn();
        let ages = inner.ages.percentiles(now_us);
        let seconds = PART.as_secs() * PARTS as u64;
        PacketStatus {
            millikeys_per_second: inner.parts.iter().sum::<u64>() * 1000 / seconds,
            age_p50_s: ages.p50_s,
            age_p95_s: ages.p95_s,
            age_max_s: ages.max_s,
            ..inner.told.clone()
        }
    }
}

impl Inner {
    fn turn(&mut self) {
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        let parts = now.saturating_duration_since(began).as_secs() / PART.as_secs();
        let passed = usize::try_from(parts).unwrap_or(PARTS);
        if passed == 0 {
            return;
        }
        let gone = passed.min(PARTS);
        self.parts.rotate_left(gone);
        self.parts[PARTS - gone..].fill(0);
        self.began = Some(began + PART * u32::try_from(parts).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn outcomes_and_the_rate_of_the_last_minute_are_told() {
        let counts = Counts::default();
        for _ in 0..60 {
            counts.note(&[1; 32], Outcome::Published { lost: true }, 1_000_000);
        }
        counts.note(&[2; 32], Outcome::Moved, 1_000_000);
        let told = counts.told(3_000_000);
        assert_eq!((told.checked, told.published, told.restored, told.moved), (61, 60, 60, 1));
        assert_eq!((told.millikeys_per_second, told.age_max_s), (1016, 2));
        tokio::time::advance(PART * 3).await;
        counts.note(&[2; 32], Outcome::Missing, 1_000_000);
        assert_eq!(counts.told(0).millikeys_per_second, 1033);
        tokio::time::advance(PART * 4).await;
        assert_eq!(counts.told(0).millikeys_per_second, 16);
        tokio::time::advance(PART * 600).await;
        assert_eq!(counts.told(0).millikeys_per_second, 0);
    }
}
