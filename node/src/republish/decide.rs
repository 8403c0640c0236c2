//! Pure: what a look at the network and the stored packet call for.

use pkarr::SignedPacket;
use rowhouse_proto::domain::user::UserKey;

use crate::network::Look;
use crate::state::packet::homeserver_of;

/// What the user's shard knows.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The newest packet that points here, unless the user left.
    pub packet: Option<SignedPacket>,
    /// Timestamp of the newest packet that was ever seen.
    pub newest_us: u64,
}

/// What to do about one user.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Publish this. `lost`: the network had none.
    Publish { packet: SignedPacket, lost: bool },
    /// The newest packet does not point here: nothing of this user is ever published.
    Moved,
    /// Nobody has a packet.
    Missing,
    /// The network has something newer that is no packet.
    Unreadable,
}

/// The packet to be noted in the shard, and what to do then. The newest packet decides, whoever has it: the network or
/// the shard.
pub fn decide(look: &Look, stored: &Stored, homeserver: &UserKey) -> (Option<SignedPacket>, Decision) {
    if !look.is_readable_above(stored.newest_us) {
        return (None, Decision::Unreadable);
    }
    let seen = look.newest.as_ref();
    let seen_us = seen.map_or(0, |packet| packet.timestamp().as_u64());
    let noted = seen.filter(|_| seen_us > stored.newest_us).cloned();
    if let Some(newest) = &noted {
        let here = homeserver_of(newest).as_ref() == Some(homeserver);
        let packet = newest.clone();
        return (noted, if here { Decision::Publish { packet, lost: false } } else { Decision::Moved });
    }
    let decision = match &stored.packet {
        Some(packet) => Decision::Publish { packet: packet.clone(), lost: look.newest_us == 0 },
        None if stored.newest_us > 0 => Decision::Moved,
        None => Decision::Missing,
    };
    (None, decision)
}

#[cfg(test)]
mod tests {
    use pkarr::dns::Name;
    use pkarr::dns::rdata::SVCB;
    use pkarr::{Keypair, Timestamp};

    use super::*;

    const USER: [u8; 32] = [1; 32];

    fn home(n: u8) -> Keypair {
        Keypair::from_secret_key(&[n; 32])
    }

    fn packet(us: u64, homeserver: u8) -> SignedPacket {
        let target = home(homeserver).public_key().to_z32();
        let record = SVCB::new(0, Name::new(&target).expect("a name"));
        SignedPacket::builder()
            .timestamp(Timestamp::from(us))
            .https(Name::new("_pubky").expect("a name"), record, 3600)
            .sign(&Keypair::from_secret_key(&USER))
            .expect("signable")
    }

    fn stored(us: u64, here: bool) -> Stored {
        Stored { packet: here.then(|| packet(us, 2)), newest_us: us }
    }

    /// Timestamp that is noted, and a word for the decision with the timestamp of what is published.
    fn decided(look: &Look, stored: &Stored) -> (Option<u64>, String) {
        let (noted, decision) = decide(look, stored, home(2).public_key().as_bytes());
        let word = match decision {
            Decision::Publish { packet, lost } => {
                format!("publish {}{}", packet.timestamp().as_u64(), if lost { " lost" } else { "" })
            }
            Decision::Moved => "moved".to_owned(),
            Decision::Missing => "missing".to_owned(),
            Decision::Unreadable => "unreadable".to_owned(),
        };
        (noted.map(|packet| packet.timestamp().as_u64()), word)
    }

    #[test]
    fn the_newest_packet_decides_whoever_has_it() {
        let (here, there) = (|us| Look::found(packet(us, 2)), |us| Look::found(packet(us, 3)));
        let none = Stored::default();
        let cases = [
            (Look::nothing(), none.clone(), (None, "missing")),
            (here(5), none.clone(), (Some(5), "publish 5")),
            (there(5), none, (Some(5), "moved")),
            (Look::nothing(), stored(5, true), (None, "publish 5 lost")),
            (here(4), stored(5, true), (None, "publish 5")),
            (here(5), stored(5, true), (None, "publish 5")),
            (here(6), stored(5, true), (Some(6), "publish 6")),
            (there(4), stored(5, true), (None, "publish 5")),
            (there(6), stored(5, true), (Some(6), "moved")),
            // Who left stays away, whatever old packets the network still has.
            (Look::nothing(), stored(5, false), (None, "moved")),
            (here(4), stored(5, false), (None, "moved")),
            (here(6), stored(5, false), (Some(6), "publish 6")),
            (Look::unreadable(4), stored(5, true), (None, "publish 5")),
            (Look::unreadable(6), stored(5, true), (None, "unreadable")),
        ];
        for (look, stored, (noted, word)) in cases {
            assert_eq!(decided(&look, &stored), (noted, word.to_owned()), "{look:?} {stored:?}");
        }
    }
}
