//! The hot-path handle of one group: proposals, linearizable reads, status.
//!
//! There is no mailbox of ours on this path: a request awaits openraft in its own task.

mod admission;
mod check;
mod compare;
mod handle;
mod heirs;
mod leader;
mod members;
mod read_barrier;
mod status;

pub use check::CheckPace;
pub use handle::Group;
pub use heirs::Heir;
pub use members::{Follower, Members};
pub use status::{GroupRole, GroupStatus};
