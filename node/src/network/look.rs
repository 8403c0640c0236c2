//! What the vantage points answered, put together.

use pkarr::SignedPacket;

/// The answers to one look-up.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The newest packet that can be read.
    pub newest: Option<SignedPacket>,
    /// Timestamp of the newest one, even if it cannot be read; 0: there is none.
    pub newest_us: u64,
    /// Places of the vantage points that answered, be it that there is nothing.
    pub heard: Vec<usize>,
}

/// The place of a vantage point that stands alone, and of the DHT among others.
pub(super) const FIRST: usize = 0;

impl Look {
    /// One vantage point that found nothing.
    pub fn nothing() -> Self {
        Self { heard: vec![FIRST], ..Self::default() }
    }

    /// One vantage point that found this.
    pub fn found(packet: SignedPacket) -> Self {
        Self { newest_us: packet.timestamp().as_u64(), newest: Some(packet), heard: vec![FIRST] }
    }

    /// One vantage point that found something newer than what can be read.
    pub fn unreadable(seq: i64) -> Self {
        Self { newest_us: u64::try_from(seq).unwrap_or(0), newest: None, heard: vec![FIRST] }
    }

    /// Whether nobody answered.
    pub fn is_unheard(&self) -> bool {
        self.heard.is_empty()
    }

    /// The same answer, by the vantage point at this place.
    pub(super) fn at(mut self, place: usize) -> Self {
        self.heard.fill(place);
        self
    }

    /// Adds another vantage point's answer.
    pub fn merge(&mut self, other: Self) {
        self.heard.extend(other.heard);
        self.newest_us = self.newest_us.max(other.newest_us);
        let newer = match (&self.newest, &other.newest) {
            (Some(own), Some(packet)) => packet.more_recent_than(own),
            (None, Some(_)) => true,
            _ => false,
        };
        if newer {
            self.newest = other.newest;
        }
    }

    /// Whether nothing that is newer than `us` cannot be read.
    pub fn is_readable_above(&self, us: u64) -> bool {
        self.newest_us <= us.max(self.newest.as_ref().map_or(0, |packet| packet.timestamp().as_u64()))
    }
}

/// The answers to one publication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// DHT nodes that stored it, as the vantage point says that knows of most.
    pub stored: usize,
    /// Vantage points that took it.
    pub took: usize,
    /// Vantage points that have a newer one.
    pub newer: usize,
    /// Why others did not take it.
    pub problems: Vec<String>,
}

impl Published {
    /// One vantage point that took it.
    pub fn stored(nodes: usize) -> Self {
        Self { stored: nodes, took: 1, ..Self::default() }
    }

    /// One vantage point that has a newer one.
    pub fn refused() -> Self {
        Self { newer: 1, ..Self::default() }
    }

    /// One vantage point that did not take it.
    pub fn failed(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()], ..Self::default() }
    }

    /// Adds another vantage point's answer.
    pub fn merge(&mut self, other: Self) {
        self.stored = self.stored.max(other.stored);
        self.took += other.took;
        self.newer += other.newer;
        self.problems.extend(other.problems);
    }
}

#[cfg(test)]
mod tests {
    use pkarr::{Keypair, Timestamp};

    use super::*;

    fn packet(us: u64) -> SignedPacket {
        let keypair = Keypair::from_secret_key(&[3; 32]);
        SignedPacket::builder().timestamp(Timestamp::from(us)).sign(&keypair).expect("signable")
    }

    fn merged(looks: impl IntoIterator<Item = Look>) -> Look {
        looks.into_iter().fold(Look::default(), |mut sum, look| {
            sum.merge(look);
            sum
        })
    }

    #[test]
    fn the_newest_of_all_vantage_points_counts() {
        let look = merged([
            Look::found(packet(5)),
            Look::default().at(1),
            Look::nothing().at(2),
            Look::found(packet(7)).at(3),
        ]);
        assert_eq!((&look.heard[..], look.newest_us), (&[0, 2, 3][..], 7));
        assert_eq!(look.newest.as_ref().map(|newest| newest.timestamp().as_u64()), Some(7));
        assert!(look.is_readable_above(0));
    }

    #[test]
    fn what_cannot_be_read_is_newer_all_the_same() {
        let look = merged([Look::found(packet(5)), Look::unreadable(9)]);
        assert!(!look.is_readable_above(8) && look.is_readable_above(9));
        assert_eq!(Look::unreadable(-4).newest_us, 0);
    }
}
