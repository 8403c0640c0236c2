//! PUT and DELETE: who is asked what, in which order, and what a client sees.

use rowhouse_proto::wire::shard::{
    Done, ExecuteRequest, GrantSession, PutEntry, execute_reply, execute_request, query_reply, query_request,
};
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};

use crate::testing::{Fixture, Script, User, failure, session_of};

fn put_of(request: &ExecuteRequest) -> &PutEntry {
    match &request.op {
        Some(execute_request::Op::PutEntry(put)) => put,
        other => panic!("not a put: {other:?}"),
    }
}

/// Sessions named by bearer live; cookies live too.
fn sessions_live(user: &User) -> Script {
    let cookie = session_of(&user.key);
    Script::default().and_query(move |request| {
        let by_bearer = matches!(&request.op, Some(query_request::Op::GetSession(get))
            if get.tenant.is_empty());
        Ok(if by_bearer {
            query_reply::Result::GrantSession(GrantSession::default())
        } else {
            query_reply::Result::CookieSession(cookie.clone())
        })
    })
}

#[tokio::test]
async fn a_put_is_one_rpc_with_the_body_and_its_detected_type() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let headers = [("cookie", user.cookie.as_str()), ("content-type", "image/png")];
    let reply = fixture.client.send("PUT", &user.storage("/pub/foo.txt"), &headers, b"hello").await;
    assert_eq!((reply.status, reply.text().as_str()), (201, ""));
    let executed = fixture.node.executed();
    assert_eq!(executed.len(), 1);
    assert_eq!(executed[0].group, user.shard());
    assert_eq!(executed[0].request_id.len(), 16);
    let put = put_of(&executed[0]);
    assert_eq!(put.body, "hello");
    assert_eq!(
        (put.path.as_str(), put.content_type.as_str(), put.content_length, &put.upload),
        ("/pub/foo.txt", "text/plain", Some(5), &None)
    );
    assert!(fixture.node.queried().is_empty());
}

#[tokio::test]
async fn a_delete_answers_204_and_refusals_pass_through() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let headers = [("authorization", user.authorization.as_str())];
    let reply = fixture.client.send("DELETE", "/pub/a", &[headers[0], ("host", &user.z32)], b"").await;
    assert_eq!((reply.status, reply.text().as_str()), (204, ""));
    for code in [
        ErrorCode::NotFound,
        ErrorCode::NoWriteCapability,
        ErrorCode::WritePathNotAllowed,
        ErrorCode::PathCollision,
        ErrorCode::QuotaExceeded,
        ErrorCode::UserDisabled,
        ErrorCode::DiskFull,
    ] {
        fixture.node.script(Script::execute(move |_| Ok(execute_reply::Result::Failure(failure(code)))));
        let reply = fixture.client.send("DELETE", &user.storage("/pub/a"), &headers, b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (code.http_status().as_u16(), code.text()));
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test]
async fn without_a_plausible_credential_nobody_is_asked() {
    let fixture = Fixture::start(Script::default()).await;
    let (user, other) = (User::random(), User::random());
    for header in [
        ("x-nothing", ""),
        ("authorization", "Bearer short"),
        ("authorization", "Basic YTpi"),
        ("cookie", other.cookie.as_str()),
        ("cookie", "=;=;"),
    ] {
        for path in [user.storage("/pub/a"), user.storage("/pub/dir/"), user.storage("/x")] {
            let reply = fixture.client.send("PUT", &path, &[header], b"x").await;
            assert_eq!((reply.status, reply.text().as_str()), (401, "No authenticated session found"));
        }
    }
    let legacy = fixture.client.send("PUT", "/pub/a", &[], b"x").await;
    assert_eq!(legacy.status, 401, "before the missing tenant");
    let malformed = fixture.client.send("PUT", "/storage/x/pub/a", &[], b"x").await;
    assert_eq!(malformed.status, 400, "malformed storage paths come first");
    assert!(fixture.node.executed().is_empty() && fixture.node.queried().is_empty());
}

#[tokio::test]
async fn flaws_are_told_to_live_sessions_only() {
    let user = User::random();
    let fixture = Fixture::start(sessions_live(&user)).await;
    let bearer = [("authorization", user.authorization.as_str())];
    let cookie = [("cookie", user.cookie.as_str())];
    for (path, headers, body) in [
        (user.storage("/pub/dir/"), bearer, "Target path must be a file"),
        (user.storage("/pub/dir/"), cookie, "Target path must be a file"),
        ("/pub/a".to_owned(), bearer, "Missing request tenant"),
    ] {
        let reply = fixture.client.send("PUT", &path, &headers, b"x").await;
        assert_eq!((reply.status, reply.text().as_str()), (400, body), "{path}");
    }
    let with_host = [bearer[0], ("host", user.z32.as_str())];
    assert_eq!(fixture.client.send("PUT", "/pub/a%00b", &with_host, b"x").await.status, 400);
    fixture.node.script(Script::query(|_| Ok(query_reply::Result::Failure(failure(ErrorCode::NoSession)))));
    for path in [user.storage("/pub/dir/"), "/pub/a".into()] {
        assert_eq!(fixture.client.send("PUT", &path, &bearer, b"x").await.status, 401, "{path}");
    }
    assert_eq!(fixture.client.send("PUT", "/pub/a%00b", &with_host, b"x").await.status, 401);
    assert!(fixture.node.executed().is_empty());
}

#[tokio::test]
async fn a_live_bearer_of_another_shard_is_a_mismatch_and_a_dead_one_is_nobody() {
    let user = User::random();
    let foreign = user.elsewhere();
    let fixture = Fixture::start(sessions_live(&user)).await;
    let headers = [("authorization", foreign.authorization.as_str()), ("cookie", user.cookie.as_str())];
    for (path, code) in [
        ("/pub/a", ErrorCode::TenantMismatch),
        ("/other/a", ErrorCode::WriteOutsideRoots),
        ("/pub/dir/", ErrorCode::TargetMustBeFile),
    ] {
        let reply = fixture.client.send("PUT", &user.storage(path), &headers, b"x").await;
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (code.http_status().as_u16(), code.text()),
            "{path}"
        );
    }
    assert!(fixture.node.queried().iter().all(|query| query.group == foreign.shard()));
    assert!(fixture.node.executed().is_empty());
    fixture.node.script(
        Script::default().and_query(|_| Ok(query_reply::Result::Failure(failure(ErrorCode::NoSession)))),
    );
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &headers[..1], b"x").await;
    assert_eq!(reply.status, 401);
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &headers, b"x").await;
    assert_eq!(reply.status, 201, "the cookie still counts");
}

#[tokio::test]
async fn a_dead_bearer_falls_through_to_the_cookie_under_a_new_request_id() {
    let fixture = Fixture::start(Script::execute(|request| {
        use rowhouse_proto::wire::shard::credential::Kind;
        let put = put_of(&request);
        let bearer =
            matches!(put.credential.as_ref().and_then(|c| c.kind.as_ref()), Some(Kind::BearerHash(_)));
        Ok(if bearer {
            execute_reply::Result::Failure(failure(ErrorCode::NoSession))
        } else {
            execute_reply::Result::Done(Done {})
        })
    }))
    .await;
    let user = User::random();
    let headers = [("authorization", user.authorization.as_str()), ("cookie", user.cookie.as_str())];
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &headers, b"x").await;
    assert_eq!(reply.status, 201);
    let executed = fixture.node.executed();
    assert_eq!(executed.len(), 2);
    assert_ne!(executed[0].request_id, executed[1].request_id);
    assert_eq!(put_of(&executed[1]).body, "x");
}

#[tokio::test]
async fn the_largest_inline_body_arrives_whole() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let body = vec![b'x'; INLINE_BODY_BYTES_MAX];
    let cookie = [("cookie", user.cookie.as_str())];
    let reply = fixture.client.send("PUT", &user.storage("/pub/a.bin"), &cookie, &body).await;
    assert_eq!(reply.status, 201);
    assert_eq!(put_of(&fixture.node.executed()[0]).body, body);
}

#[tokio::test]
async fn other_methods_are_refused_once_the_tenant_resolves() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    for method in ["POST", "PATCH", "MKCOL"] {
        let reply = fixture.client.send(method, &user.storage("/pub/a"), &[], b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (405, ""), "{method}");
        assert_eq!(reply.header("allow").as_deref(), Some("GET, HEAD, PUT, DELETE, LOCK, UNLOCK"));
        assert_eq!(fixture.client.send(method, "/storage/x/pub/a", &[], b"").await.status, 400);
        assert_eq!(fixture.client.send(method, "/pub/a", &[], b"").await.status, 405);
    }
    for method in ["LOCK", "UNLOCK"] {
        let reply = fixture.client.send(method, &user.storage("/pub/a"), &[], b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (401, "Unauthorized"), "{method}");
        assert_eq!(fixture.client.send(method, "/storage/x/pub/a", &[], b"").await.status, 400);
    }
}
