//! The gRPC faces of a node: shards and limits for gateways, meta for everyone, Raft's own lanes.
//!
//! A handler decodes, asks the domain, asks the group, encodes. It runs in the request's own task, and
//! each one has a deadline.

mod accounts;
mod announce;
mod answer;
mod attempts;
mod bucket;
mod buckets;
mod chunk;
mod execute;
mod feed;
mod limits;
mod map_stream;
mod meta;
mod operate;
mod prepare;
mod prepare_account;
mod prepare_collection;
mod prepare_lock;
mod prepared;
mod query;
mod recover;
mod refusal;
mod roles;
mod server;
mod shard;
mod space_gate;
mod status;

pub use chunk::ChunkService;
pub use feed::FeedService;
pub use limits::LimitsService;
pub use meta::MetaService;
pub use server::{Services, serve};
pub use shard::ShardService;
pub use status::StatusReport;
