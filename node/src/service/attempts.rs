//! Admission of what anybody may cause to be written: signups, sign-ins, exchanges, logouts by proof.
//!
//! They consume a token or nonce in the log even when they are refused, so they are bounded apart from
//! everything else: by client address and by shard (docs/rules/protocol.md#refusals-that-are-log-entries).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::lock::lock;

use crate::AttemptLimits;

/// A shard's guard tables hold 421 s of 311 attempts a second; this stays below it.
const SHARD_PER_SECOND: u32 = 300;
/// A shard that was quiet takes in a crowd.
const SHARD_BURST: u32 = 1_000;
/// Addresses remembered; beyond it strangers share one bucket.
const ADDRESSES_MAX: usize = 10_000;
/// The bucket of requests whose address is unknown, and of the overflow.
const SHARED: [u8; 8] = [0xFF; 8];

/// One attempt costs 1 000; integers keep the arithmetic exact.
const COST: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u64,
    at_us: u64,
}

impl Bucket {
    fn full(burst: u32, now_us: u64) -> Self {
        Self { level: u64::from(burst) * COST, at_us: now_us }
    }

    fn refill(&mut self, per_second: u32, burst: u32, now_us: u64) {
        let elapsed = now_us.saturating_sub(self.at_us);
        let gained = elapsed.saturating_mul(u64::from(per_second)) * COST / 1_000_000;
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(u64::from(burst) * COST);
            self.at_us = now_us;
        }
    }

    fn take(&mut self) -> bool {
        let taken = self.level >= COST;
        if taken {
            self.level -= COST;
        }
        taken
    }
}

#[derive(Debug, Default)]
struct Buckets {
    addresses: BTreeMap<[u8; 8], Bucket>,
    shards: BTreeMap<u32, Bucket>,
}

/// Token buckets of addresses and shards; their number is bounded.
#[derive(Debug)]
pub struct Attempts {
    limits: AttemptLimits,
    buckets: Mutex<Buckets>,
}

impl Attempts {
    /// `limits`: of one address.
    pub fn new(limits: AttemptLimits) -> Self {
        Self { limits, buckets: Mutex::default() }
    }

    /// Takes one attempt from the address's and the shard's bucket, or refuses.
    pub fn admit(&self, client_addr: &str, shard: u32, now_us: u64) -> Result<(), ErrorCode> {
        let mut buckets = lock(&self.buckets);
        // The address pays first, so that one client cannot spend the shard's share by being refused.
        buckets.take_of_address(client_addr, self.limits, now_us)?;
        let shard = buckets.shards.entry(shard).or_insert_with(|| Bucket::full(SHARD_BURST, now_us));
        shard.refill(SHARD_PER_SECOND, SHARD_BURST, now_us);
        if shard.take() { Ok(()) } else { Err(ErrorCode::TooManyAttempts) }
    }

    /// Takes one attempt from the address's bucket alone, or refuses: for what is asked before the shard is.
    pub fn admit_address(&self, client_addr: &str, now_us: u64) -> Result<(), ErrorCode> {
        lock(&self.buckets).take_of_address(client_addr, self.limits, now_us)
    }
}

impl Buckets {
    fn take_of_address(
        &mut self,
        client_addr: &str,
        limits: AttemptLimits,
        now_us: u64,
    ) -> Result<(), ErrorCode> {
        let AttemptLimits { attempts_per_second: per_second, attempts_burst: burst } = limits;
        let key = self.key(client_addr, limits, now_us);
        let address = self.addresses.entry(key).or_insert_with(|| Bucket::full(burst, now_us));
        address.refill(per_second, burst, now_us);
        if address.take() { Ok(()) } else { Err(ErrorCode::TooManyAttempts) }
    }

    /// The key of an address, making room for a new one by forgetting those that would be full again.
    fn key(&mut self, client_addr: &str, limits: AttemptLimits, now_us: u64) -> [u8; 8] {
        let Ok(address) = client_addr.parse::<IpAddr>() else { return SHARED };
        let key = network(address);
        if self.addresses.contains_key(&key) || self.addresses.len() < ADDRESSES_MAX {
            return key;
        }
        let refilled_us =
            u64::from(limits.attempts_burst) * 1_000_000 / u64::from(limits.attempts_per_second);
        self.addresses.retain(|_, bucket| now_us.saturating_sub(bucket.at_us) < refilled_us);
        if self.addresses.len() < ADDRESSES_MAX { key } else { SHARED }
    }
}

/// An IPv4 address, or an IPv6 /64: what one subscriber holds.
fn network(address: IpAddr) -> [u8; 8] {
    let mut key = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(address) => key[4..].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => key.copy_from_slice(&address.octets()[..8]),
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AttemptLimits = AttemptLimits { attempts_per_second: 10, attempts_burst: 100 };

    #[test]
    fn an_address_is_bounded_and_recovers() {
        let attempts = Attempts::new(LIMITS);
        let admitted =
            (0..2 * LIMITS.attempts_burst).filter(|_| attempts.admit("192.0.2.1", 0, 0).is_ok()).count();
        assert_eq!(admitted, LIMITS.attempts_burst as usize);
        assert_eq!(attempts.admit("192.0.2.1", 5, 0), Err(ErrorCode::TooManyAttempts));
        attempts.admit("192.0.2.2", 5, 0).expect("another address");
        let second =
            (0..LIMITS.attempts_burst).filter(|_| attempts.admit("192.0.2.1", 5, 1_000_000).is_ok()).count();
        assert_eq!(second, LIMITS.attempts_per_second as usize);
    }

    #[test]
    fn a_shard_is_bounded_whatever_the_addresses() {
        let attempts = Attempts::new(LIMITS);
        let admitted = (0..2 * SHARD_BURST)
            .filter(|n| attempts.admit(&format!("10.0.{}.{}", n / 256, n % 256), 3, 0).is_ok())
            .count();
        assert_eq!(admitted, SHARD_BURST as usize);
        attempts.admit("10.9.9.9", 4, 0).expect("another shard");
    }

    #[test]
    fn memory_is_bounded_and_strangers_share() {
        let attempts = Attempts::new(LIMITS);
        for n in 0..2 * ADDRESSES_MAX as u32 {
            let address = std::net::Ipv4Addr::from(n).to_string();
            let _ = attempts.admit(&address, n, 0);
        }
        let held = attempts.buckets.lock().expect("not poisoned").addresses.len();
        assert!(held <= ADDRESSES_MAX + 1, "{held}");
        assert_eq!(network("::ffff:10.0.0.1".parse().expect("ip")), network("10.0.0.1".parse().expect("ip")));
        assert_eq!(network("2001:db8::1".parse().expect("ip")), network("2001:db8::2".parse().expect("ip")));
    }
}
