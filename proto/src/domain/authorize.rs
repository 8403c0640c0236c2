//! The one authorization rule.
