//! The wire of production: HTTP/2 through tonic, one bidirectional stream per pair of nodes and lane.
//!
//! Each side dials its own streams for its own requests and reads the replies on them. A link is dialled
//! when something is to be sent, and again after a pause when it broke; it is never dialled for itself.

mod directory;
mod identity;
mod link;
mod service;
mod session;
mod shared;
mod wire;

pub use directory::{Directory, Peer};
pub use rowhouse_proto::wire::transport::v1::transport_server::TransportServer;
pub use service::TransportService;
pub use session::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
pub use wire::TonicWire;
