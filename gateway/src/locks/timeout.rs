//! The time to live that a client asks for (RFC 4918 §10.7). Pure.

use http::HeaderMap;

/// Without a time that can be granted.
const DEFAULT_S: u32 = 30;

/// The first time of the list that can be granted, in seconds from 1 to `most`.
pub fn requested_timeout_s(headers: &HeaderMap, most: u32) -> u32 {
    let value = headers.get("timeout").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wanted = value.split(',').map(str::trim).find_map(|part| {
        if part.eq_ignore_ascii_case("infinite") {
            return Some(i64::from(most));
        }
        part.strip_prefix("Second-")?.parse::<i64>().ok()
    });
    let seconds = wanted.unwrap_or_else(|| DEFAULT_S.into()).clamp(1, i64::from(most.max(1)));
    u32::try_from(seconds).unwrap_or(DEFAULT_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_that_can_be_granted_is_granted_within_bounds() {
        for (value, expected) in [
            ("Second-5", 5),
            ("Second-60", 60),
            ("Second-61", 60),
            ("Second-0", 1),
            ("Second--7", 1),
            ("Second-99999999999", 60),
            ("Second-99999999999999999999", 30),
            ("Infinite", 60),
            ("infinite, Second-5", 60),
            ("Extended-1, Second-7, Infinite", 7),
            ("second-5", 30),
            ("5", 30),
            ("", 30),
        ] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("timeout"),
                value.parse().expect("value"),
            )]);
            assert_eq!(requested_timeout_s(&headers, 60), expected, "{value}");
        }
        assert_eq!(requested_timeout_s(&HeaderMap::new(), 60), 30);
        assert_eq!(requested_timeout_s(&HeaderMap::new(), 10), 10);
    }
}
