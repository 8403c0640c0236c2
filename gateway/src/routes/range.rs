//! Which part of a file a GET asks for (RFC 9110 §14): one range of bytes. A header that is malformed, or asks for
//! several parts, is ignored, as the RFC allows: work is bounded by the header's length. Pure.

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

/// `header` as it came; `length` of the file. Ranges beyond the file do not count beside one within it.
pub fn wanted(header: &str, length: u64) -> Wanted {
    let Some((unit, list)) = header.trim().split_once('=') else { return Wanted::Whole };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let (mut named, mut found) = (false, None);
    for member in list.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        // Lists may have empty members (RFC 9110 §5.6.1.2).
        if member.is_empty() {
            continue;
        }
        let Some(spec) = parse(member) else { return Wanted::Whole };
        named = true;
        let Some(span) = spec.within(length) else { continue };
        // The empty end of an empty file is no part of it, and several parts are not sent.
        if span.is_empty() || found.replace(span).is_some() {
            return Wanted::Whole;
        }
    }
    match found {
        Some(span) => Wanted::Part(span),
        None if named => Wanted::Unsatisfiable,
        None => Wanted::Whole,
    }
}

enum Spec {
    From { first: u64, last: u64 },
    Last(u64),
}

impl Spec {
    /// The bytes of a file of this length; `None` if it has none of them.
    fn within(self, length: u64) -> Option<Range<u64>> {
        match self {
            Self::Last(count) => (count > 0).then(|| length.saturating_sub(count)..length),
            Self::From { first, last } => (first < length).then(|| first..last.saturating_add(1).min(length)),
        }
    }
}

/// `None`: malformed.
fn parse(range: &str) -> Option<Spec> {
    let (first, last) = range.split_once('-')?;
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

    fn check(cases: &[(&str, u64, Wanted)]) {
        for (header, length, expected) in cases {
            assert_eq!(wanted(header, *length), *expected, "{header:?} of {length}");
        }
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        check(&[
            ("bytes=0-0", 10, Wanted::Part(0..1)),
            ("bytes=0-1", 10, Wanted::Part(0..2)),
            ("bytes=2-", 10, Wanted::Part(2..10)),
            ("bytes=9-", 10, Wanted::Part(9..10)),
            ("bytes=0-99", 10, Wanted::Part(0..10)),
            ("bytes=0-9", 10, Wanted::Part(0..10)),
            ("bytes=9-9", 10, Wanted::Part(9..10)),
            ("bytes=-3", 10, Wanted::Part(7..10)),
            ("bytes=-10", 10, Wanted::Part(0..10)),
            ("bytes=-11", 10, Wanted::Part(0..10)),
            ("BYTES=1-2", 10, Wanted::Part(1..3)),
            (" bytes= 1-2 ", 10, Wanted::Part(1..3)),
            ("bytes=0-18446744073709551615", 10, Wanted::Part(0..10)),
            ("bytes=-99999999999999999999999", 10, Wanted::Part(0..10)),
            ("bytes=0-", u64::MAX, Wanted::Part(0..u64::MAX)),
        ]);
    }

    #[test]
    fn a_range_beyond_the_file_is_unsatisfiable() {
        check(&[
            ("bytes=10-", 10, Wanted::Unsatisfiable),
            ("bytes=11-", 10, Wanted::Unsatisfiable),
            ("bytes=10-12", 10, Wanted::Unsatisfiable),
            ("bytes=18446744073709551616-", 10, Wanted::Unsatisfiable),
            ("bytes=-0", 10, Wanted::Unsatisfiable),
            ("bytes=10-,-0,11-12", 10, Wanted::Unsatisfiable),
            ("bytes=0-", 0, Wanted::Unsatisfiable),
            ("bytes=0-0", 0, Wanted::Unsatisfiable),
            ("bytes=-0", 0, Wanted::Unsatisfiable),
            ("bytes=-5", 0, Wanted::Whole),
            ("bytes=0-,-5", 0, Wanted::Whole),
        ]);
    }

    #[test]
    fn empty_members_and_ranges_beyond_the_file_spoil_no_other() {
        check(&[
            ("bytes=,0-1", 10, Wanted::Part(0..2)),
            ("bytes=0-1,", 10, Wanted::Part(0..2)),
            ("bytes= , ,\t0-1 ,,", 10, Wanted::Part(0..2)),
            ("bytes=10-,0-1", 10, Wanted::Part(0..2)),
            ("bytes=-0,0-1,99-100", 10, Wanted::Part(0..2)),
            ("bytes=0-1,3-4", 10, Wanted::Whole),
            ("bytes=0-1,0-1", 10, Wanted::Whole),
        ]);
    }

    #[test]
    fn malformed_headers_and_other_units_are_ignored() {
        for header in [
            "Bytes = 1-2",
            "bytes = 0-1",
            "bytes=5-4",
            "bytes=0-1,5-4",
            "bytes=10-,5-4",
            "bytes=-",
            "bytes=",
            "bytes=,",
            "bytes=5",
            "bytes=0 - 1",
            "bytes=0-1;2-3",
            "bytes=+1-2",
            "bytes=--2",
            "bytes=a-b",
            "bits=0-1",
            "0-1",
            "",
        ] {
            for length in [0, 10] {
                assert_eq!(wanted(header, length), Wanted::Whole, "{header:?} of {length}");
            }
        }
    }

    #[test]
    fn a_header_full_of_ranges_is_judged_by_its_first_two() {
        assert_eq!(wanted(&format!("bytes={}", "0-,".repeat(1_000)), 10), Wanted::Whole);
        assert_eq!(wanted(&format!("bytes={}3-4", "10-,".repeat(10_000)), 10), Wanted::Part(3..5));
    }
}
