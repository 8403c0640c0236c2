//! `/dav` over a scripted drive: the password, listings and reads, as file managers and browsers see them.

use std::sync::Arc;

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{query_reply, query_request};
use xml::reader::EventReader;

use crate::testing::{Drive, SHARDS, Script, User, account, answer, assert_harmless, dechunked, failure};

#[tokio::test]
async fn options_say_dav_to_everybody_and_all_else_needs_the_password() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    for path in ["/dav", "/dav/", &drive.url("/pub/a")] {
        let reply = drive.client.send("OPTIONS", path, &[], b"").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("dav").as_deref(), Some("1, 2"));
        assert_eq!(reply.header("ms-author-via").as_deref(), Some("DAV"));
        assert!(
            reply.header("allow").is_some_and(|allow| allow.contains("PROPFIND") && allow.contains("MOVE"))
        );
        assert_harmless(&reply, path);
        let preflight = [("origin", "https://dashboard"), ("access-control-request-method", "MOVE")];
        let reply = drive.client.send("OPTIONS", path, &preflight, b"").await;
        assert_eq!((reply.status, reply.header("dav")), (200, None));
        assert!(reply.header("access-control-allow-methods").is_some_and(|methods| methods.contains("MOVE")));
        for method in ["GET", "PUT", "PROPFIND", "LOCK", "BREW"] {
            // Wrong passwords are bounded, and asking whether one is needed is not.
            let wrong = [("authorization", "Basic YWRtaW46YWRtaW4=")];
            let headers = if method == "PUT" { &wrong[..] } else { &[] };
            let reply = drive.client.send(method, path, headers, b"").await;
            assert_eq!(reply.status, 401, "{method} {path}");
            assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
            assert_harmless(&reply, path);
        }
    }
    // Beside it nothing says so.
    assert_eq!(drive.client.send("OPTIONS", "/davx", &[], b"").await.header("dav"), None);
    assert!(drive.executed().is_empty() && drive.fixture.node.queried().is_empty());
    assert_eq!(drive.send("BREW", "/pub/a", &[], b"").await.status, 405);
}

#[tokio::test]
async fn every_legal_name_is_told_and_its_href_gets_that_very_file() {
    let names = [
        "a&b",
        "a<b>",
        "t #:?3.txt",
        "100%25",
        "x(2).pdf",
        "é",
        "\"q\"",
        "a;b=c",
        "a b",
        "'",
        "]]>",
        "<!--",
        "&amp;",
        "\u{1F600}",
        "x\u{FFFE}y",
        "\u{FFFF}",
        "%2F",
        "+",
        "~",
        "nbsp\u{A0}x",
        "<img src=x onerror=alert(1)>",
    ];
    let paths: Vec<String> = names.iter().map(|name| format!("/pub/n/{name}")).collect();
    let mut files: Vec<(&str, &str)> =
        paths.iter().zip(names).map(|(path, name)| (path.as_str(), name)).collect();
    files.push(("/pub/n/d&<>/x", "x"));
    let drive = Drive::with(&files).await;
    let found = drive.propfind("/pub/n/", "1", "").await;
    assert_eq!(found.len(), 1 + names.len() + 1);
    assert_eq!(found[0].href, drive.url("/pub/n/"));
    let mut got = Vec::new();
    for one in &found[1..] {
        if one.properties["resourcetype"] == "collection" {
            assert!(one.href.ends_with('/') && one.properties["displayname"] == "d&<>", "{one:?}");
            assert_eq!(drive.propfind(&one.href, "1", "").await.len(), 2);
            continue;
        }
        let reply = drive.send("GET", &one.href, &[], b"").await;
        assert_eq!(reply.status, 200, "{one:?}");
        let name = reply.text();
        let shown: String = name.chars().filter(|c| !['\u{FFFE}', '\u{FFFF}'].contains(c)).collect();
        assert_eq!(one.properties["displayname"], shown);
        assert_eq!(one.properties["getcontentlength"], name.len().to_string());
        assert_eq!(reply.header("etag").as_deref(), Some(one.properties["getetag"].as_str()));
        assert_eq!(
            reply.header("last-modified").as_deref(),
            Some(one.properties["getlastmodified"].as_str())
        );
        got.push(name);
    }
    got.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn properties_that_are_missing_are_told_as_missing() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    let ask = "<propfind xmlns=\"DAV:\"><prop><quota-used-bytes/><quota-available-bytes/><getetag/>\
               <x:y xmlns:x=\"urn:&quot;&lt;\"/></prop></propfind>";
    for path in ["/", "/pub/"] {
        let found = drive.propfind(path, "0", ask).await;
        assert_eq!(found[0].properties["quota-used-bytes"], "576");
        assert_eq!(found[0].properties["quota-available-bytes"], (1024 * 1024 - 576).to_string());
        assert_eq!(found[0].missing, ["getetag", "y"]);
    }
    let found = drive.propfind("/pub/a", "0", ask).await;
    assert_eq!(found[0].missing, ["quota-used-bytes", "quota-available-bytes", "y"]);
    let names = drive.propfind("/pub/a", "0", "<propfind xmlns=\"DAV:\"><propname/></propfind>").await;
    assert!(names[0].properties["getetag"].is_empty());
    let deep = "<a>".repeat(5000);
    for body in ["<propfind/>", "<propfind xmlns=\"DAV:\">", "{}", &deep] {
        let reply = drive.send("PROPFIND", "/pub/a", &[("depth", "0")], body.as_bytes()).await;
        assert_eq!(reply.status, 400, "{body:.40}");
    }
    let reply = drive.send("PROPFIND", "/pub/a", &[("depth", "0")], &[b' '; 65 * 1024]).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn depth_is_finite_and_known() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    for path in ["/dav/", "/dav", "/", "", "/pub/", "/pub"] {
        let path = if path.starts_with("/dav") { path.to_owned() } else { drive.url(path) };
        for (depth, status) in
            [("0", 207), ("1", 207), ("infinity", 403), ("Infinity", 403), ("1,noroot", 400), ("2", 400)]
        {
            let reply = drive.send("PROPFIND", &path, &[("depth", depth)], b"").await;
            assert_eq!(reply.status, status, "{path} {depth}");
        }
        let reply = drive.send("PROPFIND", &path, &[], b"").await;
        assert_eq!(reply.status, 403);
        assert!(reply.text().contains("<D:propfind-finite-depth/>"));
        EventReader::new(&reply.body[..]).into_iter().for_each(|event| drop(event.expect("well-formed")));
    }
    let root = drive.propfind("/dav/", "1", "").await;
    let hrefs: Vec<&str> = root.iter().map(|found| found.href.as_str()).collect();
    assert_eq!(hrefs, ["/dav/", &drive.url("/")]);
    let asked = drive.fixture.node.queried().into_iter();
    let lists = asked.filter(|query| matches!(query.op, Some(query_request::Op::ListUsers(_))));
    assert_eq!(lists.count() as u32 % SHARDS, 0, "each shard is asked once a listing");
    let user: Vec<String> = drive.propfind("/", "1", "").await.into_iter().map(|found| found.href).collect();
    assert_eq!(user, [drive.url("/"), drive.url("/priv/"), drive.url("/pub/")]);
    for missing in
        ["/pub/none", "/priv/none/", "/other/", "/dav/.DS_Store", &format!("/dav/{}/", User::random().z32)]
    {
        let reply = drive.send("PROPFIND", missing, &[("depth", "0")], b"").await;
        assert_eq!(reply.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn a_large_collection_comes_in_pages_and_never_as_a_part() {
    let drive = Drive::with(&[]).await;
    let many = (0..20_000).map(|number| (format!("/pub/d/{number:05}"), Bytes::from_static(b"x")));
    drive.files.lock().expect("files").extend(many);
    assert_eq!(drive.propfind("/pub/d/", "1", "").await.len(), 20_001);
    let asked = drive.fixture.node.queried().into_iter();
    let limits: Vec<u32> = asked
        .filter_map(|query| match query.op {
            Some(query_request::Op::ListCollection(op)) => Some(op.limit),
            _ => None,
        })
        .collect();
    assert!(limits.len() >= 40 && limits.iter().all(|limit| *limit <= 500), "{limits:?}");

    let (files, known) = (Arc::clone(&drive.files), account(&drive.user));
    let mut pages = 0;
    drive.fixture.node.script(Script::default().and_query(move |request| {
        if matches!(request.op, Some(query_request::Op::ListCollection(_))) {
            pages += 1;
            if pages == 3 {
                return Ok(query_reply::Result::Failure(failure(ErrorCode::Internal)));
            }
        }
        Ok(answer(&files, &known, 0, request))
    }));
    let reply = drive.send("PROPFIND", "/pub/d/", &[("depth", "1")], b"").await;
    assert!(dechunked(&reply.body).is_none(), "a part is not taken for the whole");
}

#[tokio::test]
async fn reads_are_ranged_sandboxed_and_never_a_listing() {
    let drive = Drive::with(&[("/pub/x.html", "<script>"), ("/priv/s", "secret")]).await;
    let reply = drive.send("GET", "/pub/x.html", &[("range", "bytes=1-3")], b"").await;
    assert_eq!((reply.status, reply.text().as_str()), (206, "scr"));
    assert_eq!(reply.header("cache-control").as_deref(), Some("private, must-revalidate"));
    let reply = drive.send("HEAD", "/pub/x.html", &[], b"").await;
    assert_eq!((reply.status, reply.header("content-length").as_deref()), (200, Some("8")));
    let reply = drive.send("GET", "/priv/s", &[], b"").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "secret"));
    assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
    for path in ["/dav/", "/", "/pub/", "/pub", "/priv"] {
        let reply = drive.send("GET", path, &[("accept", "text/html")], b"").await;
        assert_eq!((reply.status, reply.body.is_empty()), (405, true), "{path}");
    }
    assert_eq!(drive.send("GET", "/pub/none", &[], b"").await.status, 404);
}
