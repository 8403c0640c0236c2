//! Wire contracts, the domain vocabulary every crate shares, the one error and status table, and the form of the
//! tables of settings. Every crate but `rowhouse_peer` can reach this one, so that small things all need are here too:
//! pauses ([`Backoff`]), the [`lock`] that a panic does not close, and [`durations`] that are measured.
//!
//! `wire` holds generated code only; `chunks` takes its place where bodies are large. `domain` knows no
//! transport: no tonic, tokio or rocksdb.

#![warn(missing_docs)]

pub mod audit;
mod backoff;
pub mod calls;
mod causes;
pub mod chunks;
pub mod domain;
pub mod durations;
mod error;
mod event_row;
mod group;
mod hex;
pub mod lock;
pub mod map_change;
mod refusal;
pub mod settings;
pub mod trace;
mod version;
pub mod wire;

pub use backoff::{Backoff, Spread};
pub use causes::causes;
pub use error::ErrorCode;
pub use event_row::{EventRow, Malformed};
pub use hex::hex;
pub use refusal::Refusal;
pub use trace::TraceContext;
pub use version::VersionRange;

/// Version of every RPC message. A peer with another one is refused, with an error that names both versions.
pub const WIRE_VERSION: u32 = 2;
/// Newest version of the commands in the log that this program understands. Commands are proposed under the version
/// that the cluster map says is in force (docs/decisions/010-versions.md).
pub const COMMAND_VERSION: u32 = 6;
/// Oldest version of the commands in the log that this program understands.
pub const COMMAND_VERSION_MIN: u32 = 2;
/// The command versions that this program understands.
pub const COMMAND_VERSIONS: VersionRange = VersionRange { min: COMMAND_VERSION_MIN, max: COMMAND_VERSION };
/// Group number of the meta group; shards are numbered from 0, at most 4 096
/// (docs/rules/consensus.md#shards-are-fixed).
pub const META_GROUP: u32 = 0xFFFF;
/// Bodies up to this many bytes travel in the log (docs/rules/storage.md#large-bodies-stay-out-of-the-log).
pub const INLINE_BODY_BYTES_MAX: usize = 64 * 1024;
/// Larger bodies are cut into chunks of this many bytes
/// (docs/rules/storage.md#large-bodies-stay-out-of-the-log); the last one may be shorter.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes of an upload that may be on their way to the disks at once.
pub const UPLOAD_WINDOW_BYTES: u64 = 4 * CHUNK_BYTES as u64;
/// Length of an object's id. It is random, and belongs to one upload alone.
pub const OBJECT_ID_BYTES: usize = 16;
/// Largest gRPC message between gateway and node, in bytes: an inline body and room for its head.
pub const RPC_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
