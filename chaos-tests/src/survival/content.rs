//! Bodies that carry their value: readable back, checkable byte by byte, of different lengths.

use clap::Args;

use crate::history::Value;

/// Hexadecimal digits of a value at the start of its body.
const DIGITS: usize = 16;
/// Small bodies get lengths up to this, so that they differ without filling the disk.
const SMALL_BYTES_MAX: u64 = 2000;
/// Large bodies are longer than the log takes, by at least one byte.
const LARGE_BYTES_MIN: u64 = 64 * 1024 + 1;
const LARGE_PERCENT: u64 = 3;
const LARGE_KIB_MAX: u64 = 50 * 1024;

/// How long bodies are: a value alone decides which it gets.
#[derive(Args, Clone, Copy, Debug)]
pub struct Sizes {
    /// Percent of bodies that are too large for the log.
    #[arg(long, default_value_t = LARGE_PERCENT)]
    pub large_percent: u64,
    /// Longest of these, in KiB. Most are much shorter.
    #[arg(long, default_value_t = LARGE_KIB_MAX)]
    pub large_kib_max: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { large_percent: LARGE_PERCENT, large_kib_max: LARGE_KIB_MAX }
    }
}

impl Sizes {
    fn length(self, value: Value) -> usize {
        let dice = value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
        let (kind, dice) = (dice % 100, dice / 100);
        let length = if kind < self.large_percent {
            let spread = (self.large_kib_max * 1024).saturating_sub(LARGE_BYTES_MIN).max(1);
            // Halved again and again: one in eight is longer than half of the longest.
            LARGE_BYTES_MIN + ((dice / 8 % spread) >> (dice % 8).min(3))
        } else {
            dice % SMALL_BYTES_MAX
        };
        DIGITS + usize::try_from(length).unwrap_or(0)
    }

    /// Whether the value's body travels as an object.
    pub fn is_large(self, value: Value) -> bool {
        self.length(value) as u64 >= LARGE_BYTES_MIN
    }

    /// The body of a value; the same value gives the same bytes.
    pub fn render(self, value: Value) -> Vec<u8> {
        let mut body = format!("{value:016x}").into_bytes();
        let mut rest = vec![0; self.length(value) - DIGITS];
        // No two places alike: chunks that changed places are seen.
        blake3::Hasher::new().update(&body).finalize_xof().fill(&mut rest);
        body.append(&mut rest);
        body
    }

    /// None: not a whole body of any value.
    pub fn parse(self, body: &[u8]) -> Option<Value> {
        let digits = std::str::from_utf8(body.get(..DIGITS)?).ok()?;
        let value = Value::from_str_radix(digits, 16).ok()?;
        (self.render(value) == body).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_damage_is_seen() {
        let sizes = Sizes::default();
        for value in [0, 1, 7, 1 << 40, Value::MAX] {
            let mut body = sizes.render(value);
            assert_eq!(sizes.parse(&body), Some(value));
            body.pop();
            assert_eq!(sizes.parse(&body), None, "cut short");
        }
        let mut body = sizes.render(77);
        let middle = body.len() / 2;
        body[middle] ^= 1;
        assert_eq!(sizes.parse(&body), None, "a flipped bit");
        assert_eq!(sizes.parse(b""), None);
    }

    #[test]
    fn some_bodies_are_large_and_none_is_longer_than_asked_for() {
        let sizes = Sizes { large_percent: 10, large_kib_max: 1024 };
        let lengths: Vec<usize> = (0..2000).map(|value| sizes.length(value)).collect();
        let large = lengths.iter().filter(|length| **length > 64 * 1024).count();
        assert!((100..300).contains(&large), "{large}");
        assert!(lengths.iter().any(|length| *length > 512 * 1024));
        assert!(lengths.iter().all(|length| *length <= 1024 * 1024 + DIGITS));
        let none = Sizes { large_percent: 0, ..sizes };
        assert!((0..2000).all(|value| none.length(value) < 4096));
    }
}
