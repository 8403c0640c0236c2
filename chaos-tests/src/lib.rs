//! Proof by use: conformance with unmodified clients, survival under kills, load, and the tidy test.
//!
//! Drives real `rowhouse` processes from outside, over the wire only: it links neither RocksDB nor
//! openraft, so a wrong answer cannot be explained away by sharing code with the server.

pub mod bench;
pub mod cluster;
pub mod error;
pub mod feed;
pub mod history;
pub mod http1;
pub mod identity;
pub mod oracle;
pub mod request;
pub mod smoke;
pub mod survival;
