//! Parts of files (docs/rules/protocol.md#ranges): the reference has none.

use super::case::{ALICE, Case, case};

const FILE: &str = "GET /storage/{alice}/pub/ranges/ten";
const EMPTY: &str = "GET /storage/{alice}/pub/ranges/empty";
const ALL: &[(&str, &str)] =
    &[("content-range", "!"), ("accept-ranges", "=bytes"), ("content-length", "=10")];
const BEYOND: &[(&str, &str)] = &[("content-range", "=bytes */10")];
const BEYOND_EMPTY: &[(&str, &str)] = &[("content-range", "=bytes */0")];

/// A part of the file of ten bytes.
const fn part_case(
    name: &'static str,
    range: &'static [(&'static str, &'static str)],
    text: &'static str,
) -> Case {
    case(name, FILE, 206).with(range).text(text)
}

/// A range that is ignored.
const fn whole_case(name: &'static str, range: &'static [(&'static str, &'static str)]) -> Case {
    case(name, FILE, 200).with(range).text("0123456789").answer(ALL)
}

const fn beyond_case(name: &'static str, range: &'static [(&'static str, &'static str)]) -> Case {
    case(name, FILE, 416).with(range).text("").answer(BEYOND)
}

pub const CASES: &[Case] = &[
    case("ten bytes", "PUT /storage/{alice}/pub/ranges/ten", 201).with(ALICE).body(b"0123456789"),
    case("no bytes", "PUT /storage/{alice}/pub/ranges/empty", 201).with(ALICE),
    case("ten bytes of a website", "PUT /storage/{alice}/pub/website/_/ten", 201)
        .with(ALICE)
        .body(b"0123456789"),
    part_case("two bytes", &[("range", "bytes=0-1")], "01").answer(&[
        ("content-range", "=bytes 0-1/10"),
        ("content-length", "=2"),
        ("accept-ranges", "=bytes"),
        ("etag", "?"),
        ("last-modified", "~GMT"),
        ("content-security-policy", "!"),
    ]),
    part_case("the last byte", &[("range", "bytes=9-")], "9").answer(&[("content-range", "=bytes 9-9/10")]),
    part_case("past the end", &[("range", "bytes=0-99")], "0123456789")
        .answer(&[("content-range", "=bytes 0-9/10")]),
    part_case("far past the end", &[("range", "bytes=0-18446744073709551615")], "0123456789")
        .answer(&[("content-range", "=bytes 0-9/10")]),
    part_case("as many as there are", &[("range", "bytes=-10")], "0123456789"),
    part_case("more than there are", &[("range", "bytes=-11")], "0123456789")
        .answer(&[("content-range", "=bytes 0-9/10")]),
    part_case("an empty member first", &[("range", "bytes=,0-1")], "01"),
    part_case("an empty member last", &[("range", "bytes=0-1,")], "01"),
    part_case("a bad range beside a good one", &[("range", "bytes=10-,0-1")], "01")
        .answer(&[("content-range", "=bytes 0-1/10")]),
    beyond_case("from the size on", &[("range", "bytes=10-")]),
    beyond_case("behind the size", &[("range", "bytes=11-")]),
    beyond_case("from beyond all numbers", &[("range", "bytes=18446744073709551616-")]),
    beyond_case("the last none", &[("range", "bytes=-0")]),
    whole_case("backwards", &[("range", "bytes=5-4")]),
    whole_case("another unit", &[("range", "bits=0-1")]),
    whole_case("a space in the unit", &[("range", "bytes = 0-1")]),
    whole_case("several parts", &[("range", "bytes=0-1,3-4")]),
    case("head has no parts", "HEAD /storage/{alice}/pub/ranges/ten", 200)
        .with(&[("range", "bytes=0-1")])
        .answer(ALL),
    case("all of nothing", EMPTY, 416).with(&[("range", "bytes=0-")]).text("").answer(BEYOND_EMPTY),
    case("a byte of nothing", EMPTY, 416).with(&[("range", "bytes=0-0")]).text("").answer(BEYOND_EMPTY),
    case("the end of nothing", EMPTY, 200)
        .with(&[("range", "bytes=-5")])
        .text("")
        .answer(&[("content-length", "=0")]),
    case("head of nothing", "HEAD /storage/{alice}/pub/ranges/empty", 200)
        .with(&[("range", "bytes=0-")])
        .answer(&[("content-length", "=0"), ("content-range", "!")]),
    case("by the legacy route", "GET /pub/ranges/ten", 206)
        .with(&[("pubky-host", "{alice}"), ("range", "bytes=-3")])
        .text("789")
        .answer(&[("content-range", "=bytes 7-9/10"), ("vary", "~pubky-host")]),
    case("by the legacy route beyond the end", "GET /pub/ranges/ten", 416)
        .with(&[("pubky-host", "{alice}"), ("range", "bytes=10-")])
        .answer(BEYOND),
    case("of a website", "GET /ten", 206)
        .host("{alice}")
        .with(&[("range", "bytes=10-,0-1")])
        .text("01")
        .answer(&[("content-range", "=bytes 0-1/10"), ("cache-control", "=no-cache")]),
    case("of a website beyond the end", "GET /ten", 416)
        .host("{alice}")
        .with(&[("range", "bytes=10-")])
        .answer(BEYOND),
    case("for another origin", "GET /storage/{alice}/pub/ranges/ten", 206)
        .with(&[("range", "bytes=0-1"), ("origin", "https://app.example")])
        .text("01")
        .answer(&[("access-control-allow-origin", "=https://app.example")]),
];
