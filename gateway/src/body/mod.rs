//! Bodies of requests and responses that fit in memory. Large ones pass through `objects/`, chunk by chunk.

mod account;
mod drain;
mod head;
mod inline;
mod leased;

pub use account::AccountBody;
pub use drain::drain;
pub use head::{declared_length, expects_continue};
pub use inline::{Received, read_inline};
pub use leased::leased;
