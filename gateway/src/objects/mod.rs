//! Bodies too large for the log (docs/rules/storage.md#large-bodies-stay-out-of-the-log): cut into chunks here, each
//! sent to every replica of the shard at once, so that no single node's death costs an upload; and fetched back,
//! chunk by chunk, from whichever replica has them. Memory is bounded by windows and by leases, clients wait.

mod chunker;
mod download;
mod fan;
mod intake;
mod lane;
mod upload;

pub use download::{Source, download};
pub use intake::Intake;
pub use upload::{Reserve, Sent, send};
