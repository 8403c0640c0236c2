//! The layers around the routes, one per file; `router.rs` says in which order and why.

mod admin_calls;
mod cache_policy;
mod known_keys;
mod measure;
mod request_trace;
mod storage_requests;
mod tenant;
mod trace;
mod trace_policy;
mod website;

pub use admin_calls::{AdminCalls, admin_calls};
#[cfg(fuzzing)]
pub use cache_policy::reads_private;
pub use cache_policy::{cache_policy, stream_cache_policy};
pub use known_keys::{KEY_CHARS, parse_key};
pub use measure::{AnsweredBy, measure_admin, measure_client};
pub use request_trace::RequestTrace;
pub use storage_requests::storage_requests;
#[cfg(fuzzing)]
pub use tenant::resolve;
pub use tenant::{Target, decode_path, tenant};
pub use trace::{trace, trace_target};
pub use trace_policy::TracePolicy;
pub use website::{Website, WebsiteHosts, website};
