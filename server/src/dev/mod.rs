//! `rowhouse dev`: a whole cluster for a person or a test, each component its own process.
//!
//! This process is only the parent. It picks ports, starts the children and brings the cluster to life. It starts a
//! killed child again, and takes all children down with it. It holds no data.

mod args;
mod certs;
mod child;
mod cluster_file;
mod plan;
mod ports;
mod ready;
mod report;
mod start;
mod supervisor;
mod tail;

pub use args::DevArgs;
pub use start::run;
