//! Times of rows as the protocol writes them. Both forms have microseconds.

use chrono::{DateTime, Utc};

/// RFC 3339 with the offset: `2026-10-22T10:11:12.123456+00:00`. `unix_ms` beyond the year 262 142 is taken for the
/// epoch.
pub fn rfc3339(unix_ms: u64) -> String {
    format!("{}+00:00", iso(unix_ms))
}

/// ISO 8601 without an offset: `2026-10-22T10:11:12.123456`.
pub fn iso(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    time.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_the_right_offset() {
        assert_eq!(iso(1_792_663_872_123), "2026-10-22T10:11:12.123000");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(iso(u64::MAX), iso(0));
    }
}
