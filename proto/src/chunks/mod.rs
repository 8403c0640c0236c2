//! The chunk service on the wire: the messages of `chunk.proto` as any gRPC client or server has them, yet
//! written and read without a copy of their bodies.
//!
//! What is generated gathers each message in one buffer when it is written, and again when it is read. Here a
//! body stays in the pieces of memory it came in, all the way between a socket and a disk.

mod client;
mod decode;
mod encode;
mod pieces;

pub use client::Client;
pub use decode::Messages;
pub use encode::reply;
pub use pieces::Pieces;

use crate::CHUNK_BYTES;
use crate::wire::chunk::{FetchReply, FetchRequest, StageReply, StageRequest};

pub const STAGE: &str = "/rowhouse.chunk.v1.Chunk/Stage";
pub const FETCH: &str = "/rowhouse.chunk.v1.Chunk/Fetch";

/// A chunk in a message: its head takes less than a hundred bytes.
pub const MESSAGE_BYTES_MAX: usize = CHUNK_BYTES + 4096;
/// In front of each message: whether it is compressed (1), which it never is, and its length (4).
const PREFIX_BYTES: usize = 5;

/// A message, and beside it the body, which its own field for that lacks.
#[derive(Clone, Debug, Default)]
pub struct Parcel<M> {
    pub head: M,
    pub body: Pieces,
}

impl<M> From<M> for Parcel<M> {
    fn from(head: M) -> Self {
        Self { head, body: Pieces::default() }
    }
}

/// A message of the chunk service.
pub trait Laden: prost::Message + Default {
    /// Number of the field for the body, where there is one.
    const BODY: Option<u32>;
}

impl Laden for StageRequest {
    const BODY: Option<u32> = Some(5);
}

impl Laden for StageReply {
    const BODY: Option<u32> = None;
}

impl Laden for FetchRequest {
    const BODY: Option<u32> = None;
}

impl Laden for FetchReply {
    const BODY: Option<u32> = Some(2);
}
