//! Capabilities at their edges: writing without reading, roots that are none, and answers that tell nothing of what is
//! there (docs/rules/protocol.md#capabilities).

use super::case::{Case, case};

const WRITER: &[(&str, &str)] = &[("cookie", "{alice.writer}")];
const HALVES: &[(&str, &str)] = &[("pubky-host", "{alice}"), ("cookie", "{alice.halves}")];
const WHOLE: &[(&str, &str)] = &[("pubky-host", "{alice}"), ("cookie", "{alice.whole}")];
const DELIVERY: &[(&str, &str)] = &[("cookie", "{alice.delivery}")];
const READER: &[(&str, &str)] = &[("cookie", "{alice.reader}")];
const APP: &[(&str, &str)] = &[("cookie", "{alice.app}")];
const BOB: &[(&str, &str)] = &[("cookie", "{bob.cookie}")];
const BOBS_BEARER: &[(&str, &str)] = &[("authorization", "{bob.bearer}")];

const NO_READ: &str = "Session does not have read access to path";
const NO_WRITE: &str = "Session does not have write access to path";
const NO_SESSION: &str = "No authenticated session found";
const NEEDS_AUTH: &str = "Authentication required to read private storage";
const MISMATCH: &str = "Session user does not match target tenant";

pub const CASES: &[Case] = &[
    case("write-only writes", "PUT /storage/{alice}/pub/app/written.txt", 201).with(WRITER).body(b"1"),
    case("write-only writes privately", "PUT /storage/{alice}/priv/app/written.txt", 201)
        .with(WRITER)
        .body(b"1"),
    case("write-only cannot read back", "GET /storage/{alice}/priv/app/written.txt", 403)
        .with(WRITER)
        .text(NO_READ),
    case("nor what others wrote", "GET /storage/{alice}/priv/app/secret.txt", 403).with(WRITER).text(NO_READ),
    case("nor learn what is absent", "GET /storage/{alice}/priv/app/none", 403).with(WRITER).text(NO_READ),
    case("nor list", "GET /storage/{alice}/priv/app/", 403).with(WRITER).text(NO_READ),
    case("nor list what is not there", "GET /storage/{alice}/priv/app/none/", 403).with(WRITER).text(NO_READ),
    case("nor ask for heads", "HEAD /storage/{alice}/priv/app/secret.txt", 403).with(WRITER),
    case("public files need no right", "GET /storage/{alice}/pub/app/written.txt", 200)
        .with(WRITER)
        .text("1"),
    case("write-only deletes", "DELETE /storage/{alice}/priv/app/written.txt", 204).with(WRITER),
    case("and hears that it is gone", "DELETE /storage/{alice}/priv/app/written.txt", 404).with(WRITER),
    case("read-only lists", "GET /storage/{alice}/priv/app/", 200).with(READER),
    case("read-only does not delete", "DELETE /storage/{alice}/priv/app/secret.txt", 403)
        .with(READER)
        .text(NO_WRITE),
    case("nor hears what is absent", "DELETE /storage/{alice}/priv/app/none", 403)
        .with(READER)
        .text(NO_WRITE),
    case("delivery of keys writes nothing", "PUT /storage/{alice}/pub/app/x", 403)
        .with(DELIVERY)
        .text(NO_WRITE),
    case("and reads nothing private", "GET /storage/{alice}/priv/app/secret.txt", 403)
        .with(DELIVERY)
        .text(NO_READ),
    case("a public scope does not reach privately", "PUT /storage/{alice}/priv/app/x", 403)
        .with(APP)
        .text(NO_WRITE),
    case("two halves write anywhere", "PUT /storage/{alice}/pub/other/halves.txt", 201)
        .with(HALVES)
        .body(b"1"),
    case("and read anywhere", "GET /storage/{alice}/priv/app/secret.txt", 200).with(HALVES).text("secret"),
    case("and are no root", "GET /auth/grant/sessions", 403).with(HALVES).text("Root capability required"),
    case("a root with more is one", "GET /auth/grant/sessions", 200).with(WHOLE),
    case("nobody revokes", "DELETE /auth/grant/session/AAAA", 401)
        .with(&[("pubky-host", "{alice}")])
        .text(NO_SESSION),
    // The same answer for what is there, what is not, and every verb.
    case("anonymous, there", "HEAD /storage/{alice}/priv/app/secret.txt", 401),
    case("anonymous, absent", "HEAD /storage/{alice}/priv/app/none", 401),
    case("anonymous, an unknown owner", "GET /storage/{nobody}/priv/app/x", 401).text(NEEDS_AUTH),
    case("anonymous listing, absent", "GET /storage/{alice}/priv/none/", 401).text(NEEDS_AUTH),
    case("anonymous with an old copy", "GET /storage/{alice}/priv/app/secret.txt", 401)
        .with(&[("if-none-match", "\"x\""), ("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT")])
        .text(NEEDS_AUTH),
    case("a foreign cookie, there", "GET /storage/{alice}/priv/app/secret.txt", 401)
        .with(BOB)
        .text(NEEDS_AUTH),
    case("a foreign cookie, absent", "GET /storage/{alice}/priv/app/none", 401).with(BOB).text(NEEDS_AUTH),
    case("a foreign cookie deletes, there", "DELETE /storage/{alice}/priv/app/secret.txt", 401)
        .with(BOB)
        .text(NO_SESSION),
    case("a foreign cookie deletes, absent", "DELETE /storage/{alice}/priv/app/none", 401)
        .with(BOB)
        .text(NO_SESSION),
    case("a foreign bearer, absent", "GET /storage/{alice}/priv/app/none", 403)
        .with(BOBS_BEARER)
        .text(MISMATCH),
    case("a foreign bearer lists, absent", "GET /storage/{alice}/priv/none/", 403)
        .with(BOBS_BEARER)
        .text(MISMATCH),
    case("a foreign bearer, HEAD", "HEAD /storage/{alice}/priv/app/none", 403).with(BOBS_BEARER),
    case("a foreign bearer deletes, there", "DELETE /storage/{alice}/priv/app/secret.txt", 403)
        .with(BOBS_BEARER)
        .text(MISMATCH),
    case("a foreign bearer deletes, absent", "DELETE /storage/{alice}/priv/app/none", 403)
        .with(BOBS_BEARER)
        .text(MISMATCH),
    case("a foreign bearer, an unknown owner", "GET /storage/{nobody}/priv/app/x", 403)
        .with(BOBS_BEARER)
        .text(MISMATCH),
    case("no right, there", "GET /storage/{alice}/priv/app/secret.txt", 403).with(APP).text(NO_READ),
    case("no right, absent", "GET /storage/{alice}/priv/app/none", 403).with(APP).text(NO_READ),
    case("no right deletes, absent", "DELETE /storage/{alice}/priv/app/none", 403).with(APP).text(NO_WRITE),
    case("priv itself", "GET /storage/{alice}/priv", 403)
        .with(&[("cookie", "{alice.cookie}")])
        .text("Reading from directories other than '/pub/' and '/priv/' is forbidden"),
];
