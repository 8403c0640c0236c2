//! What is wrong with a cluster, what dies if something dies, and what to do next: judged from the report alone.

mod cluster;
mod command;
mod diagnosis;
mod finding;
mod losses;
mod nodes;
mod record;
mod shards;
mod text;

pub use diagnosis::{Diagnosis, Verdict, diagnose};
pub use finding::{Finding, Severity};
pub use losses::{IfLost, What};
pub use text::text;

#[cfg(test)]
mod tests;
