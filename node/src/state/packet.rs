//! Signed packets as bytes: a key's, verified, and where a user's one points.
//!
//! Apply relies on it: what is accepted here must not change with a library's version.

use bytes::Bytes;
use pkarr::dns::rdata::RData;
use pkarr::{PublicKey, SignedPacket};
use rowhouse_proto::domain::user::UserKey;

/// Longest packet in bytes: the head and at most 1 000 bytes of DNS packet.
pub const PACKET_BYTES_MAX: usize = 1104;
/// Key 32, signature 64, timestamp 8 (docs/rules/network.md#what-the-packet-says).
pub const PACKET_HEAD_BYTES: usize = 104;
/// The name of the record by which clients find a user's homeserver.
const POINTER: &str = "_pubky";
/// A public key in z-base-32.
const KEY_LETTERS: usize = 52;

/// The packet in these canonical bytes, if `key` signed it.
pub fn parse(key: &[u8], canonical: &[u8]) -> Option<SignedPacket> {
    if canonical.len() > PACKET_BYTES_MAX {
        return None;
    }
    let (signer, payload) = canonical.split_at_checked(32)?;
    if signer != key {
        return None;
    }
    let key = PublicKey::try_from(key).ok()?;
    SignedPacket::from_relay_payload(&key, &Bytes::copy_from_slice(payload)).ok()
}

/// The key of the homeserver that a user's packet names, as clients read it; `None` if it names none.
pub fn homeserver_of(packet: &SignedPacket) -> Option<UserKey> {
    let target = packet.resource_records(POINTER).find_map(|record| match &record.rdata {
        RData::SVCB(svcb) => Some(svcb.target.to_string()),
        RData::HTTPS(https) => Some(https.0.target.to_string()),
        _ => None,
    })?;
    if target.len() != KEY_LETTERS {
        return None;
    }
    PublicKey::try_from(target.as_str()).ok().map(|key| key.to_bytes())
}

#[cfg(test)]
mod tests {
    use pkarr::dns::Name;
    use pkarr::dns::rdata::SVCB;
    use pkarr::{Keypair, Timestamp};

    use super::*;

    fn pointing(keypair: &Keypair, target: &str) -> SignedPacket {
        let record = SVCB::new(0, Name::new(target).expect("a name"));
        SignedPacket::builder()
            .timestamp(Timestamp::from(7))
            .https(Name::new(POINTER).expect("a name"), record, 3600)
            .sign(keypair)
            .expect("signable")
    }

    #[test]
    fn only_what_the_key_signed_is_a_packet() {
        let (user, other) = (Keypair::random(), Keypair::random());
        let packet = pointing(&user, &other.public_key().to_z32());
        let bytes = packet.as_bytes();
        assert_eq!(parse(user.public_key().as_bytes(), bytes).expect("its own").as_bytes(), bytes);
        assert!(parse(other.public_key().as_bytes(), bytes).is_none());
        for at in [40, 99, bytes.len() - 1] {
            let mut forged = bytes.to_vec();
            forged[at] ^= 1;
            assert!(parse(user.public_key().as_bytes(), &forged).is_none(), "{at}");
        }
        assert!(parse(user.public_key().as_bytes(), &bytes[..60]).is_none());
        assert!(parse(user.public_key().as_bytes(), &[0; PACKET_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn a_packet_points_where_clients_go() {
        let (user, home) = (Keypair::random(), Keypair::random().public_key());
        assert_eq!(homeserver_of(&pointing(&user, &home.to_z32())), Some(home.to_bytes()));
        assert_eq!(homeserver_of(&pointing(&user, "example.com")), None);
        let none = SignedPacket::builder().sign(&user).expect("signable");
        assert_eq!(homeserver_of(&none), None);
    }
}
