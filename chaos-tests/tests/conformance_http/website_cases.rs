//! Websites by Host (docs/rules/protocol.md#websites).

use super::case::{ALICE, Case, PLAIN, case};

const STAMPS: &[(&str, &str)] = &[("cache-control", "=no-cache"), ("x-content-type-options", "=nosniff")];

/// What the site of alice's key, or of a label before it, answers.
const fn site_case(name: &'static str, request: &'static str, status: u16) -> Case {
    case(name, request, status).host("{alice}").answer(STAMPS)
}

pub const CASES: &[Case] = &[
    case("a home page", "PUT /storage/{alice}/pub/website/_/index.html", 201).with(ALICE).body(b"home"),
    case("a page of a folder", "PUT /storage/{alice}/pub/website/_/docs/index.html", 201)
        .with(ALICE)
        .body(b"docs"),
    case("a file", "PUT /storage/{alice}/pub/website/_/a%20b.css", 201).with(ALICE).body(b"a{}"),
    case("a folder without an index", "PUT /storage/{alice}/pub/website/_/assets/x.svg", 201)
        .with(ALICE)
        .body(b"<svg/>"),
    case("a page for what is missing", "PUT /storage/{alice}/pub/website/_/404.html", 201)
        .with(ALICE)
        .body(b"missing"),
    case("a home page of a label", "PUT /storage/{alice}/pub/website/blog/index.html", 201)
        .with(ALICE)
        .body(b"blog"),
    site_case("the home page", "GET /", 200).text("home").answer(&[
        ("cache-control", "=no-cache"),
        ("x-content-type-options", "=nosniff"),
        ("content-type", "=text/html"),
        ("content-length", "=4"),
        ("etag", "?"),
        ("last-modified", "~GMT"),
        ("accept-ranges", "=bytes"),
        ("vary", "-pubky-host"),
        ("set-cookie", "!"),
    ]),
    site_case("its head", "HEAD /", 200).answer(&[
        ("cache-control", "=no-cache"),
        ("x-content-type-options", "=nosniff"),
        ("content-length", "=4"),
    ]),
    site_case("the home page by its name", "GET /index.html", 200).text("home"),
    site_case("a style sheet", "GET /a%20b.css?v=1", 200)
        .text("a{}")
        .answer(&[("content-type", "=text/css")]),
    site_case("a folder", "GET /docs/", 200).text("docs"),
    site_case("a folder by dots", "GET /x/../docs/.", 200).text("docs"),
    site_case("a folder without its slash", "GET /docs?lang=en", 301)
        .text("")
        .answer(&[("location", "=/docs/?lang=en"), ("cache-control", "=no-cache")]),
    site_case("a folder without its slash, by HEAD", "HEAD /docs", 301).answer(&[("location", "=/docs/")]),
    site_case("a redirect stays on this host", "GET //docs", 301).answer(&[("location", "=/docs/")]),
    site_case("a missing page", "GET /nope.html", 404).text("missing").answer(&[
        ("content-type", "=text/html"),
        ("cache-control", "=no-cache"),
        ("x-content-type-options", "=nosniff"),
        ("etag", "!"),
        ("last-modified", "!"),
    ]),
    site_case("a missing page, by HEAD", "HEAD /nope.html", 404)
        .answer(&[("content-length", "=7"), ("etag", "!")]),
    site_case("a folder is never listed", "GET /assets/", 404).text("missing"),
    site_case("the page for what is missing, by its name", "GET /404.html", 200).text("missing"),
    site_case("an encoded segment is no segment of the protocol", "GET /%70ub/app/a.txt", 404)
        .text("missing"),
    site_case("not UTF-8", "GET /%FF", 400).text("Website path is not valid UTF-8"),
    site_case("above the site", "GET /a/%2e%2e%2F..%2Fpriv/app/secret.txt", 400)
        .text("Invalid website path: path traverses above root")
        .answer(PLAIN),
    site_case("a backslash", "GET /%5Cexample.com", 400),
    site_case("pubky-host and cookies do not matter", "GET /", 200)
        .with(&[("pubky-host", "{bob}"), ("cookie", "{bob.cookie}"), ("authorization", "{bob.bearer}")])
        .text("home")
        .answer(&[("set-cookie", "!"), ("cache-control", "=no-cache")]),
    site_case("a label", "GET /", 200).host("blog.{alice}").text("blog"),
    site_case("a label has no page of another site", "GET /docs/", 404)
        .host("blog.{alice}")
        .text("Not Found"),
    site_case("a label without a site", "GET /", 404).host("none.{alice}").text("Not Found").answer(PLAIN),
    site_case("a port and a dot", "GET /", 200).host("blog.{alice}.:6287").text("blog"),
    site_case("nobody's site", "GET /", 404).host("{nobody}").text("Not Found"),
    case("the SDK's host is no site", "GET /", 200).host("_pubky.{alice}").text("Pubky Homeserver"),
    case("two labels are no site", "GET /", 200).host("a.b.{alice}").text("Pubky Homeserver"),
    case("an underscore is no site", "GET /", 200).host("a_b.{alice}").text("Pubky Homeserver"),
    case("the homeserver's key is no site", "GET /", 200).host("{homeserver}").text("Pubky Homeserver"),
    case("another domain is no site", "GET /", 200).host("example.com").text("Pubky Homeserver"),
    case("pubky-host alone is no site", "GET /", 200)
        .with(&[("pubky-host", "{alice}")])
        .text("Pubky Homeserver"),
    case("files of the protocol stay", "GET /pub/app/a.txt", 200)
        .host("{alice}")
        .text("hello")
        .answer(&[("vary", "~pubky-host"), ("x-content-type-options", "!")]),
    case("storage stays", "GET /storage/{alice}/pub/app/a.txt", 200).host("{bob}").text("hello"),
    case("sessions stay", "GET /session", 401).host("{alice}").text("No authenticated session found"),
    case("features are told", "GET /info", 200)
        .host("{alice}")
        .answer(&[("cache-control", "=no-store"), ("x-content-type-options", "!")]),
    case("writes are the protocol's", "PUT /index.html", 401).host("{alice}").body(b"x"),
    case("a site may have its names elsewhere", "GET /dav/x", 403).host("{alice}"),
    case("a second name that is kept", "GET /drive/x", 403).host("{alice}"),
];
