//! Users' packets, and the commands about them.

use pkarr::dns::Name;
use pkarr::dns::rdata::SVCB;
use pkarr::{Keypair, SignedPacket, Timestamp};
use rowhouse_proto::wire::command::{MarkPass, NotePacket, command::Body};

use super::*;

/// Signed by a user at some time; it names the homeserver with this key, or none.
pub fn signed(user: u8, us: u64, homeserver: Option<[u8; 32]>) -> Bytes {
    let mut packet = SignedPacket::builder().timestamp(Timestamp::from(us));
    if let Some(key) = homeserver {
        let target = pkarr::PublicKey::try_from(&key).expect("a key").to_z32();
        let record = SVCB::new(0, Name::new(&target).expect("a name"));
        packet = packet.https(Name::new("_pubky").expect("a name"), record, 3600);
    }
    packet.sign(&Keypair::from_secret_key(&[user; 32])).expect("signable").as_bytes().clone()
}

/// That this packet was seen of that user.
pub fn note(user: u8, packet: Bytes) -> Body {
    Body::NotePacket(NotePacket { user: key_of(user), packet })
}

/// That the pass over the users is so far.
pub fn mark(began_ms: u64, after: Option<u8>, ended: bool) -> Body {
    Body::MarkPass(MarkPass { began_ms, after: after.map(key_of).unwrap_or_default(), ended })
}
