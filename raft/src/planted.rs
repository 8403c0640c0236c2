//! Planted bugs: faults that the tests must find (chaos-tests/README.md).
//!
//! Without the feature `planted-bugs` none can be switched on, and the name of the variable is not in the binary.

/// Names the planted bugs of this process, separated by commas.
#[cfg(feature = "planted-bugs")]
const ENV: &str = "ROWHOUSE_PLANTED";

/// Whether this process runs with the planted bug `name`. The environment is read once.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(name: &str) -> bool {
    use std::sync::OnceLock;
    static NAMES: OnceLock<String> = OnceLock::new();
    let names = NAMES.get_or_init(|| std::env::var(ENV).unwrap_or_default());
    names.split(',').any(|planted| planted == name)
}

/// Whether this process runs with the planted bug `name`: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
pub const fn is_planted(_name: &str) -> bool {
    false
}

/// The planted bugs of one log engine; a test may set them without the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlantedInLog {
    /// Acknowledge a submission before the log is synced: an acknowledged write dies with the machine.
    #[cfg(feature = "planted-bugs")]
    pub ack_before_sync: bool,
}

impl PlantedInLog {
    /// Those that this process runs with.
    pub fn from_env() -> Self {
        Self {
            #[cfg(feature = "planted-bugs")]
            ack_before_sync: is_planted("ack-before-sync"),
        }
    }

    pub(crate) const fn acks_before_sync(self) -> bool {
        #[cfg(feature = "planted-bugs")]
        return self.ack_before_sync;
        #[cfg(not(feature = "planted-bugs"))]
        false
    }
}

/// A restarted voter votes at once, although the lease it granted may still hold.
pub(crate) fn vote_at_once() -> bool {
    is_planted("vote-at-once")
}

/// A replica that was removed leaves no tombstone, and starts again with the process.
pub(crate) fn forget_tombstones() -> bool {
    is_planted("forget-tombstones")
}

/// A record as an installed snapshot brings it: a shard's own forgets how far its event time is closed.
#[cfg(feature = "planted-bugs")]
pub(crate) fn restored(group: crate::GroupId, key: &[u8], value: bytes::Bytes) -> bytes::Bytes {
    use prost::Message;
    use rowhouse_proto::domain::slot::SHARD_COUNT_MAX;
    use rowhouse_proto::wire::state::Shard;

    /// The key of the shard's own record, as `rowhouse-node` has it; this crate knows nothing of it otherwise.
    const SHARD: &[u8] = &[1];
    if !is_planted("forget-last-t") || key != SHARD || u32::from(group) >= SHARD_COUNT_MAX {
        return value;
    }
    let Ok(shard) = Shard::decode(&value[1..]) else { return value };
    let shard = Shard { last_t: shard.last_event_t, ..shard };
    [&value[..1], &shard.encode_to_vec()].concat().into()
}

/// A record as an installed snapshot brings it: unchanged, in this build.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) fn restored(_group: crate::GroupId, _key: &[u8], value: bytes::Bytes) -> bytes::Bytes {
    value
}
