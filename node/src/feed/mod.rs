//! A node's part in the feed over all shards (docs/rules/feed.md): the clocks of the shards it leads, pages merged over
//! the replicas it hosts, and marks that tell where something new is. How far the feed may go is the gateway's to say.

mod clocks;
mod marks;
mod pages;

pub use clocks::Clocks;
pub use marks::Marks;
pub use pages::page;
