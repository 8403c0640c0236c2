//! Pure: which node shall hold what, and the next steps towards it (docs/rules/consensus.md#replicas-move-one-step-at-a-time).
//!
//! The coordinator observes, plans with this and carries the steps out. The same plan runs in simulation.

mod advance;
mod attendance;
mod bounds;
mod change;
mod first;
mod nodes;
mod observed;
mod plan;
mod report;
mod spread;
mod step;

pub use attendance::marks;
pub use bounds::Bounds;
pub use change::{CoordinatorId, Fence, change_members};
pub use first::{REPLICAS, place};
pub use nodes::uuid;
pub use observed::{HEIR_LAG_MAX, Leader, Observed, ObservedGroup};
pub use plan::plan;
pub use report::report;
pub use step::{Change, Step};
