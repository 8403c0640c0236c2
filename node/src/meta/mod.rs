//! The meta group's state machine: cluster identity, nodes, shard map, replica ids, settings, gateways
//! and the homeserver's committed packet. One file for each command, one dispatch over all (`commands`).
//!
//! State changes only here, by log entries; the coordinator proposes them, anybody reads the map.

mod announce_gateway;
mod append_audit;
mod begin_move;
mod bootstrap;
mod change_settings;
mod commands;
mod create_signup_token;
mod direct_node;
mod end_move;
mod gateway;
mod machine;
mod map;
mod mark_node;
mod node_line;
mod place_shards;
mod raise_command_version;
mod rebalance;
mod recover_group;
mod register_node;
mod remove_node;
mod reserve_signup_token;
mod set_packet;
mod settle_signup_token;
mod tables;
mod token_rows;
mod verdict;
mod withdraw_gateway;

use rowhouse_raft::GroupId;

/// The meta group's number among the groups.
pub const GROUP: GroupId = rowhouse_proto::META_GROUP as GroupId;

pub use announce_gateway::announce;
pub use append_audit::{AUDIT_RECORDS_MAX, audit_page, hash_of as audit_hash};
pub use bootstrap::{OPEN_SIGNUP, SIGNUP_MODES, check_signup_mode};
pub use create_signup_token::SIGNUP_TOKENS_MAX;
pub use gateway::{announceable, identity as gateway_identity, public_address};
pub use machine::{MetaMachine, encode};
pub use map::{cluster_map, command_version, map_version, refresh};
pub use node_line::{PLACEMENT_VERSION, first_command_version, is_told, to_command};
pub use raise_command_version::raisable;
pub use set_packet::packet_timestamp_us;
pub use tables::cluster;
pub(crate) use token_rows::held_token;
pub use token_rows::{held, page as signup_token_page, token as signup_token};
pub use verdict::Verdict;
pub use withdraw_gateway::withdraw;
