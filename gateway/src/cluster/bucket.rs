//! The name and the rate of a bucket of cells, which all gateways take from.

use std::net::IpAddr;

use bytes::Bytes;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::shard::BandwidthRate;

use super::subscriber;

/// Whose bucket it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taker {
    /// One client address, or the part of an IPv6 network that one subscriber has.
    Address(IpAddr),
    User(PublicKey),
}

/// A bucket of the cluster.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its shard counts.
    pub(super) slot: Slot,
    pub(super) key: Bytes,
    pub(super) rate: BandwidthRate,
}

impl Bucket {
    /// `purpose` tells a taker's buckets apart, and is at most 24 bytes. All gateways must name the same.
    pub fn new(purpose: &[u8], taker: &Taker, rate: BandwidthRate) -> Self {
        let (slot, name) = match taker {
            Taker::User(user) => (Slot::of_user(user), user.as_bytes().to_vec()),
            Taker::Address(address) => {
                let name = match subscriber(*address) {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                (Slot::of_key(blake3::hash(&name).as_bytes()), name)
            }
        };
        Self { slot, key: [purpose, name.as_slice()].concat().into(), rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    #[test]
    fn takers_and_purposes_have_buckets_of_their_own_that_every_gateway_names_alike() {
        let rate = BandwidthRate { kib_per_period: 1, period_ms: 1, burst_kib: 1 };
        let bucket = |purpose: &[u8], taker: &Taker| {
            let Bucket { slot, key, .. } = Bucket::new(purpose, taker, rate);
            (slot, key)
        };
        let address = |text: &str| Taker::Address(text.parse().expect("an address"));
        let user = Keypair::random().public_key();
        let own = bucket(b"r", &Taker::User(user.clone()));
        assert_eq!(own, bucket(b"r", &Taker::User(user.clone())));
        assert_eq!(own.0, Slot::of_user(&user), "in the user's own shard");
        assert_ne!(own.1, bucket(b"w", &Taker::User(user)).1);
        let mapped = bucket(b"r", &address("::ffff:192.0.2.1"));
        assert_eq!(mapped, bucket(b"r", &address("192.0.2.1")));
        assert_ne!(mapped.1, bucket(b"r", &address("192.0.2.2")).1);
        assert_eq!(bucket(b"r", &address("2001:db8::1")), bucket(b"r", &address("2001:db8::2")));
    }
}
