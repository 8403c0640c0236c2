//! The actors a node has, and how each is treated when it ends.

use std::fmt;
use std::time::Duration;

use super::Restart;

/// In the order in which they start; `roster` says what each one runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// Keeps this node's copy of the cluster map current.
    MapWatch,
    /// Starts and stops replicas; single writer of the directory.
    ShardSupervisor,
    /// Runs its plan while this node leads the meta group.
    Coordinator,
    /// Pings peers: liveness, clocks, disk space.
    Peers,
    /// Makes applied state durable and lets logs be purged.
    Flush,
    /// Has the replicas of the groups led from here compare their states.
    Check,
    /// Watches free disk space.
    Space,
    /// Gives leaderships up while the disk of the log hangs.
    LogWatch,
    /// Extends the clock's reservation.
    Clock,
    /// Proposes that due objects move on.
    Collect,
    /// Fetches chunks this node's replicas lack.
    Fill,
    /// Erases chunks of dead objects.
    Erase,
    /// Removes chunks no row knows.
    Sweep,
    /// Reads all chunks again.
    Scrub,
    /// Looks for new events while anybody follows them.
    Marks,
    /// Publishes users' packets again.
    Republish,
    /// Keeps what lately happened, for status pages.
    Chronicle,
    /// Hands leaderships over while the node drains.
    Drain,
}

impl TaskKind {
    /// How many kinds there are.
    pub const COUNT: usize = Self::Drain as usize + 1;

    /// The policy for an actor of this kind that ends without being asked to.
    pub fn restart(self) -> Restart {
        match self {
            // A coordinator decides only by log entries, so a crash loses nothing.
            Self::Coordinator => Restart::Exponential {
                base: Duration::from_secs(1),
                max: Duration::from_secs(5),
                reset_after: Duration::from_secs(60),
            },
            Self::MapWatch
            | Self::ShardSupervisor
            | Self::Peers
            | Self::LogWatch
            | Self::Chronicle
            | Self::Drain => Restart::Exponential {
                base: Duration::from_millis(200),
                max: Duration::from_secs(5),
                reset_after: Duration::from_secs(60),
            },
            // They touch the disk: give it a rest.
            Self::Flush
            | Self::Check
            | Self::Space
            | Self::Clock
            | Self::Collect
            | Self::Fill
            | Self::Erase
            | Self::Sweep
            | Self::Scrub
            | Self::Marks
            | Self::Republish => Restart::Exponential {
                base: Duration::from_secs(1),
                max: Duration::from_secs(30),
                reset_after: Duration::from_secs(60),
            },
        }
    }

    /// Its name in logs and on status pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::MapWatch => "map-watch",
            Self::ShardSupervisor => "shard-supervisor",
            Self::Coordinator => "coordinator",
            Self::Peers => "peers",
            Self::Flush => "flush",
            Self::Check => "check",
            Self::Space => "space",
            Self::LogWatch => "log-watch",
            Self::Clock => "clock",
            Self::Collect => "collect",
            Self::Fill => "fill",
            Self::Erase => "erase",
            Self::Sweep => "sweep",
            Self::Scrub => "scrub",
            Self::Marks => "marks",
            Self::Republish => "republish",
            Self::Chronicle => "chronicle",
            Self::Drain => "drain",
        }
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
