//! What the cluster is like, judged from one look at it: as JSON for scripts and as tables for people.

mod build;
mod group;
mod health;
mod moving;
mod node;
mod objects;
mod text;
mod warnings;

pub use build::report;
pub use health::Health;
pub use text::{group_table, moving_table, node_table, text};

#[cfg(test)]
mod tests;
