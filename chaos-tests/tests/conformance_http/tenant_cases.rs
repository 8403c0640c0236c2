//! Routing, CORS and whose storage is meant (docs/rules/protocol.md#whose-storage-is-meant).

use super::case::{ALICE, Case, PLAIN, case};

pub const CASES: &[Case] = &[
    case("root", "GET /", 200).text("Pubky Homeserver"),
    case("info", "GET /info", 200)
        .answer(&[("content-type", "=application/json"), ("cache-control", "=no-store")]),
    case("preflight is answered without routing", "OPTIONS /no/such/route", 200)
        .with(&[
            ("origin", "https://app.example"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization,x-y"),
        ])
        .text("")
        .answer(&[
            ("access-control-allow-origin", "=https://app.example"),
            ("access-control-allow-credentials", "=true"),
            ("access-control-allow-methods", "~PUT"),
            ("access-control-allow-headers", "~authorization"),
        ]),
    case("preflight of a malformed storage path", "OPTIONS /storage", 200).text(""),
    case("cross-origin read", "GET /storage/{alice}/pub/app/a.txt", 200)
        .with(&[("origin", "https://app.example")])
        .answer(&[
            ("access-control-allow-origin", "=https://app.example"),
            ("access-control-allow-credentials", "=true"),
            ("access-control-expose-headers", "~retry-after"),
            ("access-control-expose-headers", "~lock-token"),
            ("access-control-expose-headers", "~timeout"),
            ("vary", "~origin"),
        ]),
    case("cross-origin refusal keeps CORS", "GET /storage/{alice}/pub/app/none", 404)
        .with(&[("origin", "https://app.example")])
        .answer(&[("access-control-allow-origin", "=https://app.example")]),
    case("storage without owner", "GET /storage", 400).text("Missing storage owner or path").answer(PLAIN),
    case("storage with an empty owner", "GET /storage/", 400).text("Missing storage owner or path"),
    case("storage without path", "GET /storage/{alice}", 400).text("Missing storage path").answer(PLAIN),
    case("owner with prefix", "GET /storage/pubky{alice}/pub/x", 400)
        .text("Invalid storage owner public key"),
    case("owner too short", "GET /storage/abc/pub/x", 400)
        .text("Invalid storage owner public key")
        .answer(PLAIN),
    case(
        "owner with a letter outside the alphabet",
        "GET /storage/vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv/pub/x",
        400,
    )
    .text("Invalid storage owner public key"),
    case("bad owner beats missing session", "PUT /storage/abc/pub/x", 400)
        .text("Invalid storage owner public key"),
    case("bad owner beats the method", "POST /storage/abc/pub/x", 400),
    case("path not UTF-8", "GET /storage/{alice}/pub/%FF", 400)
        .text("Storage path is not valid UTF-8")
        .answer(PLAIN),
    case("path above root", "GET /storage/{alice}/../x", 400).answer(PLAIN),
    case("encoded path above root", "GET /storage/{alice}/%2e%2e/x", 400),
    case("control character", "GET /storage/{alice}/pub/a%00b", 400),
    case("C1 control character", "GET /storage/{alice}/pub/a%C2%85b", 400),
    case("backslash", "GET /storage/{alice}/pub/a%5Cb", 400),
    case("trailing whitespace", "GET /storage/{alice}/pub/a%20", 400),
    case("bad segment removed by dots is still bad", "GET /storage/{alice}/pub/a%00/../x", 400),
    case("bad path beats missing session", "PUT /storage/{alice}/pub/a%00b", 400),
    case("doubled slashes and dots collapse", "GET /storage/{alice}/pub//app/./a.txt", 200).text("hello"),
    case("dots resolve", "GET /storage/{alice}/pub/app/x/../a.txt", 200).text("hello"),
    case("encoded dots resolve", "GET /storage/{alice}/pub/app/x/%2e%2e/a.txt", 200).text("hello"),
    case("an encoded slash separates", "GET /storage/{alice}/pub%2Fapp%2Fa.txt", 200).text("hello"),
    case("decoded once", "GET /storage/{alice}/pub/app/sp%20ace.txt", 200).text("space"),
    case("not decoded twice", "GET /storage/{alice}/pub/app/sp%2520ace.txt", 404),
    case("paths are case-sensitive", "GET /storage/{alice}/pub/app/A.txt", 404),
    case("other methods", "POST /storage/{alice}/pub/app/a.txt", 405).text("").answer(&[
        ("allow", "~GET"),
        ("allow", "~HEAD"),
        ("allow", "~PUT"),
        ("allow", "~DELETE"),
    ]),
    case("pubky-host does not move a storage path", "GET /storage/{alice}/pub/app/a.txt", 200)
        .with(&[("pubky-host", "{bob}")])
        .text("hello")
        .answer(&[("vary", "-pubky-host")]),
    case("legacy by Host", "GET /pub/app/a.txt", 200)
        .host("{alice}")
        .text("hello")
        .answer(&[("vary", "~pubky-host")]),
    case("legacy by _pubky Host", "GET /pub/app/a.txt", 200).host("_pubky.{alice}").text("hello"),
    case("legacy by pubky-host", "GET /pub/app/a.txt", 200).with(&[("pubky-host", "{alice}")]).text("hello"),
    case("pubky-host overrides Host", "GET /pub/app/a.txt", 200)
        .host("{bob}")
        .with(&[("pubky-host", "{alice}")])
        .text("hello"),
    case("an invalid pubky-host leaves Host", "GET /pub/app/a.txt", 200)
        .host("{alice}")
        .with(&[("pubky-host", "nonsense")])
        .text("hello"),
    case("a prefixed pubky-host is skipped", "GET /pub/app/a.txt", 400)
        .with(&[("pubky-host", "pubky{alice}")])
        .text("Missing request tenant"),
    case("legacy by query", "GET /pub/app/a.txt?pubky-host={alice}", 200).text("hello"),
    case("the query comes last", "GET /pub/app/a.txt?pubky-host={bob}", 200)
        .with(&[("pubky-host", "{alice}")])
        .text("hello"),
    case("Host with a port names nobody", "GET /pub/app/a.txt", 400)
        .host("{alice}:6287")
        .text("Missing request tenant")
        .answer(PLAIN),
    case("legacy without tenant", "GET /pub/app/a.txt", 400).text("Missing request tenant").answer(PLAIN),
    case("legacy write without tenant", "PUT /pub/app/a.txt", 401),
    case("legacy write", "PUT /pub/app/legacy.txt", 201)
        .with(&[("pubky-host", "{alice}"), ("cookie", "{alice.cookie}")])
        .body(b"x")
        .text(""),
    case("legacy delete", "DELETE /pub/app/legacy.txt", 204)
        .with(&[("pubky-host", "{alice}"), ("cookie", "{alice.cookie}")]),
    case("signup token in open mode", "GET /signup_tokens/AAAA-BBBB-CCCC", 400)
        .text("Signup tokens not required")
        .answer(PLAIN),
    case("signup token takes GET only", "POST /signup_tokens/AAAA-BBBB-CCCC", 405)
        .text("")
        .answer(&[("allow", "=GET")]),
    case("signup token refuses HEAD", "HEAD /signup_tokens/AAAA-BBBB-CCCC", 405).answer(&[("allow", "=GET")]),
    case("a session does not change a bad path", "PUT /storage/{alice}/pub/a%5Cb", 400).with(ALICE),
];
