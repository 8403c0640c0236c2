//! Bodies that carry their value: readable back, checkable byte by byte, of different lengths.

use crate::history::Value;

/// Hexadecimal digits of a value at the start of its body.
const DIGITS: usize = 16;
/// Bodies get lengths up to this, so that they differ without filling the disk.
const LENGTH_SPREAD: u64 = 2000;

pub fn render(value: Value) -> Vec<u8> {
    let mut body = format!("{value:016x}").into_bytes();
    let length = DIGITS + (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % LENGTH_SPREAD as usize;
    let pattern = body.clone();
    while body.len() < length {
        let missing = (length - body.len()).min(pattern.len());
        body.extend_from_slice(&pattern[..missing]);
    }
    body
}

/// None: not a whole body of any value.
pub fn parse(body: &[u8]) -> Option<Value> {
    let digits = std::str::from_utf8(body.get(..DIGITS)?).ok()?;
    let value = Value::from_str_radix(digits, 16).ok()?;
    (render(value) == body).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_damage_is_seen() {
        for value in [0, 1, 7, 1 << 40, Value::MAX] {
            let mut body = render(value);
            assert_eq!(parse(&body), Some(value));
            body.pop();
            assert_eq!(parse(&body), None, "cut short");
        }
        let mut body = render(77);
        let middle = body.len() / 2;
        body[middle] ^= 1;
        assert_eq!(parse(&body), None, "a flipped bit");
        assert_eq!(parse(b""), None);
    }
}
