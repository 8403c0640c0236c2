//! Directories (docs/rules/protocol.md#listings).

use super::case::{Case, PLAIN, case};

const DIR: &str = "pubky://{alice}/pub/app/dir/c.txt\npubky://{alice}/pub/app/dir/d.txt";

pub const CASES: &[Case] = &[
    case("deep", "GET /storage/{alice}/pub/app/dir/", 200)
        .text(DIR)
        .answer(&[("content-type", "=text/plain"), ("cache-control", "!")]),
    case("a cookie changes nothing", "GET /storage/{alice}/pub/app/dir/", 200)
        .with(&[("cookie", "{alice.cookie}")])
        .text(DIR),
    case("legacy", "GET /pub/app/dir/", 200).with(&[("pubky-host", "{alice}")]).text(DIR),
    case("limit", "GET /storage/{alice}/pub/app/dir/?limit=1", 200).text("pubky://{alice}/pub/app/dir/c.txt"),
    case("limit of nothing", "GET /storage/{alice}/pub/app/dir/?limit=0", 200).text(""),
    case("an unreadable limit is the default", "GET /storage/{alice}/pub/app/dir/?limit=many", 200).text(DIR),
    case("a negative limit is the default", "GET /storage/{alice}/pub/app/dir/?limit=-1", 200).text(DIR),
    case("a large limit is the default", "GET /storage/{alice}/pub/app/dir/?limit=65536", 200).text(DIR),
    case("an empty limit is the default", "GET /storage/{alice}/pub/app/dir/?limit=", 200).text(DIR),
    case("a limit above the cap", "GET /storage/{alice}/pub/app/dir/?limit=65535", 200).text(DIR),
    case("cursor", "GET /storage/{alice}/pub/app/dir/?cursor={alice}/pub/app/dir/c.txt", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt"),
    case("cursor as it was listed", "GET /storage/{alice}/pub/app/dir/?cursor=pubky://{alice}/pub/app/dir/c.txt", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt"),
    case("an encoded cursor", "GET /storage/{alice}/pub/app/dir/?cursor=pubky%3A%2F%2F{alice}%2Fpub%2Fapp%2Fdir%2Fc.txt", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt"),
    case("the cursor's key is any key", "GET /storage/{alice}/pub/app/dir/?cursor={bob}/pub/app/dir/c.txt", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt"),
    case("a cursor of a file that is not there", "GET /storage/{alice}/pub/app/dir/?cursor={alice}/pub/app/dir/cc", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt"),
    case("an empty cursor", "GET /storage/{alice}/pub/app/dir/?cursor=", 200).text(DIR),
    case("past the end", "GET /storage/{alice}/pub/app/dir/?cursor={alice}/pub/app/dir/z", 200).text(""),
    case("a cursor without key", "GET /storage/{alice}/pub/app/dir/?cursor=/pub/app/dir/c.txt", 400)
        .text("Invalid cursor")
        .answer(PLAIN),
    case("a cursor of nonsense", "GET /storage/{alice}/pub/app/dir/?cursor=nonsense", 400).text("Invalid cursor"),
    case("a cursor that is not canonical", "GET /storage/{alice}/pub/app/dir/?cursor={alice}/pub//app", 400)
        .text("Invalid cursor"),
    case("a missing directory beats the cursor", "GET /storage/{alice}/pub/none/?cursor=nonsense", 404)
        .text("Directory Not Found")
        .answer(PLAIN),
    case("reverse", "GET /storage/{alice}/pub/app/dir/?reverse=true", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt\npubky://{alice}/pub/app/dir/c.txt"),
    case("reverse without value", "GET /storage/{alice}/pub/app/dir/?reverse", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt\npubky://{alice}/pub/app/dir/c.txt"),
    case("reverse as 1", "GET /storage/{alice}/pub/app/dir/?reverse=1", 200)
        .text("pubky://{alice}/pub/app/dir/d.txt\npubky://{alice}/pub/app/dir/c.txt"),
    case("reverse as No", "GET /storage/{alice}/pub/app/dir/?reverse=No", 200).text(DIR),
    case("reverse with cursor", "GET /storage/{alice}/pub/app/dir/?reverse=YES&cursor={alice}/pub/app/dir/d.txt", 200)
        .text("pubky://{alice}/pub/app/dir/c.txt"),
    case("an unreadable boolean", "GET /storage/{alice}/pub/app/dir/?reverse=perhaps", 400)
        .text("Invalid boolean parameter")
        .answer(&[("content-type", "!")]),
    case("shallow", "GET /storage/{alice}/pub/app/?shallow=true&limit=4&cursor={alice}/pub/app/b", 200)
        .text("pubky://{alice}/pub/app/b.json\npubky://{alice}/pub/app/bearer.txt\npubky://{alice}/pub/app/dir-file\npubky://{alice}/pub/app/dir/"),
    case("shallow cursor on a folder", "GET /storage/{alice}/pub/app/?shallow=true&limit=1&cursor={alice}/pub/app/dir/", 200)
        .text("pubky://{alice}/pub/app/fallback.txt"),
    case("shallow cursor below a folder skips it", "GET /storage/{alice}/pub/app/?shallow=true&limit=1&cursor={alice}/pub/app/dir/c.txt", 200)
        .text("pubky://{alice}/pub/app/fallback.txt"),
    case("shallow reverse", "GET /storage/{alice}/pub/app/?shallow=true&reverse=true&limit=2&cursor={alice}/pub/app/fallback.txt", 200)
        .text("pubky://{alice}/pub/app/dir/\npubky://{alice}/pub/app/dir-file"),
    case("deep order is by bytes", "GET /storage/{alice}/pub/app/?limit=3&cursor={alice}/pub/app/c", 200)
        .text("pubky://{alice}/pub/app/dir-file\npubky://{alice}/pub/app/dir/c.txt\npubky://{alice}/pub/app/dir/d.txt"),
    case("names are listed decoded", "GET /storage/{alice}/pub/app/?limit=1&cursor={alice}/pub/app/sp", 200)
        .text("pubky://{alice}/pub/app/sp ace.txt"),
    case("an underscore is no wildcard", "GET /storage/{alice}/pub/a_b/", 200).text("pubky://{alice}/pub/a_b/x"),
    case("a bracket is no pattern", "GET /storage/{alice}/pub/bracket(/?shallow=true", 200)
        .text("pubky://{alice}/pub/bracket(/z"),
    case("a missing directory", "GET /storage/{alice}/pub/none/", 404).text("Directory Not Found").answer(PLAIN),
    case("a file is no directory", "GET /storage/{alice}/pub/app/a.txt/", 404).text("Directory Not Found"),
    case("an unknown owner's", "GET /storage/{nobody}/pub/", 404).text("Directory Not Found"),
    case("a new user's", "GET /storage/{bob}/pub/", 404).text("Directory Not Found"),
];
