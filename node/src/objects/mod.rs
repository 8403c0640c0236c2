//! Bodies outside the log on this node: they are kept complete and intact as long as the log says, and not longer
//! (docs/rules/storage.md#chunks-follow-rows). The rows of `state::objects` decide; everything here follows them.

mod collect;
mod erase;
mod fetch;
mod fill;
mod inventory;
mod look;
mod mend;
mod progress;
mod rate;
mod scrub;
mod shared;
mod sweep;
mod verify;

pub use collect::collect;
pub use erase::erase;
pub use fill::fill;
pub use inventory::{Damage, Stock};
pub use scrub::scrub;
pub use shared::Objects;
pub use sweep::sweep;
