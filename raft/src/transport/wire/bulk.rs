//! Bounds of the bulk lane, which carries snapshots on a connection of its own.
//!
//! The state store decides what a chunk holds, its compression and checksum included.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Snapshots a node sends at once, and takes in at once (docs/rules/storage.md#a-snapshot-is-opened-when-sent).
pub const TRANSFERS_MAX: usize = 2;
/// A transfer that does not move for this long is broken off; a chunk at the full rate takes 0.1 s.
pub const STALL: Duration = Duration::from_secs(10);
/// Time for the receiver to ingest a small snapshot and to answer.
pub const INSTALL: Duration = Duration::from_secs(120);
/// A larger one has a second more for so many bytes: slower than any disk that keeps up with its shard.
pub const INSTALL_BYTES_PER_SECOND: u64 = 4 << 20;
/// Time after which a sender comes back to a receiver whose disk has no room.
pub const ROOM_PAUSE: Duration = Duration::from_secs(30);
/// Times a snapshot's size that its receiver needs: as chunks, and as files of the store.
pub const ROOM_FACTOR: u64 = 2;

/// Bytes that snapshots may take on this node's disk now; `None`: unknown. Blocks on the disk.
pub type Room = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// How a node sends snapshots and takes them in.
#[derive(Clone)]
pub struct BulkOptions {
    /// Folder for snapshots on their way in; the state store's own.
    pub staging: PathBuf,
    /// A node sends no faster than this in total, so that a move does not starve the log lanes.
    pub bytes_per_second: u64,
    /// Time within which a transfer whose link broke goes on where it was. Both ends keep what they have so long.
    pub resume_for: Duration,
    /// Tells the room for snapshots. Without it, all are taken in.
    pub room: Option<Room>,
}

impl From<PathBuf> for BulkOptions {
    /// The defaults over a folder: 32 MiB/s, and half a minute to go on in.
    fn from(staging: PathBuf) -> Self {
        Self { staging, bytes_per_second: 32 << 20, resume_for: Duration::from_secs(30), room: None }
    }
}
