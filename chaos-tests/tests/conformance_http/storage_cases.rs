//! Files: headers, conditions, collisions (docs/rules/protocol.md#headers-and-conditions).

use super::case::{ALICE, Case, PLAIN, case};

pub const CASES: &[Case] = &[
    case("a file", "GET /storage/{alice}/pub/app/a.txt", 200).text("hello").answer(&[
        ("content-length", "=5"),
        ("content-type", "=text/plain"),
        ("etag", "={a.etag}"),
        ("last-modified", "~GMT"),
        ("cache-control", "=private, must-revalidate"),
    ]),
    case("its head", "HEAD /storage/{alice}/pub/app/a.txt", 200).answer(&[
        ("content-length", "=5"),
        ("content-type", "=text/plain"),
        ("etag", "={a.etag}"),
        ("last-modified", "~GMT"),
        ("cache-control", "=private, must-revalidate"),
    ]),
    case("type by extension", "HEAD /storage/{alice}/pub/app/b.json", 200)
        .answer(&[("content-type", "=application/json")]),
    case("type by content", "HEAD /storage/{alice}/pub/app/image", 200)
        .answer(&[("content-type", "=image/png")]),
    case("no type", "HEAD /storage/{alice}/pub/app/unknown", 200)
        .answer(&[("content-type", "=application/octet-stream")]),
    case("unknown file", "GET /storage/{alice}/pub/app/none", 404).text("Not Found").answer(PLAIN),
    case("unknown owner", "GET /storage/{nobody}/pub/app/none", 404).text("Not Found").answer(PLAIN),
    case("head of an unknown file", "HEAD /storage/{alice}/pub/app/none", 404),
    case("head of an unknown owner", "HEAD /storage/{nobody}/pub/app/none", 404),
    case("head of a directory", "HEAD /storage/{alice}/pub/app/", 404),
    case("unchanged by tag", "GET /storage/{alice}/pub/app/a.txt", 304)
        .with(&[("if-none-match", "{a.etag}")])
        .text("")
        .answer(&[
            ("etag", "={a.etag}"),
            ("last-modified", "~GMT"),
            ("cache-control", "=private, must-revalidate"),
        ]),
    case("unchanged legacy", "GET /pub/app/a.txt", 304)
        .with(&[("pubky-host", "{alice}"), ("if-none-match", "{a.etag}")])
        .answer(&[("vary", "~pubky-host")]),
    case("the tag in a list", "GET /storage/{alice}/pub/app/a.txt", 304)
        .with(&[("if-none-match", "\"x\", {a.etag} ,\"y\"")]),
    case("another tag", "GET /storage/{alice}/pub/app/a.txt", 200).with(&[("if-none-match", "\"x\"")]),
    case("a star matches nothing", "GET /storage/{alice}/pub/app/a.txt", 200).with(&[("if-none-match", "*")]),
    case("a weak tag matches nothing", "GET /storage/{alice}/pub/app/a.txt", 200)
        .with(&[("if-none-match", "W/{a.etag}")]),
    case("the tag decides alone", "GET /storage/{alice}/pub/app/a.txt", 200)
        .with(&[("if-none-match", "\"x\""), ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")]),
    case("unchanged by date", "GET /storage/{alice}/pub/app/a.txt", 304)
        .with(&[("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")]),
    case("changed by date", "GET /storage/{alice}/pub/app/a.txt", 200)
        .with(&[("if-modified-since", "Thu, 01 Jan 2015 00:00:00 GMT")]),
    case("an unreadable date says nothing", "GET /storage/{alice}/pub/app/a.txt", 200)
        .with(&[("if-modified-since", "yesterday")]),
    case("head ignores conditions", "HEAD /storage/{alice}/pub/app/a.txt", 200)
        .with(&[("if-none-match", "{a.etag}")]),
    case("create", "PUT /storage/{alice}/pub/new/a.txt", 201).with(ALICE).body(b"1").text(""),
    case("overwrite is 201 too", "PUT /storage/{alice}/pub/new/a.txt", 201).with(ALICE).body(b"22").text(""),
    case("the overwritten file", "GET /storage/{alice}/pub/new/a.txt", 200).text("22"),
    case("an empty file", "PUT /storage/{alice}/pub/new/empty", 201).with(ALICE).text(""),
    case("and its length", "GET /storage/{alice}/pub/new/empty", 200)
        .text("")
        .answer(&[("content-length", "=0")]),
    case("request type is ignored", "PUT /storage/{alice}/pub/new/typed.txt", 201)
        .with(&[("cookie", "{alice.cookie}"), ("content-type", "image/gif")])
        .body(b"text"),
    case("the extension counts", "HEAD /storage/{alice}/pub/new/typed.txt", 200)
        .answer(&[("content-type", "=text/plain")]),
    case("a write on a condition", "PUT /storage/{alice}/pub/new/a.txt", 412)
        .with(&[("cookie", "{alice.cookie}"), ("if-none-match", "*"), ("if-match", "\"x\"")])
        .body(b"333"),
    case("below a file", "PUT /storage/{alice}/pub/new/a.txt/b", 409)
        .with(ALICE)
        .body(b"1")
        .text("File/folder path collision")
        .answer(PLAIN),
    case("far below a file", "PUT /storage/{alice}/pub/new/a.txt/b/c/d", 409).with(ALICE).body(b"1"),
    case("over a folder", "PUT /storage/{alice}/pub/new", 409).with(ALICE).body(b"1"),
    case("a name that only begins alike", "PUT /storage/{alice}/pub/new/a.txt2", 201).with(ALICE).body(b"1"),
    case("delete what is not there", "DELETE /storage/{alice}/pub/new/none", 404)
        .with(ALICE)
        .text("Not Found")
        .answer(PLAIN),
    case("delete", "DELETE /storage/{alice}/pub/new/a.txt", 204).with(ALICE).text(""),
    case("it is gone", "GET /storage/{alice}/pub/new/a.txt", 404),
    case("deleting frees the path", "PUT /storage/{alice}/pub/new/a.txt/b", 201).with(ALICE).body(b"1"),
    case("a literal percent sign", "PUT /storage/{alice}/pub/new/50%2525", 201).with(ALICE).body(b"1"),
    case("is decoded once", "GET /storage/{alice}/pub/new/50%2525", 200).text("1"),
    case(
        "boolean parameters are checked for files too",
        "GET /storage/{alice}/pub/app/a.txt?shallow=perhaps",
        400,
    )
    .text("Invalid boolean parameter")
    .answer(&[("content-type", "!")]),
];
