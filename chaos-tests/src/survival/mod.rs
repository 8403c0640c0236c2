//! The survival run: real clients against real processes that are killed one after the other, and
//! a verdict by every oracle.

mod audit;
mod auditor;
mod chains;
mod change;
mod content;
mod copies;
mod faults;
mod gaps;
mod in_flight;
mod judge;
mod listener;
mod nemesis;
mod options;
mod report;
mod run;
mod script;
mod sight;
mod worker;

pub use audit::AuditCounts;
pub use chains::ChainCounts;
pub use change::Change;
pub use content::Sizes;
pub use copies::LIMITS;
pub use judge::scans;
pub use options::SurvivalOptions;
pub use report::SurvivalReport;
pub use run::run;
