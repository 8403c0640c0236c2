//! Traces over process boundaries: the context that travels, and the spans that take it up.

mod call;
mod context;
mod span;

pub use call::{CallSpan, Side};
pub use context::TraceContext;
pub use span::{adopt, context_of, follow, sampled_context_of};
