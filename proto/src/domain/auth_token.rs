//! The one verification of AuthTokens: that of `pubky-common`, for every time that a token may claim.
//!
//! `pubky-common` subtracts times as signed numbers. A time from 2^63 µs on overflows there, which ends the caller in
//! programs that are built with overflow checks.

use pubky_common::auth::{AuthToken, Error};

use crate::{ErrorCode, Refusal};

/// The place of the time, in microseconds and big endian.
const TIME: std::ops::Range<usize> = 75..83;
/// The last time that has no sign when it is taken for a signed number: the year 294247.
const TIME_MAX_US: u64 = i64::MAX as u64;

/// The token, if it is signed by its key and was made within three minutes of now. Fails with the text that clients
/// know.
pub fn verify(bytes: &[u8]) -> Result<AuthToken, Refusal> {
    let verified = if is_beyond_time(bytes) {
        // What is looked at before the time keeps its own text.
        AuthToken::deserialize(bytes).and(Err(Error::TooFarInTheFuture))
    } else {
        AuthToken::verify(bytes)
    };
    verified.map_err(|error| Refusal::new(ErrorCode::InvalidAuthToken, error.to_string()))
}

fn is_beyond_time(bytes: &[u8]) -> bool {
    let time = bytes.get(TIME).and_then(|time| time.try_into().ok()).map(u64::from_be_bytes);
    let is_known_version = bytes.get(TIME.start - 1) == Some(&0);
    is_known_version && time.is_some_and(|time| time > TIME_MAX_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::capabilities::Capability;
    use pubky_common::crypto::Keypair;

    fn token() -> Vec<u8> {
        AuthToken::sign(&Keypair::random(), vec![Capability::root()]).serialize()
    }

    fn text(bytes: &[u8]) -> String {
        verify(bytes).map(|_| String::new()).unwrap_or_else(|refusal| refusal.text().to_owned())
    }

    #[test]
    fn every_time_has_its_text() {
        const FUTURE: &str = "AuthToken has a timestamp that is more than 3 minutes in the future";
        const PAST: &str = "AuthToken has a timestamp that is more than 3 minutes in the past";
        assert_eq!(text(&token()), "");
        let at = |time: u64| {
            let mut token = token();
            token[TIME].copy_from_slice(&time.to_be_bytes());
            text(&token)
        };
        for future in [TIME_MAX_US, TIME_MAX_US + 1, u64::MAX - 1, u64::MAX] {
            assert_eq!(at(future), FUTURE, "{future}");
        }
        assert_eq!((at(0).as_str(), at(1).as_str()), (PAST, PAST));
    }

    #[test]
    fn version_and_form_are_looked_at_before_the_time() {
        let mut late = token();
        late[TIME].copy_from_slice(&u64::MAX.to_be_bytes());
        let mut newer = late.clone();
        newer[TIME.start - 1] = 1;
        assert_eq!(text(&newer), "Unknown version");
        let (cut, good) = (text(&late[..100]), text(&token()[..100]));
        assert!(!cut.is_empty() && cut == good, "{cut} and {good}");
    }
}
