//! The chunks of large bodies on this node's disk: segment files with an index
//! (docs/rules/storage.md#chunks-follow-rows).
//!
//! A body is written once, to the end of the newest segment; one thread writes, and one sync serves all
//! that wait. The index is a small RocksDB that is not synced: what it lost is found again in the
//! segments. Only the state machine knows the purpose of a version, and when it may go.

mod compact;
mod cursor;
mod direct;
mod holdings;
mod index;
mod key;
mod ledger;
mod metrics;
mod options;
mod part;
mod queue;
mod record;
mod recover;
mod scrub_mark;
mod segments;
mod shared;
mod store;
mod sums;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

pub use compact::CompactReport;
pub use key::{ChunkKey, HeldVersion, VersionId};
pub use ledger::BlobUsage;
pub use metrics::BlobMetrics;
pub use options::{AfterDisk, BlobOptions, DiskStep};
pub use record::{CHUNK_BYTES, checksum};
pub use scrub_mark::ScrubMark;
pub use store::BlobStore;
