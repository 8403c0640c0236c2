//! A bug that the tests must catch (chaos-tests/README.md). Without the feature `planted-bugs` it
//! cannot be switched on.

/// Names the planted bugs of this process, separated by commas.
#[cfg(feature = "planted-bugs")]
const ENV: &str = "ROWHOUSE_PLANTED";

#[derive(Clone, Copy, Debug, Default)]
pub struct Planted {
    #[cfg(feature = "planted-bugs")]
    pub ack_before_sync: bool,
}

impl Planted {
    #[cfg(feature = "planted-bugs")]
    pub fn from_env() -> Self {
        let names = std::env::var(ENV).unwrap_or_default();
        Self { ack_before_sync: names.split(',').any(|name| name == "ack-before-sync") }
    }

    #[cfg(not(feature = "planted-bugs"))]
    pub fn from_env() -> Self {
        Self::default()
    }

    /// Acknowledge a submission before the log is synced: an acknowledged write dies with the machine.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn acks_before_sync(self) -> bool {
        self.ack_before_sync
    }

    #[cfg(not(feature = "planted-bugs"))]
    pub(super) fn acks_before_sync(self) -> bool {
        false
    }
}
