//! Some programs ask for the operator's API on the client port, and send the operator's password there. They are
//! answered like any other path that nobody has: operators hear of it, because the password may have been read on its
//! way.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use rowhouse_proto::lock::lock;

use crate::address_counts::AddressCounts;
use crate::routes::ClientAddr;

const PREFIX: &str = "/admin/";
const PASSWORD: &str = "x-admin-password";

/// Calls of the operator's API on the client port.
#[derive(Default)]
pub struct AdminCalls {
    /// Since this gateway started.
    total: AtomicU64,
    recent: Mutex<AddressCounts>,
}

impl AdminCalls {
    /// Counts one. The total, if it is the first of its address in this minute.
    fn count(&self, address: IpAddr) -> Option<u64> {
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        (lock(&self.recent).count(address).of_address == 1).then_some(total)
    }
}

/// Counts calls below `/admin/`, and logs them once for each address and minute, without the password.
pub async fn admin_calls(State(calls): State<Arc<AdminCalls>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(PREFIX) {
        let known = request.extensions().get::<ClientAddr>().map(|known| known.0);
        let address = known.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        if let Some(total) = calls.count(address) {
            let with_password = request.headers().contains_key(PASSWORD);
            tracing::warn!(
                %address,
                with_password,
                total,
                "the operator's API was asked for on the client port, where it is never answered; a password that was \
                 sent there should be changed"
            );
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address_counts::WINDOW;

    #[tokio::test(start_paused = true)]
    async fn all_are_counted_and_few_are_told() {
        let calls = AdminCalls::default();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        assert_eq!(calls.count(address(1)), Some(1));
        assert_eq!(calls.count(address(1)), None);
        assert_eq!(calls.count(address(2)), Some(3));
        tokio::time::advance(WINDOW).await;
        assert_eq!(calls.count(address(1)), Some(4));
    }
}
