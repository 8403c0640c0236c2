//! The load generator: rates, latencies and CPU per operation of any Pubky homeserver.
//!
//! It talks plain HTTP and cookie sessions only, so that the reference and Rowhouse are measured by
//! the same bytes. Closed loop: at saturation latency is concurrency divided by the rate.

mod directory;
mod feed;
mod histogram;
mod load;
mod matrix;
mod options;
mod process;
mod range;
mod report;
mod streams;
mod tail;
mod target;

pub use histogram::Histogram;
pub use matrix::run;
pub use options::{BenchOptions, Output, Scenario};
pub use report::{Report, Row};
pub use target::parse_url;
