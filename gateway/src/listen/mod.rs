//! Listeners and connections: accepting, TLS, HTTP/1.1, and every bound on what a client may hold.

mod accept;
mod connection;
mod identity;
mod life;
mod linger;
mod patience;

pub use accept::{Door, Listener, bind};
pub use connection::{Http, Tls};
pub use identity::proxies;
pub use life::Life;
