//! Attempts at the operator's password. It is compared without telling by timing how much of it was right, and nobody
//! may try many.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use axum::response::Response;
use http::Extensions;
use rowhouse_proto::lock::lock;
use rowhouse_proto::{ErrorCode, Refusal};
use subtle::ConstantTimeEq;

use crate::address_counts::AddressCounts;
use crate::respond::refuse;
use crate::routes::ClientAddr;

/// Wrong passwords of one address in a minute. Then it waits for the next one, whatever it brings: an answer would tell
/// it which one is right.
const WRONG_OF_ADDRESS_MAX: u32 = 10;
/// Wrong passwords of all addresses in a minute. Then each has one attempt that counts: a right password is answered
/// wherever no wrong one came from.
const WRONG_IN_ALL_MAX: u32 = 100;

/// Wrong passwords of the last minute.
#[derive(Default)]
pub struct Attempts(Mutex<AddressCounts>);

/// What a password is worth.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// Not looked at, or one wrong one too many. The time until the next attempt.
    Limited(Duration),
}

impl Attempts {
    /// Judges one attempt. A wrong one is logged once for each address and minute, without the password.
    pub fn judge(&self, address: IpAddr, given: &[u8], password: &str) -> Verdict {
        let mut counts = lock(&self.0);
        let before = counts.look(address);
        let is_late = before.in_all >= WRONG_IN_ALL_MAX && before.of_address > 0;
        if is_late || before.of_address >= WRONG_OF_ADDRESS_MAX {
            return Verdict::Limited(counts.left());
        }
        // Hashes have one length, so that the password's own stays hidden too.
        let (given, expected) = (blake3::hash(given), blake3::hash(password.as_bytes()));
        if given.as_bytes().ct_eq(expected.as_bytes()).into() {
            return Verdict::Right;
        }
        let now = counts.count(address);
        if now.of_address == 1 {
            tracing::warn!(%address, in_all = now.in_all, "a wrong admin password");
        }
        if now.in_all > WRONG_IN_ALL_MAX { Verdict::Limited(counts.left()) } else { Verdict::Wrong }
    }
}

/// Where a request comes from. Unknown addresses count as one.
pub fn address_of(extensions: &Extensions) -> IpAddr {
    extensions.get::<ClientAddr>().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |known| known.0.to_canonical())
}

/// 429 with the time to wait.
pub fn limited(left: Duration) -> Response {
    refuse(Refusal { retry_after: Some(left), ..ErrorCode::TooManyAttempts.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address_counts::WINDOW;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_guesses_waits_and_others_do_not() {
        let attempts = Attempts::default();
        let judge = |from: u32, given: &str| attempts.judge(address(from), given.as_bytes(), "right");
        for _ in 0..WRONG_OF_ADDRESS_MAX {
            assert_eq!(judge(1, "wrong"), Verdict::Wrong);
        }
        assert_eq!(judge(1, "right"), Verdict::Limited(WINDOW), "an answer would tell");
        assert_eq!(judge(2, "right"), Verdict::Right);
        tokio::time::advance(WINDOW).await;
        assert_eq!(judge(1, "right"), Verdict::Right);
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_together_have_one_attempt_each() {
        let attempts = Attempts::default();
        let judge = |from: u32, given: &str| attempts.judge(address(from), given.as_bytes(), "right");
        for from in 0..WRONG_IN_ALL_MAX {
            assert_eq!(judge(from, "wrong"), Verdict::Wrong);
        }
        assert_eq!(judge(1000, "wrong"), Verdict::Limited(WINDOW));
        assert_eq!(judge(1000, "right"), Verdict::Limited(WINDOW), "its one attempt is over");
        assert_eq!(judge(0, "right"), Verdict::Limited(WINDOW));
        assert_eq!(judge(1001, "right"), Verdict::Right, "no wrong one came from there");
    }

    #[test]
    fn a_password_is_right_as_a_whole() {
        let attempts = Attempts::default();
        for wrong in ["", "righ", "rightt", "Right"] {
            assert_eq!(attempts.judge(address(1), wrong.as_bytes(), "right"), Verdict::Wrong, "{wrong}");
        }
        assert_eq!(attempts.judge(address(1), b"right", "right"), Verdict::Right);
    }
}
