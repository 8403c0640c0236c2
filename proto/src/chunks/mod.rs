//! The chunk service on the wire. Its bytes are those that any gRPC client or server exchanges for `chunk.proto`, but
//! bodies are written and read without a copy.
//!
//! Generated code gathers each message in one buffer when it writes it, and again when it reads it. Here a body stays
//! in the pieces of memory it came in, all the way between a socket and a disk.

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

/// Path of the call that brings chunks to a node.
pub const STAGE: &str = "/rowhouse.chunk.v1.Chunk/Stage";
/// Path of the call that reads chunks from a node.
pub const FETCH: &str = "/rowhouse.chunk.v1.Chunk/Fetch";

/// Longest message in bytes: a chunk and its head, which takes less than a hundred bytes.
pub const MESSAGE_BYTES_MAX: usize = CHUNK_BYTES + 4096;
/// Bytes in front of each message: one says whether it is compressed, which it never is, and four are its length.
const PREFIX_BYTES: usize = 5;

/// A message whose body lies beside it, and not in the message's own field.
#[derive(Clone, Debug, Default)]
pub struct Parcel<M> {
    /// The message; its field for the body is empty.
    pub head: M,
    /// The bytes of that field.
    pub body: Pieces,
}

impl<M> From<M> for Parcel<M> {
    fn from(head: M) -> Self {
        Self { head, body: Pieces::default() }
    }
}

/// A message of the chunk service, with or without a body.
pub trait Laden: prost::Message + Default {
    /// Number of the field that holds the body; `None` for a message without one.
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
