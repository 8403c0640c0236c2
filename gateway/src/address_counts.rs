//! Counts of something that clients should not do, by address, in windows of a minute. Bounded, whoever comes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::subscriber;

/// Counts begin again after so long.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Addresses told apart in a window: some 300 KiB.
const ADDRESSES_MAX: usize = 4096;

/// What was counted in this window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Of this address. 0 after a count: there are too many addresses to tell this one apart.
    pub of_address: u32,
    /// Of all addresses.
    pub in_all: u32,
}

/// The counts of one window.
#[derive(Default)]
pub struct AddressCounts {
    /// When the window began; `None`: nothing was counted yet.
    began: Option<Instant>,
    in_all: u32,
    by_address: BTreeMap<IpAddr, u32>,
}

impl AddressCounts {
    /// Counts one more from this address.
    pub fn count(&mut self, address: IpAddr) -> Count {
        self.forget_old();
        self.began.get_or_insert_with(Instant::now);
        self.in_all = self.in_all.saturating_add(1);
        let address = subscriber(address);
        if self.by_address.contains_key(&address) || self.by_address.len() < ADDRESSES_MAX {
            let of_address = self.by_address.entry(address).or_default();
            *of_address = of_address.saturating_add(1);
        }
        self.look(address)
    }

    /// What was counted so far.
    pub fn look(&mut self, address: IpAddr) -> Count {
        self.forget_old();
        let of_address = self.by_address.get(&subscriber(address)).copied().unwrap_or_default();
        Count { of_address, in_all: self.in_all }
    }

    /// Time until counts begin again.
    pub fn left(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| WINDOW.saturating_sub(began.elapsed()))
    }

    fn forget_old(&mut self) {
        if self.began.is_some_and(|began| began.elapsed() >= WINDOW) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_ends_and_addresses_are_bounded() {
        let mut counts = AddressCounts::default();
        assert_eq!(counts.look(address(1)), Count::default());
        assert_eq!(counts.count(address(1)), Count { of_address: 1, in_all: 1 });
        tokio::time::advance(WINDOW / 2).await;
        assert_eq!(counts.count(address(1)), Count { of_address: 2, in_all: 2 });
        assert_eq!(counts.left(), WINDOW / 2);
        for number in 0..=u32::try_from(ADDRESSES_MAX).expect("few") {
            counts.count(address(number + 2));
        }
        assert_eq!(counts.by_address.len(), ADDRESSES_MAX);
        assert_eq!(counts.count(address(1)).of_address, 3, "who was there stays");
        assert_eq!(counts.count(address(u32::MAX)).of_address, 0);
        tokio::time::advance(WINDOW / 2).await;
        assert_eq!(counts.count(address(u32::MAX)), Count { of_address: 1, in_all: 1 });
    }
}
