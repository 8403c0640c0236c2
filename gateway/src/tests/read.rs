//! GET, HEAD and listings: statuses, headers, bodies, and what the shard is asked.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Entry, Listing, QueryRequest, credential, query_reply, query_request};

use crate::testing::{Fixture, Script, User, failure};

fn entry() -> Entry {
    Entry {
        hash: vec![0xAB; 32].into(),
        length: 5,
        content_type: "text/plain".into(),
        modified_ms: 1_445_412_480_000,
        body: "hello".into(),
        ..Entry::default()
    }
}

const ETAG: &str = "\"q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\"";

fn found() -> Script {
    Script::query(|request| {
        Ok(match request.op {
            Some(query_request::Op::ListEntries(_)) => {
                query_reply::Result::Listing(Listing { paths: vec!["/pub/a b".into(), "/pub/dir/".into()] })
            }
            _ => query_reply::Result::Entry(entry()),
        })
    })
}

fn refusing(code: ErrorCode) -> Script {
    Script::query(move |_| Ok(query_reply::Result::Failure(failure(code))))
}

#[tokio::test]
async fn a_public_file_is_one_question_without_a_credential() {
    let fixture = Fixture::start(found()).await;
    let user = User::random();
    let headers = [("authorization", user.authorization.as_str()), ("cookie", user.cookie.as_str())];
    let reply = fixture.client.get(&user.storage("/pub/foo.txt"), &headers).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    for (name, value) in [
        ("content-length", "5"),
        ("content-type", "text/plain"),
        ("etag", ETAG),
        ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("cache-control", "private, must-revalidate"),
        ("accept-ranges", "bytes"),
        ("vary", "origin, access-control-request-method, access-control-request-headers"),
    ] {
        assert_eq!(reply.header(name).as_deref(), Some(value), "{name}");
    }
    let asked = fixture.node.queried();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].group, user.shard());
    let Some(query_request::Op::ReadEntry(read)) = &asked[0].op else { panic!("{asked:?}") };
    assert_eq!((read.path.as_str(), read.head, &read.credential), ("/pub/foo.txt", false, &None));
    assert_eq!(read.tenant, user.key.as_bytes().as_slice());
}

#[tokio::test]
async fn legacy_reads_vary_on_pubky_host() {
    let fixture = Fixture::start(found()).await;
    let user = User::random();
    let host = format!("_pubky.{}", user.z32);
    let reply = fixture.client.get("/pub/a", &[("host", &host)]).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("vary").expect("vary").starts_with("pubky-host | origin"), "{reply:?}");
    let listing = fixture.client.get("/pub/", &[("pubky-host", &user.z32)]).await;
    assert_eq!(listing.header("content-type").as_deref(), Some("text/plain"));
    assert_eq!(listing.header("cache-control"), None);
    assert!(listing.header("vary").expect("vary").starts_with("pubky-host"), "{listing:?}");
    let expected = format!("pubky://{0}/pub/a b\npubky://{0}/pub/dir/", user.z32);
    assert_eq!((listing.status, listing.text()), (200, expected));
}

#[tokio::test]
async fn head_has_the_files_headers_and_ignores_conditions() {
    let fixture = Fixture::start(found()).await;
    let user = User::random();
    let reply =
        fixture.client.send("HEAD", &user.storage("/pub/foo.txt"), &[("if-none-match", ETAG)], b"").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-length").as_deref(), Some("5"));
    assert_eq!(reply.header("etag").as_deref(), Some(ETAG));
    let asked = fixture.node.queried();
    let Some(query_request::Op::ReadEntry(read)) = &asked[0].op else { panic!("{asked:?}") };
    assert!(read.head);
}

#[tokio::test]
async fn conditions_that_hold_are_answered_304() {
    let fixture = Fixture::start(found()).await;
    let user = User::random();
    for header in [("if-none-match", ETAG), ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT")] {
        let reply = fixture.client.get(&user.storage("/pub/a"), &[header]).await;
        assert_eq!((reply.status, reply.text().as_str()), (304, ""), "{header:?}");
        assert_eq!(reply.header("etag").as_deref(), Some(ETAG));
        assert_eq!(reply.header("cache-control").as_deref(), Some("private, must-revalidate"));
        assert!(reply.header("last-modified").is_some());
        assert_eq!(reply.header("content-type"), None);
    }
}

#[tokio::test]
async fn refusals_of_reads_have_their_texts() {
    let fixture = Fixture::start(refusing(ErrorCode::NotFound)).await;
    let user = User::random();
    let z32 = &user.z32;
    for (path, status, body) in [
        (format!("/storage/{z32}/pub/none"), 404, "Not Found"),
        (format!("/storage/{z32}/other/a"), 403, ErrorCode::ReadOutsideRoots.text()),
        (format!("/storage/{z32}/pub"), 403, ErrorCode::ReadOutsideRoots.text()),
        (format!("/storage/{z32}/priv/a"), 401, "Authentication required to read private storage"),
        (format!("/storage/{z32}/priv/a?shallow=x"), 400, "Invalid boolean parameter"),
        (format!("/storage/{z32}/pub/a?reverse=x"), 400, "Invalid boolean parameter"),
        ("/storage".into(), 400, "Missing storage owner or path"),
        (format!("/storage/{z32}"), 400, "Missing storage path"),
        ("/storage/junk/pub/a".into(), 400, "Invalid storage owner public key"),
        (format!("/storage/{z32}/pub/%ff"), 400, "Storage path is not valid UTF-8"),
        ("/pub/a".into(), 400, "Missing request tenant"),
    ] {
        let reply = fixture.client.get(&path, &[]).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, body), "{path}");
        let typed = (body != "Invalid boolean parameter").then_some("text/plain; charset=utf-8");
        assert_eq!(reply.header("content-type").as_deref(), typed, "{path}");
    }
    fixture.node.script(refusing(ErrorCode::DirectoryNotFound));
    let reply = fixture.client.get(&user.storage("/pub/"), &[]).await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "Directory Not Found"));
    let reply = fixture.client.get("/pub/%ff", &[("host", z32)]).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn private_answers_are_never_cached_whatever_their_status() {
    let fixture = Fixture::start(found()).await;
    let user = User::random();
    let cookie = [("cookie", user.cookie.as_str())];
    for (path, headers, status) in [
        (user.storage("/priv/a"), &cookie[..], 200),
        (user.storage("/priv/a"), &[][..], 401),
        (user.storage("/pub/../priv/a"), &[][..], 401),
    ] {
        let reply = fixture.client.get(&path, headers).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
        assert!(reply.header("vary").expect("vary").starts_with("Authorization, Cookie | "), "{reply:?}");
        assert_eq!(reply.header("etag").is_some(), status == 200);
    }
    let legacy = fixture.client.get("/priv/a", &[("host", &user.z32)]).await;
    assert!(legacy.header("vary").expect("vary").starts_with("pubky-host, Authorization, Cookie"));
    let put = fixture.client.send("PUT", &user.storage("/priv/a"), &[], b"x").await;
    assert_eq!((put.status, put.header("cache-control").as_deref()), (401, Some("no-store")));
    let other = fixture.client.send("POST", &user.storage("/priv/a"), &[], b"").await;
    assert_eq!((other.status, other.header("cache-control").as_deref()), (405, Some("no-store")));
}

fn presented(request: &QueryRequest) -> Option<&credential::Kind> {
    let credential = match request.op.as_ref()? {
        query_request::Op::ReadEntry(read) => read.credential.as_ref(),
        query_request::Op::ListEntries(list) => list.credential.as_ref(),
        query_request::Op::GetSession(session) => session.credential.as_ref(),
        _ => None,
    };
    credential?.kind.as_ref()
}

#[tokio::test]
async fn a_private_read_tries_the_bearer_then_the_cookie() {
    let fixture = Fixture::start(Script::query(|request| {
        Ok(match presented(&request) {
            Some(credential::Kind::BearerHash(_)) => {
                query_reply::Result::Failure(failure(ErrorCode::ReadNeedsAuth))
            }
            _ => query_reply::Result::Entry(entry()),
        })
    }))
    .await;
    let user = User::random();
    let headers = [("authorization", user.authorization.as_str()), ("cookie", user.cookie.as_str())];
    let reply = fixture.client.get(&user.storage("/priv/a"), &headers).await;
    assert_eq!(reply.status, 200);
    let asked = fixture.node.queried();
    let expected_bearer = credential::Kind::BearerHash(user.bearer.hash().0.to_vec().into());
    let expected_cookie = credential::Kind::CookieHash(user.secret.hash().0.to_vec().into());
    assert_eq!(
        asked.iter().map(presented).collect::<Vec<_>>(),
        [Some(&expected_bearer), Some(&expected_cookie)]
    );
    let alone = fixture.client.get(&user.storage("/priv/a"), &headers[..1]).await;
    assert_eq!(alone.status, 401);
}

#[tokio::test]
async fn list_parameters_reach_the_shard_clamped() {
    let fixture = Fixture::start(found()).await;
    let user = User::random();
    let path = user.storage("/pub/dir/?limit=5000&cursor=pubky%3A%2F%2Fx&shallow&reverse=YES");
    assert_eq!(fixture.client.get(&path, &[]).await.status, 200);
    let asked = fixture.node.queried();
    let Some(query_request::Op::ListEntries(list)) = &asked[0].op else { panic!("{asked:?}") };
    assert_eq!(
        (list.limit, list.cursor.as_str(), list.shallow, list.reverse),
        (1000, "pubky://x", true, true)
    );
}
