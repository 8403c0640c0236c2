//! Who may do what: sessions, bearers, cookies, capabilities (docs/rules/protocol.md#capabilities).

use super::case::{Case, PLAIN, case};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

pub const CASES: &[Case] = &[
    case("write without session", "PUT /storage/{alice}/pub/app/x", 401)
        .text("No authenticated session found")
        .answer(PLAIN),
    case("delete without session", "DELETE /storage/{alice}/pub/app/x", 401).text("No authenticated session found"),
    case("write with bearer", "PUT /storage/{alice}/pub/app/bearer.txt", 201)
        .with(&[("authorization", "{alice.bearer}")])
        .body(b"1")
        .text(""),
    case("a foreign cookie is not seen", "PUT /storage/{alice}/pub/app/x", 401).with(&[("cookie", "{bob.cookie}")]),
    case("a foreign bearer is refused", "PUT /storage/{alice}/pub/app/x", 403)
        .with(&[("authorization", "{bob.bearer}")])
        .text("Session user does not match target tenant")
        .answer(PLAIN),
    case("a bad bearer falls through to the cookie", "PUT /storage/{alice}/pub/app/fallback.txt", 201)
        .with(&[
            ("authorization", "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ("cookie", "{alice.cookie}"),
        ])
        .body(b"1"),
    case("a short bearer falls through", "PUT /storage/{alice}/pub/app/fallback.txt", 201)
        .with(&[("authorization", "Bearer x"), ("cookie", "{alice.cookie}")])
        .body(b"1"),
    case("an unknown bearer", "PUT /storage/{alice}/pub/app/x", 401)
        .with(&[("authorization", "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]),
    case("a bearer of strange bytes", "PUT /storage/{alice}/pub/app/x", 401)
        .with(&[("authorization", "Bearer \u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}a")]),
    case("another scheme", "PUT /storage/{alice}/pub/app/x", 401).with(&[("authorization", "Basic YTpi")]),
    case("a malformed cookie header", "PUT /storage/{alice}/pub/app/x", 401).with(&[("cookie", ";;=;{alice}=;=x;")]),
    case("a wrong secret", "PUT /storage/{alice}/pub/app/x", 401)
        .with(&[("cookie", "{alice}=AAAAAAAAAAAAAAAAAAAAAAAAAA")]),
    case("the cookie among others", "PUT /storage/{alice}/pub/app/among.txt", 201)
        .with(&[("cookie", "a=b; {alice.cookie}; c=d")])
        .body(b"1"),
    case("within capabilities", "PUT /storage/{alice}/pub/app/in.txt", 201).with(&[("cookie", "{alice.app}")]).body(b"1"),
    case("outside capabilities", "PUT /storage/{alice}/pub/other/out.txt", 403)
        .with(&[("cookie", "{alice.app}")])
        .text("Session does not have write access to path")
        .answer(PLAIN),
    case("a folder's scope does not cover its name", "PUT /storage/{alice}/pub/app", 403).with(&[("cookie", "{alice.app}")]),
    case("reading rights do not write", "PUT /storage/{alice}/pub/app/x", 403).with(&[("cookie", "{alice.reader}")]),
    case("an exact scope covers its path", "PUT /storage/{alice}/pub/app/only.txt", 201)
        .with(&[("cookie", "{alice.exact}")])
        .body(b"1"),
    case("and nothing below", "PUT /storage/{alice}/pub/app/only.txt/x", 403).with(&[("cookie", "{alice.exact}")]),
    case("no capabilities", "PUT /storage/{alice}/pub/app/x", 403).with(&[("cookie", "{alice.none}")]),
    case("outside of pub and priv", "PUT /storage/{alice}/other/x", 403)
        .with(&[("cookie", "{alice.cookie}")])
        .text("Writing to directories other than '/pub/' and '/priv/' is forbidden")
        .answer(PLAIN),
    case("pub itself", "PUT /storage/{alice}/pub", 403).with(&[("cookie", "{alice.cookie}")]),
    case("a directory is no target", "PUT /storage/{alice}/pub/app/", 400)
        .with(&[("cookie", "{alice.cookie}")])
        .text("Target path must be a file")
        .answer(PLAIN),
    case("no session beats directory", "PUT /storage/{alice}/pub/app/", 401),
    case("directory beats capability", "PUT /storage/{alice}/pub/other/", 400).with(&[("cookie", "{alice.app}")]),
    case("delete of a directory", "DELETE /storage/{alice}/pub/app/", 400).with(&[("cookie", "{alice.cookie}")]),
    case("read outside of pub and priv", "GET /storage/{alice}/other/x", 403)
        .text("Reading from directories other than '/pub/' and '/priv/' is forbidden")
        .answer(PLAIN),
    case("read pub without slash", "GET /storage/{alice}/pub", 403),
    case("private read without session", "GET /storage/{alice}/priv/app/secret.txt", 401)
        .text("Authentication required to read private storage")
        .answer(&[
            ("content-type", "=text/plain; charset=utf-8"),
            ("cache-control", "=no-store"),
            ("vary", "~authorization"),
            ("vary", "~cookie"),
            ("etag", "!"),
        ]),
    case("absence is not told either", "GET /storage/{alice}/priv/app/none", 401),
    case("private read by the owner", "GET /storage/{alice}/priv/app/secret.txt", 200)
        .with(&[("cookie", "{alice.cookie}")])
        .text("secret")
        .answer(&[("cache-control", "=no-store"), ("vary", "~authorization"), ("etag", "?")]),
    case("private read with reading rights", "GET /storage/{alice}/priv/app/secret.txt", 200)
        .with(&[("cookie", "{alice.reader}")]),
    case("private read outside capabilities", "GET /storage/{alice}/priv/app/secret.txt", 403)
        .with(&[("cookie", "{alice.app}")])
        .text("Session does not have read access to path")
        .answer(&[("cache-control", "=no-store")]),
    case("private read with a foreign bearer", "GET /storage/{alice}/priv/app/secret.txt", 403)
        .with(&[("authorization", "{bob.bearer}")])
        .text("Session user does not match target tenant"),
    case("private legacy read varies by host", "GET /priv/app/secret.txt", 200)
        .with(&[("pubky-host", "{alice}"), ("cookie", "{alice.cookie}")])
        .answer(&[("cache-control", "=no-store"), ("vary", "~pubky-host"), ("vary", "~cookie")]),
    case("private missing file", "GET /storage/{alice}/priv/app/none", 404)
        .with(&[("cookie", "{alice.cookie}")])
        .answer(&[("cache-control", "=no-store")]),
    case("private listing", "GET /storage/{alice}/priv/app/", 200)
        .with(&[("cookie", "{alice.cookie}")])
        .text("pubky://{alice}/priv/app/secret.txt")
        .answer(&[("cache-control", "=no-store")]),
    case("private listing without session", "GET /storage/{alice}/priv/app/", 401),
    case("private write without session", "PUT /storage/{alice}/priv/app/x", 401).answer(&[("cache-control", "=no-store")]),
    case("who am I by cookie", "GET /session", 200)
        .with(&[("pubky-host", "{alice}"), ("cookie", "{alice.cookie}")])
        .answer(&[("content-type", "=application/octet-stream")]),
    case("who am I without session", "GET /session", 401)
        .with(&[("pubky-host", "{alice}")])
        .text("No authenticated session found")
        .answer(PLAIN),
    case("a bearer is no cookie session", "GET /session", 401)
        .with(&[("pubky-host", "{alice}"), ("authorization", "{alice.bearer}")])
        .text("Unauthorized"),
    case("a cookie is no grant session", "GET /auth/grant/session", 401)
        .with(&[("pubky-host", "{alice}"), ("cookie", "{alice.cookie}")])
        .text("Unauthorized"),
    case("no grant session", "GET /auth/grant/session", 401).text("No authenticated session found"),
    case("grant session", "GET /auth/grant/session", 200)
        .with(&[("authorization", "{alice.bearer}")])
        .answer(&[("content-type", "=application/json")]),
    case("sign-out without tenant", "DELETE /session", 400).text("Missing request tenant").answer(PLAIN),
    case("sign-out without session", "DELETE /session", 200)
        .with(&[("pubky-host", "{alice}")])
        .text("")
        .answer(&[("set-cookie", "~{alice}="), ("set-cookie", "~Max-Age=0"), ("set-cookie", "~Path=/")]),
    case("bearer sign-out without bearer", "DELETE /auth/grant/session", 200).text(""),
    case("signup without Host", "POST /signup", 400).host("").text("Header of type `host` was missing"),
    case("sign-in without Host", "POST /session", 400).host("").text("Header of type `host` was missing"),
    case("signup with nothing", "POST /signup", 400).answer(PLAIN),
    case("signup with garbage", "POST /signup", 400).body(&[7; 200]).answer(PLAIN),
    case("signup with an empty namespace", "POST /signup", 400).body(&[0; 116]),
    case("sign-in with garbage", "POST /session", 400).body(b"garbage"),
    case("signup token of bad form", "POST /signup?signup_token=nonsense", 400)
        .text("Invalid signup token format: Invalid signup code id"),
    case("signup has no GET", "GET /signup", 405),
    case("exchange without content type", "POST /auth/grant/session", 415).body(b"{}"),
    case("exchange with another content type", "POST /auth/grant/session", 415)
        .with(&[("content-type", "text/plain")])
        .body(b"{}"),
    case("exchange with broken JSON", "POST /auth/grant/session", 400).with(JSON).body(b"{\"grant\":"),
    case("exchange with missing fields", "POST /auth/grant/session", 422).with(JSON).body(b"{}"),
    case("exchange with something that is no JWS", "POST /auth/grant/session", 422)
        .with(JSON)
        .body(b"{\"grant\":\"a\",\"pop\":\"b\"}"),
    case("exchange with an unreadable grant", "POST /auth/grant/session", 400)
        .with(JSON)
        .body(b"{\"grant\":\"a.b.c\",\"pop\":\"a.b.c\"}")
        .text("Invalid grant: invalid grant format")
        .answer(PLAIN),
    case("grant signup with an unreadable grant", "POST /auth/grant/signup", 400)
        .with(JSON)
        .body(b"{\"grant\":\"a.b.c\",\"pop\":\"a.b.c\"}")
        .text("Invalid grant: invalid grant format"),
    case("proof logout with another content type", "DELETE /auth/grant/session", 415)
        .with(&[("content-type", "text/plain")])
        .body(b"x"),
];
