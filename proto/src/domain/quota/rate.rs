//! The text of a bandwidth.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// No limit, in JSON and in the text of a rate.
pub const UNLIMITED: &str = "unlimited";
/// Longest text of a rate, in bytes.
const RATE_BYTES_MAX: usize = 32;
/// Most KiB that a rate may name: it is kept in 32 bits.
const RATE_KIB_MAX: u64 = u32::MAX as u64;

/// A bandwidth, `<number><kb|mb|gb>/<s|m|h|d>`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Rate(pub(super) String);

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let invalid =
            || format!("\"{text}\" is no rate such as \"10mb/s\": a number, kb, mb or gb, and s, m, h or d");
        let lower = text.to_ascii_lowercase();
        let (amount, time) = lower.split_once('/').ok_or_else(invalid)?;
        let digits = amount.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = amount.split_at(digits);
        let number: NonZeroU32 = number.parse().map_err(|_| invalid())?;
        let kib = match unit {
            "kb" => 1,
            "mb" => 1024,
            "gb" => 1024 * 1024,
            _ => return Err(invalid()),
        };
        if !matches!(time, "s" | "m" | "h" | "d") || lower.len() > RATE_BYTES_MAX {
            return Err(invalid());
        }
        if u64::from(number.get()) * kib > RATE_KIB_MAX {
            return Err(format!("\"{text}\" is too large: rates end below 4096gb"));
        }
        Ok(Self(format!("{number}{unit}/{time}")))
    }
}
