//! Limits of what clients ask for: how often by route, and how many bytes a second. All gateways take from buckets that
//! the cluster keeps (docs/decisions/015-limits-are-counted-by-leaders.md).

mod pace;
mod paced;
mod rate_limit;
mod route_limit;
mod routes;

pub use pace::Pace;
pub use paced::paced;
pub use rate_limit::RateLimit;
pub use route_limit::RouteLimit;
pub use routes::{RouteLimits, route_limits};
