//! A small kit for the control plane's actors: bounded mailboxes, supervision with backoff, an
//! observable status. Nothing of it is on the request path.
//!
//! Laws: a loop owns its receivers; nobody sees a sender, only a handle; no lock is held across an
//! await; state flows up by watch; cancelling the token stops the tree.

mod mailbox;
mod observe;
mod restart;
mod supervisor;
mod task_kind;

pub use mailbox::{Full, Mailbox, Post, mailbox};
pub use observe::{ActorState, Statuses};
pub use restart::{Backoff, Restart};
pub use supervisor::{ActorFuture, Supervisor};
pub use task_kind::TaskKind;
