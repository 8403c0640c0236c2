//! Bounds of the bulk lane, which carries snapshots on a connection of its own.
//!
//! The state store decides what a chunk holds, its compression and checksum included.

use std::time::Duration;

/// Snapshots a node sends at once, and takes in at once (docs/rules/storage.md#a-snapshot-is-opened-when-sent).
pub const TRANSFERS_MAX: usize = 2;
/// A node sends no faster than this in total, so that a move does not starve the log lanes.
pub const BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// A transfer that does not move for this long is broken off; a chunk at the full rate takes 0.1 s.
pub const STALL: Duration = Duration::from_secs(10);
/// Time for the receiver to ingest what it has and to answer.
pub const INSTALL: Duration = Duration::from_secs(120);
