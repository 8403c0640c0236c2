//! Bodies too large for the log (docs/rules/storage.md#large-bodies-stay-out-of-the-log). An upload is cut into chunks
//! here, and each is sent to every replica of the shard at once, so that no single node's death costs it. A download
//! fetches chunk by chunk, from any replica that has it. Memory is bounded by windows and by leases, clients wait.

mod chunker;
mod download;
mod fan;
mod intake;
mod lane;
mod upload;

pub use download::{Source, download};
pub use intake::Intake;
pub use upload::{Reserve, Sent, send};
