//! What caches are told, on every status: nothing below `/priv/` may be kept, and what depends on the host says so
//! (docs/rules/protocol.md#headers-and-conditions).

use super::case::{ALICE, Case, case};

type Answer = &'static [(&'static str, &'static str)];

/// Below `/priv/`, by `/storage/`: refused, or without validators.
const SECRET: Answer = &[
    ("cache-control", "=no-store"),
    ("vary", "~authorization"),
    ("vary", "~cookie"),
    ("vary", "-pubky-host"),
    ("etag", "!"),
    ("last-modified", "!"),
];
/// The same by host.
const SECRET_BY_HOST: Answer = &[
    ("cache-control", "=no-store"),
    ("vary", "~pubky-host"),
    ("vary", "~authorization"),
    ("vary", "~cookie"),
    ("etag", "!"),
    ("last-modified", "!"),
];
/// A secret that its owner has put.
const PUT: Answer = &[("cache-control", "=no-store"), ("vary", "~authorization"), ("vary", "-pubky-host")];
/// The same by host.
const PUT_BY_HOST: Answer = &[("cache-control", "=no-store"), ("vary", "~pubky-host"), ("vary", "~cookie")];
/// A secret that its owner sees.
const SHOWN: Answer = &[
    ("cache-control", "=no-store"),
    ("vary", "~authorization"),
    ("vary", "~cookie"),
    ("etag", "?"),
    ("last-modified", "?"),
];
const SHOWN_BY_HOST: Answer = &[
    ("cache-control", "=no-store"),
    ("vary", "~pubky-host"),
    ("vary", "~authorization"),
    ("vary", "~cookie"),
    ("etag", "?"),
    ("last-modified", "?"),
];
/// A public file, by host.
const FILE_BY_HOST: Answer =
    &[("cache-control", "=private, must-revalidate"), ("vary", "~pubky-host"), ("vary", "-cookie")];
/// Public, and no file: caches are told nothing.
const NOTHING: Answer = &[
    ("cache-control", "!"),
    ("vary", "-pubky-host"),
    ("vary", "-cookie"),
    ("etag", "!"),
    ("last-modified", "!"),
];
const BY_HOST: &[(&str, &str)] = &[("pubky-host", "{alice}")];
const ALICE_BY_HOST: &[(&str, &str)] = &[("pubky-host", "{alice}"), ("cookie", "{alice.cookie}")];
const FRESH: &[(&str, &str)] =
    &[("cookie", "{alice.cookie}"), ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
const FRESH_BY_HOST: &[(&str, &str)] = &[
    ("pubky-host", "{alice}"),
    ("cookie", "{alice.cookie}"),
    ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
];
const READER: &[(&str, &str)] = &[("cookie", "{alice.reader}")];
const APP: &[(&str, &str)] = &[("cookie", "{alice.app}")];

pub const CASES: &[Case] = &[
    case("secret 201", "PUT /storage/{alice}/priv/heads/a", 201).with(ALICE).body(b"1").answer(PUT),
    case("secret 201 by host", "PUT /priv/heads/b", 201).with(ALICE_BY_HOST).body(b"1").answer(PUT_BY_HOST),
    case("secret 200", "GET /storage/{alice}/priv/heads/a", 200).with(ALICE).text("1").answer(SHOWN),
    case("secret 200 by host", "GET /priv/heads/a", 200).with(ALICE_BY_HOST).text("1").answer(SHOWN_BY_HOST),
    case("secret head", "HEAD /storage/{alice}/priv/heads/a", 200).with(ALICE).answer(SHOWN),
    case("secret 304", "GET /storage/{alice}/priv/heads/a", 304).with(FRESH).text("").answer(SHOWN),
    case("secret 304 by host", "GET /priv/heads/a", 304).with(FRESH_BY_HOST).answer(SHOWN_BY_HOST),
    case("secret listing", "GET /storage/{alice}/priv/heads/", 200).with(ALICE).answer(SECRET),
    case("secret listing by host", "GET /priv/heads/", 200).with(ALICE_BY_HOST).answer(SECRET_BY_HOST),
    case("secret 401", "GET /storage/{alice}/priv/heads/a", 401).answer(SECRET),
    case("secret 401 by host", "GET /priv/heads/a", 401).with(BY_HOST).answer(SECRET_BY_HOST),
    case("secret 401 to a head", "HEAD /storage/{alice}/priv/heads/a", 401).answer(SECRET),
    case("secret 401 to a write", "PUT /storage/{alice}/priv/heads/a", 401).body(b"1").answer(SECRET),
    case("secret 401 to a delete", "DELETE /priv/heads/a", 401).with(BY_HOST).answer(SECRET_BY_HOST),
    case("secret 403", "GET /storage/{alice}/priv/heads/a", 403).with(APP).answer(SECRET),
    case("secret 403 to a write", "PUT /storage/{alice}/priv/app/x", 403)
        .with(READER)
        .body(b"1")
        .answer(SECRET),
    case("secret 404", "GET /storage/{alice}/priv/heads/none", 404).with(ALICE).answer(SECRET),
    case("secret 404 by host", "GET /priv/heads/none", 404).with(ALICE_BY_HOST).answer(SECRET_BY_HOST),
    case("secret 404 to a listing", "GET /storage/{alice}/priv/none/", 404).with(ALICE).answer(SECRET),
    case("secret 404 to a delete", "DELETE /storage/{alice}/priv/heads/none", 404).with(ALICE).answer(SECRET),
    case("secret 400 to a directory", "PUT /storage/{alice}/priv/heads/", 400).with(ALICE).answer(SECRET),
    case("secret 400 to a boolean", "GET /storage/{alice}/priv/heads/?shallow=2", 400)
        .with(ALICE)
        .answer(SECRET),
    case("secret 409", "PUT /storage/{alice}/priv/heads/a/b", 409).with(ALICE).body(b"1").answer(SECRET),
    case("secret by a detour", "GET /storage/{alice}/pub/%2e%2e/priv/heads/a", 401).answer(SECRET),
    case("secret by a detour by host", "GET /pub/%2e%2e/%70riv/heads/a", 401)
        .with(BY_HOST)
        .answer(SECRET_BY_HOST),
    case("secret 204", "DELETE /storage/{alice}/priv/heads/a", 204).with(ALICE).answer(SECRET),
    case("secret 204 by host", "DELETE /priv/heads/b", 204).with(ALICE_BY_HOST).answer(SECRET_BY_HOST),
    case("public 200 by host", "GET /pub/app/a.txt", 200).with(BY_HOST).answer(FILE_BY_HOST),
    case("public 304 by host", "GET /pub/app/a.txt", 304)
        .with(&[("pubky-host", "{alice}"), ("if-none-match", "{a.etag}")])
        .answer(FILE_BY_HOST),
    case("public head by host", "HEAD /pub/app/a.txt", 200).with(BY_HOST).answer(FILE_BY_HOST),
    case("public 404", "GET /storage/{alice}/pub/app/none", 404).answer(NOTHING),
    case("public 404 by host", "GET /pub/app/none", 404).with(BY_HOST).answer(NOTHING),
    case("public 401 to a write by host", "PUT /pub/app/x", 401).with(BY_HOST).body(b"1").answer(NOTHING),
    case("public listing", "GET /storage/{alice}/pub/app/dir/", 200).answer(NOTHING),
    case("no secret by name", "GET /storage/{alice}/pub/priv/none", 404).answer(NOTHING),
];
