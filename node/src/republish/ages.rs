//! When packets were last published, for a sample of the users: keys are evenly spread, so that a part of their space is
//! as good as all of it.

use std::collections::BTreeMap;

use rowhouse_proto::domain::user::UserKey;

/// More users, and a smaller part of the key space is looked at.
const SAMPLE_MAX: usize = 8_192;

/// Last publications of the users in the sample.
#[derive(Default)]
pub struct Ages {
    published_us: BTreeMap<UserKey, u64>,
    /// Only keys that begin with so many zero bits are in the sample.
    zero_bits: u32,
}

/// Of the sample, in seconds; `u64::MAX` without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    pub p50_s: u64,
    pub p95_s: u64,
    pub max_s: u64,
}

impl Ages {
    /// The user's packet was published.
    pub fn note(&mut self, user: &UserKey, at_us: u64) {
        if !self.is_sampled(user) {
            return;
        }
        self.published_us.insert(*user, at_us);
        while self.published_us.len() > SAMPLE_MAX {
            self.zero_bits += 1;
            let bits = self.zero_bits;
            self.published_us.retain(|user, _| begins_with_zeros(user, bits));
        }
    }

    /// The user's packet is none of this node's business any more.
    pub fn forget(&mut self, user: &UserKey) {
        self.published_us.remove(user);
    }

    /// Keeps those who `stay`.
    pub fn retain(&mut self, mut stay: impl FnMut(&UserKey) -> bool) {
        self.published_us.retain(|user, _| stay(user));
    }

    pub fn percentiles(&self, now_us: u64) -> Percentiles {
        let mut ages: Vec<u64> =
            self.published_us.values().map(|at| now_us.saturating_sub(*at) / 1_000_000).collect();
        ages.sort_unstable();
        let at = |percent: usize| {
            let place = (ages.len() * percent).div_ceil(100).saturating_sub(1);
            ages.get(place).copied().unwrap_or(u64::MAX)
        };
        Percentiles { p50_s: at(50), p95_s: at(95), max_s: at(100) }
    }

    fn is_sampled(&self, user: &UserKey) -> bool {
        begins_with_zeros(user, self.zero_bits)
    }
}

fn begins_with_zeros(user: &UserKey, bits: u32) -> bool {
    let [a, b, c, d, ..] = *user;
    u32::from_be_bytes([a, b, c, d]).leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_whom_was_published() {
        let mut ages = Ages::default();
        let none = Percentiles { p50_s: u64::MAX, p95_s: u64::MAX, max_s: u64::MAX };
        assert_eq!(ages.percentiles(0), none);
        for n in 0..100u8 {
            ages.note(&[n; 32], (1_000 - u64::from(n)) * 1_000_000);
        }
        let told = ages.percentiles(1_000_000_000);
        assert_eq!(told, Percentiles { p50_s: 49, p95_s: 94, max_s: 99 });
        ages.forget(&[99; 32]);
        assert_eq!(ages.percentiles(1_000_000_000).max_s, 98);
    }

    #[test]
    fn the_sample_is_bounded_and_stays_even() {
        let mut ages = Ages::default();
        for n in 0..100_000u64 {
            let mut user = *blake3::hash(&n.to_be_bytes()).as_bytes();
            user[31] = 0;
            ages.note(&user, n * 1_000_000);
        }
        assert!(ages.published_us.len() <= SAMPLE_MAX && ages.published_us.len() > SAMPLE_MAX / 4);
        let told = ages.percentiles(100_000_000_000);
        assert!((45_000..55_000).contains(&told.p50_s), "{told:?}");
    }
}
