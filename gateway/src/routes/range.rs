//! Which part of a file a GET asks for (RFC 9110 §14): one range of bytes. Anything else the header may say
//! is ignored, as the RFC allows. Pure.

use std::ops::Range;

/// The part of a file that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// Not empty, within the file.
    Part(Range<u64>),
    /// The file ends before it.
    Unsatisfiable,
}

/// `header` as it came; `length` of the file.
pub fn wanted(header: &str, length: u64) -> Wanted {
    // Nothing of an empty file can be left out.
    if length == 0 {
        return Wanted::Whole;
    }
    match parse(header) {
        None => Wanted::Whole,
        Some(Spec::Last(count)) => part(length.saturating_sub(count)..length),
        Some(Spec::From { first, last }) => part(first..last.saturating_add(1).min(length)),
    }
}

fn part(range: Range<u64>) -> Wanted {
    if range.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(range) }
}

enum Spec {
    From { first: u64, last: u64 },
    Last(u64),
}

fn parse(header: &str) -> Option<Spec> {
    let (unit, ranges) = header.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    match (number(first)?, number(last)?) {
        (None, None) => None,
        (None, Some(count)) => Some(Spec::Last(count)),
        (Some(first), None) => Some(Spec::From { first, last: u64::MAX }),
        (Some(first), Some(last)) => (first <= last).then_some(Spec::From { first, last }),
    }
}

/// `Some(None)`: nothing there. Numbers beyond any file are as good as the largest one.
fn number(text: &str) -> Option<Option<u64>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood() {
        for (header, length, expected) in [
            ("bytes=0-0", 10, Wanted::Part(0..1)),
            ("bytes=0-4", 10, Wanted::Part(0..5)),
            ("bytes=2-", 10, Wanted::Part(2..10)),
            ("bytes=2-99", 10, Wanted::Part(2..10)),
            ("bytes=0-9", 10, Wanted::Part(0..10)),
            ("bytes=9-9", 10, Wanted::Part(9..10)),
            ("bytes=-3", 10, Wanted::Part(7..10)),
            ("bytes=-99", 10, Wanted::Part(0..10)),
            ("Bytes = 1-2", 10, Wanted::Whole),
            ("BYTES=1-2", 10, Wanted::Part(1..3)),
            (" bytes= 1-2 ", 10, Wanted::Part(1..3)),
            ("bytes=0-99999999999999999999999", 10, Wanted::Part(0..10)),
            ("bytes=-99999999999999999999999", 10, Wanted::Part(0..10)),
            ("bytes=10-", 10, Wanted::Unsatisfiable),
            ("bytes=10-12", 10, Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Wanted::Unsatisfiable),
            ("bytes=-0", 10, Wanted::Unsatisfiable),
            ("bytes=5-4", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("bytes=", 10, Wanted::Whole),
            ("bytes=5", 10, Wanted::Whole),
            ("bytes=0-1,3-4", 10, Wanted::Whole),
            ("bytes=0-1,", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("bytes=--2", 10, Wanted::Whole),
            ("bytes=a-b", 10, Wanted::Whole),
            ("lines=0-1", 10, Wanted::Whole),
            ("0-1", 10, Wanted::Whole),
            ("", 10, Wanted::Whole),
            ("bytes=0-0", 0, Wanted::Whole),
            ("bytes=-1", 0, Wanted::Whole),
            ("bytes=0-", u64::MAX, Wanted::Part(0..u64::MAX)),
        ] {
            assert_eq!(wanted(header, length), expected, "{header:?} of {length}");
        }
    }
}
