//! The text of a bandwidth.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// No limit, in JSON and in the text of a rate.
pub const UNLIMITED: &str = "unlimited";
/// Longest text of a rate, in bytes.
const RATE_BYTES_MAX: usize = 32;

/// A bandwidth, `<number><kb|mb|gb>/<s|m|h|d>`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Rate(pub(super) String);

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Parts::of(&text).map(|parts| Self(parts.text))
    }
}

/// A bandwidth taken apart.
pub(super) struct Parts {
    /// As it is kept: in lower case.
    pub(super) text: String,
    /// KiB of the unit of the rate, in which bursts are counted too.
    pub(super) unit_kib: u64,
    /// In each period. A rate is kept in 32 bits.
    pub(super) kib: NonZeroU32,
    pub(super) period_ms: u64,
}

impl Parts {
    /// Fails, with what is wrong, on text that is no rate.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        let invalid =
            || format!("\"{text}\" is no rate such as \"10mb/s\": a number, kb, mb or gb, and s, m, h or d");
        let lower = text.to_ascii_lowercase();
        let (amount, time) = lower.split_once('/').ok_or_else(invalid)?;
        let digits = amount.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = amount.split_at(digits);
        let number: NonZeroU32 = number.parse().map_err(|_| invalid())?;
        let unit_kib = match unit {
            "kb" => 1,
            "mb" => 1024,
            "gb" => 1024 * 1024,
            _ => return Err(invalid()),
        };
        let period_ms = period_ms(time).filter(|_| lower.len() <= RATE_BYTES_MAX).ok_or_else(invalid)?;
        let kib = (u64::from(number.get()) * unit_kib).try_into().ok().and_then(NonZeroU32::new);
        let kib = kib.ok_or_else(|| format!("\"{text}\" is too large: rates end below 4096gb"))?;
        Ok(Self { text: format!("{number}{unit}/{time}"), unit_kib, kib, period_ms })
    }
}

/// The milliseconds of the unit of time that a rate or a request quota names: `s`, `m`, `h` or `d`.
pub fn period_ms(unit: &str) -> Option<u64> {
    Some(match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}
