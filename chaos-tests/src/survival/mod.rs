//! The survival run: real clients against real processes that are killed one after the other, and
//! a verdict by every oracle.

mod content;
mod copies;
mod faults;
mod gaps;
mod in_flight;
mod judge;
mod options;
mod report;
mod run;
mod worker;

pub use copies::LIMITS;
pub use judge::scans;
pub use options::SurvivalOptions;
pub use report::SurvivalReport;
pub use run::run;
