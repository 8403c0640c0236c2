//! Single requests of the event feed: parameters, texts, and which check comes first.

use super::case::{ALICE, Case, PLAIN, case};

/// What every answer of `/events-stream` has, refusals too.
const STREAM: &[(&str, &str)] = &[
    ("cache-control", "=no-store"),
    ("vary", "~pubky-host"),
    ("vary", "~authorization"),
    ("vary", "~cookie"),
    ("content-type", "=text/plain; charset=utf-8"),
];
const BOB: &[(&str, &str)] = &[("cookie", "{bob.cookie}")];
const ALICES_BEARER: &[(&str, &str)] = &[("authorization", "{alice.bearer}")];
const BOBS_BEARER: &[(&str, &str)] = &[("authorization", "{bob.bearer}")];
const APP: &[(&str, &str)] = &[("cookie", "{alice.app}")];
const READER: &[(&str, &str)] = &[("cookie", "{alice.reader}")];
const WRITER: &[(&str, &str)] = &[("cookie", "{alice.writer}")];
/// The cookie would do, but a bearer is shown.
const WORN_BEARER: &[(&str, &str)] = &[("cookie", "{alice.cookie}"), ("authorization", "Bearer worn")];
const EMPTY_STREAM: &[(&str, &str)] =
    &[("content-type", "=text/event-stream"), ("cache-control", "=no-store"), ("vary", "~pubky-host")];

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // ---- /events/ ----
    case("feed without events", "GET /events/?limit=0", 200).text("").answer(&[("content-type", "=text/plain"), ("cache-control", "!")]),
    case("feed with any Host", "GET /events/?limit=0", 200).host("anything.example").text(""),
    case("feed past the end", "GET /events/?cursor=9007199254740991", 200).text(""),
    case("feed cursor of letters", "GET /events/?cursor=abc", 400).text("Invalid cursor").answer(PLAIN),
    case("feed cursor below zero", "GET /events/?cursor=-1", 400).text("Invalid cursor"),
    case("feed cursor of no event's time", "GET /events/?cursor=0033DSXJS8WM0", 400).text("Invalid cursor"),
    case("feed cursor beyond numbers", "GET /events/?cursor=99999999999999999999", 400).text("Invalid cursor"),
    case("feed unreadable boolean", "GET /events/?reverse=perhaps", 400).text("Invalid boolean parameter").answer(&[("content-type", "!")]),
    case("feed unused boolean", "GET /events/?limit=0&shallow=maybe", 400).text("Invalid boolean parameter"),
    case("feed boolean that is read", "GET /events/?limit=0&reverse=true", 200).text(""),
    case("feed takes GET only", "POST /events/", 405),

    // ---- /events-stream: parameters ----
    case("stream without user", "GET /events-stream", 400).text("user parameter is required").answer(STREAM),
    case("stream of an empty user", "GET /events-stream?user=&user=", 400).text("user parameter is required"),
    case("stream of no key", "GET /events-stream?user=nobody", 400).text("Invalid public key: nobody").answer(STREAM),
    case("stream of a prefixed key", "GET /events-stream?user=pubky{alice}", 400).text("Invalid public key: pubky{alice}"),
    case("stream with limit zero", "GET /events-stream?user={alice}&limit=0", 400).text("limit must be at least 1").answer(STREAM),
    case("stream live and reverse", "GET /events-stream?user={alice}&live=true&reverse=1", 400).text("Cannot use live mode with reverse ordering"),
    case("stream live is exact", "GET /events-stream?user={alice}:9007199254740991&live=TRUE&reverse=yes", 200).text("").answer(EMPTY_STREAM),
    case("stream ignores the unknown", "GET /events-stream?user={alice}:9007199254740991&colour=red", 200).text(""),
    case("stream path ignored when empty", "GET /events-stream?user={alice}:9007199254740991&path=", 200).text(""),
    case("stream large limit", "GET /events-stream?user={alice}:9007199254740991&limit=65535", 200).text(""),
    case("stream takes GET only", "POST /events-stream", 405).answer(&[("allow", "=GET")]),
    case("stream refuses HEAD", "HEAD /events-stream", 405).answer(&[("allow", "=GET")]),

    // ---- /events-stream: users and cursors ----
    case("stream of nobody", "GET /events-stream?user={nobody}", 404).text("Not Found").answer(STREAM),
    case("stream bad cursor", "GET /events-stream?user={alice}:abc", 400).text("Invalid cursor: abc").answer(STREAM),
    case("stream empty cursor", "GET /events-stream?user={alice}:", 400).text("Invalid cursor: "),
    case("stream nobody before a later cursor", "GET /events-stream?user={nobody}&user={alice}:abc", 404).text("Not Found"),
    case("stream cursor before a later nobody", "GET /events-stream?user={alice}:abc&user={nobody}", 400).text("Invalid cursor: abc"),
    case("stream limit before nobody", "GET /events-stream?user={nobody}&limit=0", 400).text("limit must be at least 1"),

    // ---- /events-stream: what may be read ----
    case("stream of the root", "GET /events-stream?user={alice}&path=/", 403)
        .text("Reading from directories other than '/pub/' and '/priv/' is forbidden").answer(STREAM),
    case("stream of pub without slash", "GET /events-stream?user={alice}&path=/pub", 403),
    case("stream of elsewhere before nobody", "GET /events-stream?user={nobody}&path=/other/", 403),
    case("stream of secrets, anonymous", "GET /events-stream?user={alice}&path=/priv/", 401).text("Authentication required to read private storage").answer(STREAM),
    case("stream of secrets before the cursor", "GET /events-stream?user={alice}:abc&path=/priv/", 401),
    case("stream of nobody's secrets, anonymous", "GET /events-stream?user={nobody}&path=/priv/", 401),
    case("stream of secrets, another's cookie", "GET /events-stream?user={alice}&path=/priv/", 401).with(BOB),
    case("stream of secrets, another's bearer", "GET /events-stream?user={alice}&path=/priv/", 403).with(BOBS_BEARER),
    case("stream of secrets of two", "GET /events-stream?user={alice}&user={bob}&path=/priv/", 403).with(ALICE).host("{alice}"),
    case("stream of secrets of two, a bearer", "GET /events-stream?user={alice}&user={bob}&path=/priv/", 403).with(ALICES_BEARER),
    case("stream of secrets of two, anonymous", "GET /events-stream?user={alice}&user={bob}&path=/priv/", 401),
    case("stream of secrets, mixed with public", "GET /events-stream?user={alice}&path=/pub/&path=/priv/", 401),
    case("stream of secrets, beyond the scope", "GET /events-stream?user={alice}&path=/priv/", 403).with(READER),
    case("stream of secrets, no such scope", "GET /events-stream?user={alice}&path=/priv/app/", 403).with(APP),
    case("stream of secrets, write-only", "GET /events-stream?user={alice}&path=/priv/app/", 403).with(WRITER),
    case("stream of secrets, within the scope", "GET /events-stream?user={alice}:9007199254740991&path=/priv/app/", 200).with(READER).text(""),
    case("stream of secrets, the owner", "GET /events-stream?user={alice}:9007199254740991&path=/priv/", 200).with(ALICE).text("").answer(EMPTY_STREAM),
    case("stream of secrets, a bearer hides cookies", "GET /events-stream?user={alice}&path=/priv/", 401).with(WORN_BEARER),
    case("stream bad cursor, the owner", "GET /events-stream?user={alice}:abc&path=/priv/", 400).with(ALICE).text("Invalid cursor: abc"),
];
