//! One word for how the cluster is, and the exit code that says it to scripts.

use serde::Serialize;

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Every shard has a leader and all its replicas, complete; no node is away.
    Ok,
    /// Everything is served, but something would not bear another loss.
    Degraded,
    /// Nobody leads some shard, so that its users are not served.
    NoLeader,
}

impl Health {
    /// The exit code of `ctl status --check`: those of monitoring plugins (0 OK, 1 warning, 2 critical).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Degraded => 1,
            Self::NoLeader => 2,
        }
    }

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::NoLeader => "a shard has no leader",
        }
    }
}
