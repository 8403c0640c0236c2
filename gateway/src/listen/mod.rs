//! Listeners and connections: accepting, TLS, HTTP/1.1, and every bound on what a client may hold.

mod accept;
mod connection;
mod life;
mod linger;
mod patience;

pub use accept::{Door, Listener, bind};
pub use connection::{Http, Tls};
pub use life::Life;
