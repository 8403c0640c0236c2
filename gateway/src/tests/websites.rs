//! Websites by Host: which file answers, with which headers, and what the owner's shard is asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use rowhouse_proto::wire::shard::{Account, Bandwidth, Entry, query_reply, query_request};
use rowhouse_proto::{CHUNK_BYTES, ErrorCode};

use crate::testing::{Fixture, Reply, Script, User, failure};

const OBJECT: Bytes = Bytes::from_static(&[6; 16]);

#[derive(Clone, Copy, Default)]
struct Owner {
    disabled: bool,
    /// The node is of a release that judges no owners.
    old_node: bool,
}

struct Site {
    fixture: Fixture,
    owner: User,
}

fn entry_of(path: &str, body: &'static str, head: bool) -> Entry {
    let content_type = if path.ends_with(".html") { "text/html" } else { "text/plain" };
    Entry {
        hash: blake3::hash(body.as_bytes()).as_bytes().to_vec().into(),
        length: body.len() as u64,
        content_type: content_type.into(),
        modified_ms: 1_445_412_480_000,
        body: if head { Bytes::new() } else { Bytes::from_static(body.as_bytes()) },
        ..Entry::default()
    }
}

impl Site {
    /// Files of the owner: path below `/pub/website`, and body.
    async fn with(files: &[(&str, &'static str)], owner: Owner) -> Self {
        Self::configured(files, owner, |_| {}).await
    }

    async fn configured(
        files: &[(&str, &'static str)],
        state: Owner,
        change: impl FnOnce(&mut crate::GatewayConfig),
    ) -> Self {
        let owner = User::random();
        let (tenant, files) = (owner.key.as_bytes().to_vec(), files.iter().copied());
        let files: BTreeMap<String, &'static str> =
            files.map(|(path, body)| (format!("/pub/website{path}"), body)).collect();
        let script = Script::query(move |request| {
            let refused = |code| query_reply::Result::Failure(failure(code));
            Ok(match request.op.expect("an operation") {
                query_request::Op::ReadEntry(read) if read.tenant == tenant => match files.get(&read.path) {
                    _ if read.of_enabled && state.disabled && !state.old_node => {
                        refused(ErrorCode::UserDisabled)
                    }
                    None => refused(ErrorCode::NotFound),
                    Some(body) => query_reply::Result::Entry(Entry {
                        of_enabled: read.of_enabled && !state.old_node,
                        ..entry_of(&read.path, body, read.head)
                    }),
                },
                query_request::Op::GetUser(get) if get.tenant == tenant => {
                    query_reply::Result::Account(Account { disabled: state.disabled, ..Account::default() })
                }
                _ => refused(ErrorCode::NotFound),
            })
        });
        Self { fixture: Fixture::with(script, change).await, owner }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut all = vec![("host", self.owner.z32.as_str())];
        all.extend_from_slice(headers);
        let reply = self.fixture.client.send(method, path, &all, b"").await;
        assert_eq!(reply.header("cache-control").as_deref(), Some("no-cache"), "{method} {path}");
        assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"), "{method} {path}");
        assert!(!reply.header("vary").expect("CORS").contains("pubky-host"), "{method} {path}");
        assert_eq!(reply.header("set-cookie"), None);
        reply
    }

    /// What its shard was asked for, in order.
    fn asked(&self) -> Vec<String> {
        let told = |op: Option<query_request::Op>| match op {
            Some(query_request::Op::ReadEntry(read)) => {
                read.path.trim_start_matches("/pub/website").to_owned()
            }
            other => format!("{other:?}").chars().take_while(|c| c.is_alphanumeric() || *c == '(').collect(),
        };
        self.fixture.node.queried().into_iter().map(|request| told(request.op)).collect()
    }
}

#[tokio::test]
async fn a_page_that_is_there_is_one_question() {
    let site = Site::with(&[("/_/index.html", "home"), ("/_/a b.html", "a b")], Owner::default()).await;
    let home = site.get("/", &[]).await;
    assert_eq!((home.status, home.text().as_str()), (200, "home"));
    for (name, value) in [
        ("content-length", "4"),
        ("content-type", "text/html"),
        ("accept-ranges", "bytes"),
        ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ] {
        assert_eq!(home.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(home.header("etag").map(|etag| etag.len()), Some(46));
    assert_eq!(site.get("/a%20b.html?x=1", &[]).await.text(), "a b");
    assert_eq!(site.asked(), ["/_/index.html", "/_/a b.html"]);
    // Neither pubky-host nor credentials change what comes.
    let other = User::random();
    let headers = [
        ("pubky-host", other.z32.as_str()),
        ("cookie", site.owner.cookie.as_str()),
        ("authorization", other.authorization.as_str()),
    ];
    assert_eq!(site.get("/", &headers).await.text(), "home");
    for request in site.fixture.node.queried() {
        let Some(query_request::Op::ReadEntry(read)) = request.op else { panic!("one kind of question") };
        assert!(read.credential.is_none() && read.of_enabled && !read.head);
    }
}

#[tokio::test]
async fn a_label_has_a_site_of_its_own() {
    let files = [("/_/index.html", "home"), ("/_/404.html", "lost"), ("/blog/index.html", "blog")];
    let site = Site::with(&files, Owner::default()).await;
    let blog = format!("BLOG.{}.:6287", site.owner.z32.to_uppercase());
    let client = &site.fixture.client;
    assert_eq!(client.get("/", &[("host", &blog)]).await.text(), "blog");
    let none = client.get("/docs/", &[("host", &blog)]).await;
    assert_eq!((none.status, none.text().as_str()), (404, "Not Found"), "not the page of another site");
    let nobody = client.get("/", &[("host", &User::random().z32)]).await;
    assert_eq!((nobody.status, nobody.text().as_str()), (404, "Not Found"));
}

#[tokio::test]
async fn a_directory_without_its_slash_is_moved_to_where_its_links_resolve() {
    let files = [("/_/docs/index.html", "docs"), ("/_/a b/c/index.html", "c")];
    let site = Site::with(&files, Owner::default()).await;
    for method in ["GET", "HEAD"] {
        let moved = site.send(method, "/docs?lang=en&x=%20", &[]).await;
        assert_eq!((moved.status, moved.text().as_str()), (301, ""));
        assert_eq!(moved.header("location").as_deref(), Some("/docs/?lang=en&x=%20"));
    }
    let moved = site.get("/x/../a%20b//c", &[]).await;
    assert_eq!((moved.status, moved.header("location").as_deref()), (301, Some("/a%20b/c/")));
    assert_eq!(site.get("/docs/", &[]).await.text(), "docs");
    // Slashes collapse, so that no redirect names another host.
    assert_eq!(site.get("//docs", &[]).await.header("location").as_deref(), Some("/docs/"));
}

#[tokio::test]
async fn what_is_missing_is_the_sites_own_page_without_a_version() {
    let files = [("/_/404.html", "lost"), ("/_/assets/logo.txt", "logo")];
    let site = Site::with(&files, Owner::default()).await;
    let tagged = [("if-none-match", "\"x\""), ("range", "bytes=0-0")];
    for path in ["/nope.html", "/assets/", "/"] {
        let lost = site.get(path, &tagged).await;
        assert_eq!((lost.status, lost.text().as_str()), (404, "lost"), "{path}");
        assert_eq!(lost.header("content-type").as_deref(), Some("text/html"));
        for name in ["etag", "last-modified", "accept-ranges", "content-range"] {
            assert_eq!(lost.header(name), None, "{name}");
        }
        let head = site.send("HEAD", path, &[]).await;
        assert_eq!((head.status, head.header("content-length").as_deref()), (404, Some("4")), "{path}");
    }
    assert_eq!(site.get("/404.html", &[]).await.status, 200, "by its name it is a file");
    let before = site.asked().len();
    site.get("/nope", &[]).await;
    assert_eq!(site.asked()[before..], ["/_/nope", "/_/nope/index.html", "/_/404.html"]);
    let bare = Site::with(&[], Owner::default()).await;
    for (path, asked) in [("/x/", 2), ("/404.html", 2), ("/x", 3)] {
        let before = bare.asked().len();
        let reply = bare.get(path, &[]).await;
        assert_eq!((reply.status, reply.text().as_str()), (404, "Not Found"));
        assert_eq!(bare.asked().len() - before, asked, "{path}");
    }
}

#[tokio::test]
async fn conditions_and_ranges_hold_for_pages_that_are_there() {
    let site = Site::with(&[("/_/v.html", "0123456789")], Owner::default()).await;
    let whole = site.get("/v.html", &[]).await;
    let etag = whole.header("etag").expect("etag");
    for method in ["GET", "HEAD"] {
        let head = site.send(method, "/v.html", &[]).await;
        assert_eq!((head.status, head.header("content-length").as_deref()), (200, Some("10")));
        for condition in
            [("if-none-match", etag.as_str()), ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT")]
        {
            let same = site.send(method, "/v.html", &[condition]).await;
            assert_eq!((same.status, same.text().as_str()), (304, ""), "{method} {condition:?}");
            assert_eq!(same.header("etag").as_deref(), Some(etag.as_str()));
        }
    }
    for (range, status, text, told) in [
        ("bytes=0-1", 206, "01", Some("bytes 0-1/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=10-", 416, "", Some("bytes */10")),
        ("bytes=5-4", 200, "0123456789", None),
    ] {
        let part = site.get("/v.html", &[("range", range)]).await;
        assert_eq!((part.status, part.text().as_str()), (status, text), "{range}");
        assert_eq!(part.header("content-range").as_deref(), told, "{range}");
    }
    assert_eq!(site.send("HEAD", "/v.html", &[("range", "bytes=0-1")]).await.status, 200);
}

#[tokio::test]
async fn a_disabled_owner_has_no_site_whatever_the_release_of_the_node() {
    let files = [("/_/index.html", "home"), ("/_/404.html", "lost")];
    for old_node in [false, true] {
        let site = Site::with(&files, Owner { disabled: true, old_node }).await;
        for path in ["/", "/nope"] {
            let refused = site.get(path, &[]).await;
            assert_eq!((refused.status, refused.text().as_str()), (403, "User is disabled"), "{path}");
        }
    }
    let site = Site::with(&files, Owner { disabled: false, old_node: true }).await;
    assert_eq!(site.get("/", &[]).await.text(), "home");
    assert_eq!(site.asked(), ["/_/index.html", "Some(GetUser(GetUser"]);
}

#[tokio::test]
async fn bad_paths_are_refused_before_anybody_is_asked() {
    let site = Site::with(&[], Owner::default()).await;
    for (path, text) in [
        ("/%ff", "Website path is not valid UTF-8"),
        ("/../x", "Invalid website path: path traverses above root"),
        ("/%5Cx", "Invalid website path: path must not contain a backslash"),
    ] {
        let refused = site.get(path, &[("authorization", &site.owner.authorization)]).await;
        assert_eq!((refused.status, refused.text().as_str()), (400, text), "{path}");
    }
    assert_eq!(site.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn the_protocols_own_paths_methods_and_hosts_are_no_websites() {
    let site = Site::with(&[("/_/index.html", "home")], Owner::default()).await;
    let (client, owner) = (&site.fixture.client, site.owner.z32.as_str());
    let homeserver = pubky_common::crypto::Keypair::from_secret(&crate::testing::SECRET).public_key().z32();
    for host in [homeserver.as_str(), &format!("_pubky.{owner}"), &format!("a.b.{owner}"), "localhost"] {
        assert_eq!(client.get("/", &[("host", host)]).await.text(), "Pubky Homeserver", "{host}");
    }
    let legacy = client.get("/pub/website/_/index.html", &[("host", owner)]).await;
    assert_eq!((legacy.status, legacy.text().as_str()), (200, "home"));
    assert!(legacy.header("vary").expect("vary").starts_with("pubky-host"));
    for (path, status) in [("/dav/x", 403), ("/drive", 403), ("/session", 401), ("/info", 200)] {
        let reply = client.get(path, &[("host", owner)]).await;
        assert_eq!((reply.status, reply.header("x-content-type-options")), (status, None), "{path}");
    }
    assert_eq!(client.send("PUT", "/index.html", &[("host", owner)], b"x").await.status, 401);
    let options = client.send("OPTIONS", "/", &[("host", owner)], b"").await;
    assert_eq!((options.status, options.header("x-content-type-options")), (200, None));
}

#[tokio::test]
async fn without_the_setting_all_is_as_before() {
    let off = |config: &mut crate::GatewayConfig| config.gateway.websites = false;
    let site = Site::configured(&[("/_/index.html", "home")], Owner::default(), off).await;
    let root = site.fixture.client.get("/", &[("host", &site.owner.z32)]).await;
    assert_eq!((root.status, root.text().as_str()), (200, "Pubky Homeserver"));
    assert!(!site.fixture.client.get("/info", &[]).await.text().contains("websites"));
}

#[tokio::test]
async fn limits_count_the_file_that_answers() {
    let limited = |config: &mut crate::GatewayConfig| {
        let limit = crate::limits::RateLimit {
            path: "/pub/website/_/index.html".into(),
            quota: "1r/m".into(),
            ..crate::limits::RateLimit::defaults().remove(0)
        };
        config.limits.rate_limits = vec![crate::limits::RateLimit { key: "user".into(), ..limit }];
    };
    let site = Site::configured(&[("/_/index.html", "home")], Owner::default(), limited).await;
    for path in ["/", "/index.html", "/other.html"] {
        site.get(path, &[]).await;
    }
    let taken: u32 = site.fixture.node.taken().iter().map(|take| take.cells).sum();
    assert_eq!(taken, 2, "one for each spelling of the index");
}

#[tokio::test]
async fn a_shard_that_nobody_answers_for_is_503_and_never_404() {
    let script = Script::query(|_| Ok(query_reply::Result::Failure(failure(ErrorCode::Unavailable))));
    let fixture = Fixture::with(script, |config| {
        config.limits.retry_timeout_s = std::time::Duration::from_secs(1);
    })
    .await;
    for path in ["/", "/a"] {
        let reply = fixture.client.get(path, &[("host", &User::random().z32)]).await;
        assert_eq!((reply.status, reply.text().as_str()), (503, ErrorCode::Unavailable.text()));
        assert!(reply.header("retry-after").is_some());
        assert_eq!(reply.header("cache-control").as_deref(), Some("no-cache"));
    }
}

#[tokio::test]
async fn large_files_come_from_disks_and_at_the_readers_pace() {
    const LENGTH: usize = CHUNK_BYTES + 7;
    let body: Bytes = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    let script = Script::query(move |request| {
        let Some(query_request::Op::ReadEntry(read)) = request.op else { panic!("one kind of question") };
        let page = Entry { object: OBJECT, length: LENGTH as u64, of_enabled: true, ..Entry::default() };
        Ok(match read.path.ends_with("404.html") {
            true => query_reply::Result::Entry(page),
            false if read.path.ends_with("v.mp4") => query_reply::Result::Entry(page),
            false => query_reply::Result::Failure(failure(ErrorCode::NotFound)),
        })
    });
    let (fixture, owner) = (Fixture::start(script).await, User::random());
    fixture.node.disk.keep(&OBJECT, &body);
    let get = async |path, headers: &[(&str, &str)]| {
        let mut all = vec![("host", owner.z32.as_str())];
        all.extend_from_slice(headers);
        fixture.client.get(path, &all).await
    };
    let whole = get("/v.mp4", &[]).await;
    assert!(whole.status == 200 && whole.body == body);
    let part = get("/v.mp4", &[("range", "bytes=1048575-1048577")]).await;
    assert!(part.status == 206 && part.body == body[CHUNK_BYTES - 1..CHUNK_BYTES + 2]);
    let lost = get("/none", &[]).await;
    assert!(lost.status == 404 && lost.body == body);
    let rate = rowhouse_proto::wire::shard::BandwidthRate {
        kib_per_period: 4096,
        period_ms: 1_000,
        burst_kib: 4096,
    };
    let user = owner.key.as_bytes().to_vec().into();
    fixture.node.tell(Bandwidth { user, read: Some(rate), write: None });
    assert!(get("/v.mp4", &[("cookie", &owner.cookie)]).await.body == body);
    let taken: u32 = fixture.node.taken().iter().map(|take| take.cells).sum();
    assert_eq!(taken as usize, LENGTH.div_ceil(1024));
}
