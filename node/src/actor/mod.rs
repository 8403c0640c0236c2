//! A small kit for the control plane's actors (supervision with backoff, shutdown in order, an observable status), and
//! the roster of a node's actors. None of them is on the request path.
//!
//! Every actor here is level-triggered: it looks at watches and state, so it needs no mailbox. Laws: a
//! loop owns its receivers; no lock is held across an await; state flows up by watch; cancelling the
//! token stops the tree.

mod observe;
mod pace;
mod restart;
mod roster;
mod supervisor;
mod task_kind;

pub use observe::{ActorState, Ended, Statuses};
pub use pace::Pace;
pub use restart::{Backoff, Restart};
pub(crate) use roster::Actors;
pub use supervisor::{ActorFuture, Supervisor};
pub use task_kind::TaskKind;
