//! `limits.rate_limits` as a file has it, in the form of pubky-homeserver. `route_limit.rs` says what it means.

use serde::{Deserialize, Serialize};

/// One limit of how often a route may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Glob of the path; of `/storage/<user>/x` it is `/x`. `*` stays within a segment, `**` does not.
    pub path: String,
    /// The method, exactly.
    pub method: String,
    /// `10r/m`: so many requests each s, m, h or d.
    pub quota: String,
    /// Who is counted: `ip` or `user`.
    pub key: String,
    /// Requests granted at once, from 1. `None`: those of one period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Addresses, or users' keys, that are not limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whitelist: Vec<String>,
}

impl RateLimit {
    /// The limits of a gateway that was told none.
    pub fn defaults() -> Vec<Self> {
        vec![Self {
            path: "/signup_tokens/*".into(),
            method: "GET".into(),
            quota: "10r/m".into(),
            key: "ip".into(),
            burst: None,
            whitelist: Vec::new(),
        }]
    }
}
