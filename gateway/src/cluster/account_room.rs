//! Room for the bodies of account routes. Anybody may send half of one before it is known who asks. So these bodies
//! have a pool of their own, and no address has all of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use rowhouse_proto::ErrorCode;
use rowhouse_proto::lock::lock;

/// The largest body of a signup, sign-in, exchange or sign-out. A grant and its proof, with every capability
/// anybody asks for, are a few KiB.
pub const ACCOUNT_BODY_BYTES_MAX: usize = 16 * 1024;
/// 64 of the largest: many people may share an address.
const ADDRESS_BYTES_MAX: usize = 64 * ACCOUNT_BODY_BYTES_MAX;
/// All addresses together: the share of 16.
const BYTES_MAX: usize = 16 * ADDRESS_BYTES_MAX;
/// The part of an IPv6 address that one subscriber holds all of.
const SUBSCRIBER_BITS: u32 = 64;

/// 16 MiB for the bodies of account routes, of which one address may hold 1 MiB.
#[derive(Default)]
pub struct AccountRoom(Mutex<Held>);

#[derive(Default)]
struct Held {
    total: usize,
    /// Bytes by address; only addresses that hold any.
    addresses: BTreeMap<IpAddr, usize>,
}

impl AccountRoom {
    /// An empty lease, to grow as bytes arrive.
    pub fn lease(self: Arc<Self>, address: IpAddr) -> AccountLease {
        AccountLease { room: self, address: subscriber(address), held: 0 }
    }

    fn change(&self, change: impl FnOnce(&mut Held) -> Result<(), ErrorCode>) -> Result<(), ErrorCode> {
        change(&mut lock(&self.0))
    }
}

impl Held {
    fn take(&mut self, address: IpAddr, bytes: usize) -> Result<(), ErrorCode> {
        let of_address = self.addresses.get(&address).copied().unwrap_or(0);
        if self.total + bytes > BYTES_MAX || of_address + bytes > ADDRESS_BYTES_MAX {
            return Err(ErrorCode::Overloaded);
        }
        self.total += bytes;
        self.addresses.insert(address, of_address + bytes);
        Ok(())
    }

    fn give_back(&mut self, address: IpAddr, bytes: usize) {
        self.total -= bytes;
        let left = self.addresses.remove(&address).unwrap_or(0) - bytes;
        if left > 0 {
            self.addresses.insert(address, left);
        }
    }
}

/// Bytes of one body, given back on drop.
pub struct AccountLease {
    room: Arc<AccountRoom>,
    address: IpAddr,
    held: usize,
}

impl AccountLease {
    /// Takes room for more bytes, or refuses them as `Overloaded` and holds what it held.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        self.room.change(|held| held.take(self.address, bytes))?;
        self.held += bytes;
        Ok(())
    }
}

impl Drop for AccountLease {
    fn drop(&mut self) {
        // Giving back is never refused.
        let _always = self.room.change(|held| {
            held.give_back(self.address, self.held);
            Ok(())
        });
    }
}

/// An address for counting: what one subscriber holds all of counts as one.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> SUBSCRIBER_BITS)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn no_address_has_all_of_it_and_what_is_given_back_is_there_again() {
        let room = Arc::new(AccountRoom::default());
        let lease = |text: &str| Arc::clone(&room).lease(address(text));
        let mut first = lease("192.0.2.1");
        first.grow(ADDRESS_BYTES_MAX).expect("its share");
        assert_eq!(lease("192.0.2.1").grow(1), Err(ErrorCode::Overloaded));
        assert_eq!(lease("::ffff:192.0.2.1").grow(1), Err(ErrorCode::Overloaded), "the same address");
        let mut held = Vec::new();
        for network in 1..BYTES_MAX / ADDRESS_BYTES_MAX {
            held.push(lease(&format!("2001:db8:0:{network}::1")));
            held[network - 1].grow(ADDRESS_BYTES_MAX).expect("another address");
        }
        assert_eq!(lease("192.0.2.2").grow(1), Err(ErrorCode::Overloaded), "all of it is held");
        drop(first);
        assert_eq!(lease("2001:db8:0:1::2").grow(1), Err(ErrorCode::Overloaded), "the same subscriber");
        assert_eq!(lease("192.0.2.1").grow(1), Ok(()));
        drop(held);
        let left = room.0.lock().expect("not poisoned");
        assert_eq!((left.total, left.addresses.len()), (0, 0));
    }
}
