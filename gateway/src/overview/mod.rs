//! What the cluster is like, judged from one look at it: as JSON for scripts, as tables for people, and as findings
//! that say what to do.
//!
//! `rowhouse ctl` and the status page judge here, so that they never disagree. Deliberately absent: how nodes are
//! asked.

mod buckets;
mod build;
pub mod doctor;
mod group;
mod health;
mod history;
mod interval;
mod moving;
mod node;
mod objects;
mod rates;
mod records;
mod table;
mod text;
pub mod units;
mod view;
mod warnings;

pub use build::{GatewayAddress, Report, report};
pub use group::{Group, Replica};
pub use health::Health;
pub use history::{Election, IncidentItem};
pub use interval::{Interval, Row, interval};
pub use moving::{Moving, Stage};
pub use node::{CERTIFICATE_WARN_S, Node, State};
pub use objects::Objects;
pub use rates::{Rates, rates};
pub use records::{Pkarr, Unreachable};
pub use table::Table;
pub use text::{group_table, moving_table, node_table, text};
pub use view::{Answer, View, short};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
