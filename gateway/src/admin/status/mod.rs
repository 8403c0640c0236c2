//! `/status` on the admin listener: a page that shows the cluster live, for browsers without any other tool.
//!
//! Nothing is asked while nobody looks, and all viewers share what is asked. Deliberately absent: any change.

mod board;
mod harmless;
mod look;
mod router;
mod snapshot;
mod stream;

pub use board::Board;
pub use router::router;
