//! A cluster of scripted nodes for the tests of this crate: real gRPC on loopback, answers by script.

mod accounts;
mod client;
mod disk;
mod drive;
mod feed;
mod fixture;
mod issuer;
mod map;
mod node;
mod sse;
mod user_events;

pub use accounts::{Accounts, page};
pub use client::{Client, Reply, raw};
pub use disk::{Fetching, Staging};
pub use drive::{Drive, account, answer, assert_harmless, dechunked};
pub use feed::{ids, rows_of_ids};
pub use fixture::{Fixture, SECRET, SHARDS, User};
pub use issuer::Issuer;
pub use map::{map_of, routes_of};
pub use node::{Announced, FakeNode, HLC_US, Script, failure, session_of};
pub use sse::OpenStream;
pub use user_events::UserEvents;
