//! How much each address may ask for. An address that rests has a burst's worth again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rowhouse_proto::lock::lock;

/// Seconds' worth that may be asked for at once.
const BURST_S: u32 = 10;
/// Addresses remembered; those with most left are forgotten first, which costs nothing.
const ADDRESSES_MAX: usize = 65_536;

/// One limit, counted for each address by itself.
pub struct PerAddress {
    /// Time that one request takes up; zero: no limit.
    each: Duration,
    free_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl PerAddress {
    /// 0: no limit.
    pub fn new(per_second: u32) -> Self {
        let each = if per_second == 0 { Duration::ZERO } else { Duration::from_secs(1) / per_second };
        Self { each, free_at: Mutex::default() }
    }

    /// Takes one; else after how many seconds there is one.
    pub fn take(&self, address: IpAddr) -> Result<(), u64> {
        self.take_at(address, Instant::now())
    }

    fn take_at(&self, address: IpAddr, now: Instant) -> Result<(), u64> {
        if self.each.is_zero() {
            return Ok(());
        }
        let mut free_at = lock(&self.free_at);
        if free_at.len() >= ADDRESSES_MAX {
            free_at.retain(|_, at| *at > now);
            if free_at.len() >= ADDRESSES_MAX {
                free_at.clear();
            }
        }
        let at = free_at.entry(whole(address)).or_insert(now);
        let next = (*at).max(now) + self.each;
        let ahead = next.saturating_duration_since(now);
        let burst = Duration::from_secs(1) * BURST_S;
        if ahead > burst {
            return Err((ahead - burst).as_secs_f64().ceil().max(1.0) as u64);
        }
        *at = next;
        Ok(())
    }
}

/// Who has one address of IPv6 has all of its /64.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_burst_and_then_its_rate() {
        let (limit, now) = (PerAddress::new(2), Instant::now());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let taken = |address, now| (0..100).filter(|_| limit.take_at(address, now).is_ok()).count();
        assert_eq!(taken(one, now), 20);
        assert_eq!(limit.take_at(one, now), Err(1));
        assert_eq!(taken(other, now), 20);
        assert_eq!(taken(one, now + Duration::from_secs(3)), 6);
        assert_eq!((0..100).filter(|_| PerAddress::new(0).take(one).is_ok()).count(), 100);
    }

    #[test]
    fn a_network_of_ipv6_counts_once() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(whole(address("2001:db8::1")), whole(address("2001:db8::ffff:2")));
        assert_ne!(whole(address("2001:db8::1")), whole(address("2001:db8:0:1::1")));
        assert_eq!(whole(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
