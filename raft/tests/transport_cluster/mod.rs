//! Three replicas of one group over any wire.

mod member;

pub use member::*;
