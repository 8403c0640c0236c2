//! The part of a file that a `Range` header asks for. The first byte is the length of a small file.
#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use rowhouse_gateway::fuzzing::{Wanted, wanted};

/// The satisfiable ranges of a well-formed header, slowly and by the letter of RFC 9110; `None` if it is ignored.
fn satisfiable(header: &str, length: u128) -> Option<Vec<Range<u128>>> {
    let (unit, list) = header.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members: Vec<&str> =
        list.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect();
    if members.is_empty() {
        return None;
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // No file is as long as the numbers that do not fit.
    let number = |text: &str| text.parse::<u128>().unwrap_or(u128::MAX).min(u64::MAX.into());
    let mut spans = Vec::new();
    for member in members {
        let (first, last) = member.split_once('-').filter(|(first, last)| digits(first) && digits(last))?;
        let span = match (first, last) {
            ("", "") => return None,
            ("", last) if number(last) == 0 => continue,
            ("", last) => length.saturating_sub(number(last))..length,
            (first, "") => number(first)..length,
            (first, last) if number(first) <= number(last) => number(first)..(number(last) + 1).min(length),
            _ => return None,
        };
        if span.start < length || first.is_empty() {
            spans.push(span);
        }
    }
    Some(spans)
}

fuzz_target!(|data: &[u8]| {
    let Some((small, header)) = data.split_first() else { return };
    let Ok(header) = std::str::from_utf8(header) else { return };
    for length in [u64::from(*small), 0, 1, 1 << 40, u64::MAX - 1] {
        let expected = match satisfiable(header, length.into()).as_deref() {
            None => Wanted::Whole,
            Some([]) => Wanted::Unsatisfiable,
            Some([span]) if span.start < span.end => Wanted::Part(span.start as u64..span.end as u64),
            Some(_) => Wanted::Whole,
        };
        assert_eq!(wanted(header, length), expected, "{header:?} of {length}");
    }
});
