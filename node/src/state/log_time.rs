//! The two times that a shard keeps from its commands. They are pure functions of the log, so that all replicas agree.
//! Neither runs away nor freezes, whatever the clocks of leaders do (docs/decisions/009).
//!
//! `now_ms` is judged as the present: windows, expiries, Last-Modified. `age_ms` only rises, with the time that
//! passed, and tables forget by it.

use rowhouse_proto::wire::state::Shard;

/// A command this far behind the shard's present comes from a clock that was corrected. One less far behind comes from
/// a leader whose clock differs a little.
pub const CORRECTION_MS: u64 = 60_000;
/// A shard ages by as much as its present moves on, up to this.
pub const AGE_GAP_MS_MAX: u64 = 30_000;
/// A larger step is a shard without writes, or a clock that leaps. They cannot be told apart, and count as this much.
/// So commands of two times that alternate under load forget nothing early, and a shard with few writes forgets in the
/// end.
const AGE_LEAP_MS: u64 = 100;
/// No request issued within so long before the shard's present counts as forgotten: twice as long as gateways retry.
const NEVER_FORGOTTEN_MS: u64 = 60_000;

/// The present, of a shard whose present was `before_ms`, when a leader's clock says `told_ms`.
pub fn shard_now(before_ms: u64, told_ms: u64) -> u64 {
    if told_ms.saturating_add(CORRECTION_MS) < before_ms { told_ms } else { before_ms.max(told_ms) }
}

/// Moves both times on by one command.
pub(crate) fn advance(shard: &mut Shard, told_ms: u64) {
    let before_ms = shard.now_ms;
    shard.now_ms = shard_now(before_ms, told_ms);
    // By the present and not by the command before: commands that overtake each other would age twice.
    let passed_ms = match shard.now_ms.saturating_sub(before_ms) {
        gap_ms @ 0..=AGE_GAP_MS_MAX => gap_ms,
        _ => AGE_LEAP_MS,
    };
    shard.age_ms = shard.age_ms.saturating_add(passed_ms);
    let forgettable_us = shard.now_ms.saturating_sub(NEVER_FORGOTTEN_MS).saturating_mul(1000);
    shard.requests_forgotten_us = shard.requests_forgotten_us.min(forgettable_us);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn told(shard: &mut Shard, now_ms: u64) -> (u64, u64) {
        advance(shard, now_ms);
        (shard.now_ms, shard.age_ms)
    }

    #[test]
    fn the_present_follows_corrections_and_ignores_small_differences() {
        let mut shard = Shard::default();
        let start = 500 * HOUR;
        assert_eq!(told(&mut shard, start), (start, 100), "the first command is a leap");
        assert_eq!(told(&mut shard, start + 700), (start + 700, 800));
        assert_eq!(told(&mut shard, start - 59_300), (start + 700, 800), "a clock a minute behind");
        assert_eq!(told(&mut shard, start + 30_700), (start + 30_700, 30_800));
        assert_eq!(told(&mut shard, start + 8 * HOUR), (start + 8 * HOUR, 30_900), "a leap counts little");
        assert_eq!(told(&mut shard, start + 30_900), (start + 30_900, 30_900), "corrected");
        assert_eq!(told(&mut shard, start + 31_900), (start + 31_900, 31_900));
        assert_eq!(told(&mut shard, u64::MAX), (u64::MAX, 32_000));
        assert_eq!(told(&mut shard, 0), (0, 32_000));
    }

    #[test]
    fn commands_that_overtake_each_other_age_nothing_twice() {
        let mut shard = Shard::default();
        told(&mut shard, HOUR);
        for ms in 0..1000 {
            told(&mut shard, HOUR + ms);
            told(&mut shard, HOUR + ms - 5);
        }
        assert_eq!(shard.age_ms, 100 + 999);
    }

    #[test]
    fn commands_of_two_times_that_alternate_age_little() {
        let mut shard = Shard::default();
        for ms in 0..200 {
            told(&mut shard, 100 * HOUR + ms);
            told(&mut shard, 108 * HOUR + ms);
        }
        assert!(shard.age_ms <= 400 * AGE_LEAP_MS, "{}", shard.age_ms);
    }

    #[test]
    fn a_correction_never_leaves_new_requests_among_the_forgotten() {
        let mut shard = Shard { requests_forgotten_us: 90 * HOUR * 1000, ..Shard::default() };
        told(&mut shard, 91 * HOUR);
        assert_eq!(shard.requests_forgotten_us, 90 * HOUR * 1000);
        told(&mut shard, 80 * HOUR);
        assert_eq!(shard.requests_forgotten_us, (80 * HOUR - NEVER_FORGOTTEN_MS) * 1000);
    }
}
