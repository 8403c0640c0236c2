//! What this node knows of the homeserver's packet on the network, for operators.

use std::sync::Mutex;

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::Reach;

/// Written by the author, read by status pages and instruments.
#[derive(Debug, Default)]
pub struct PublishRecord(Mutex<Known>);

/// All of it, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Physical µs of the last publication; 0: never.
    pub published_us: u64,
    /// Physical µs at which a look of somebody else last found the committed bytes; 0: never.
    pub verified_us: u64,
    /// DHT nodes that stored it last.
    pub stored: usize,
    /// Attempts that failed since the process started.
    pub failures: u64,
    /// The network has a newer packet that this cluster did not sign.
    pub foreign: bool,
    /// Whether gateways answer at the packet's addresses.
    pub reach: Vec<Reach>,
}

impl PublishRecord {
    /// All of it.
    pub fn known(&self) -> Known {
        lock(&self.0).clone()
    }

    /// Changes it.
    pub fn note(&self, change: impl FnOnce(&mut Known)) {
        change(&mut lock(&self.0));
    }

    /// Attempts that failed since the process started.
    pub fn failures(&self) -> u64 {
        lock(&self.0).failures
    }

    /// Since the last publication; `u64::MAX`: never.
    pub fn age_s(&self, now_us: u64) -> u64 {
        since_s(lock(&self.0).published_us, now_us)
    }
}

/// `u64::MAX`: never.
pub fn since_s(at_us: u64, now_us: u64) -> u64 {
    match at_us {
        0 => u64::MAX,
        at_us => now_us.saturating_sub(at_us) / 1_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_published_is_told_from_long_ago() {
        let record = PublishRecord::default();
        assert_eq!(record.age_s(5), u64::MAX);
        record.note(|known| known.published_us = 1_000_000);
        assert_eq!(record.age_s(4_000_000), 3);
    }
}
