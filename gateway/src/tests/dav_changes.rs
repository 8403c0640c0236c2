//! Changes through `/dav`: what the shard is asked for, and that a refusal asks for nothing.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{credential, execute_reply, execute_request};

use crate::testing::{Drive, Script, User, account, answer, failure};

#[tokio::test]
async fn puts_are_the_operators_and_say_what_they_did() {
    let drive = Drive::with(&[("/pub/a", "a"), ("/pub/d/x", "x")]).await;
    let tag = format!("\"{}\"", STANDARD.encode(blake3::hash(b"a").as_bytes()));
    for (path, headers, status) in [
        ("/pub/new", vec![], 201),
        ("/pub/a", vec![], 204),
        ("/pub/a", vec![("if-match", tag.as_str())], 204),
        ("/pub/a", vec![("if", "(<opaquetoken:1>)"), ("x-expected-entity-length", "5")], 204),
        ("/pub/a", vec![("if-none-match", "*")], 412),
        ("/pub/new", vec![("if-match", "*")], 412),
        ("/pub/a", vec![("content-range", "bytes 0-4/9")], 400),
        ("/pub/d", vec![], 405),
        ("/pub/new/", vec![], 405),
        ("/", vec![], 403),
        ("/dav/.DS_Store", vec![], 404),
    ] {
        let before = drive.executed().len();
        let reply = drive.send("PUT", path, &headers, b"hello").await;
        assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.text());
        let executed = drive.executed();
        assert_eq!(executed.len() - before, usize::from(status < 300), "{path}");
        if let (Some(execute_request::Op::PutEntry(put)), true) = (executed.last(), status < 300) {
            let operator = Some(credential::Kind::Operator(true));
            assert_eq!(put.credential.as_ref().and_then(|credential| credential.kind.clone()), operator);
            assert_eq!(
                (put.path.as_str(), put.content_length, &put.body[..]),
                (path, Some(5), &b"hello"[..])
            );
        }
    }
    for code in [ErrorCode::QuotaExceeded, ErrorCode::PathCollision, ErrorCode::NotFound] {
        let (files, known) = (Arc::clone(&drive.files), account(&drive.user));
        let refusing = Script::execute(move |_| Ok(execute_reply::Result::Failure(failure(code))));
        drive.fixture.node.script(refusing.and_query(move |request| Ok(answer(&files, &known, 0, request))));
        let reply = drive.send("PUT", "/pub/a", &[], b"hello").await;
        assert_eq!(reply.status, code.http_status().as_u16());
    }
}

#[tokio::test]
async fn a_deletion_is_one_command() {
    let drive = Drive::with(&[("/pub/a", "a"), ("/pub/d/x", "x")]).await;
    for (path, depth, status) in [
        ("/pub/a", "0", 204),
        ("/pub/d", "infinity", 204),
        ("/pub/d/", "0", 400),
        ("/pub/none", "infinity", 404),
        ("/", "infinity", 403),
        ("/dav/", "infinity", 403),
    ] {
        assert_eq!(drive.send("DELETE", path, &[("depth", depth)], b"").await.status, status, "{path}");
    }
    let [execute_request::Op::DeleteEntry(file), execute_request::Op::RemoveCollection(collection)] =
        &drive.executed()[..]
    else {
        panic!("{:?}", drive.executed())
    };
    assert_eq!((file.path.as_str(), collection.path.as_str()), ("/pub/a", "/pub/d/"));
}

#[tokio::test]
async fn collections_are_made_by_one_command() {
    let drive = Drive::with(&[]).await;
    for (path, body, status) in [
        ("/pub/new", &b""[..], 201),
        ("/pub/new/", b"", 201),
        ("/pub/new", b"<x/>", 415),
        ("/dav/", b"", 405),
        ("/", b"", 405),
        (&format!("/dav/{}/", User::random().z32), b"", 403),
    ] {
        assert_eq!(drive.send("MKCOL", path, &[], body).await.status, status, "{path}");
    }
    for op in drive.executed() {
        let execute_request::Op::MakeCollection(op) = op else { panic!("{op:?}") };
        assert_eq!(op.path, "/pub/new/");
    }
    for (code, status) in
        [(ErrorCode::PathExists, 405), (ErrorCode::NoParent, 409), (ErrorCode::NotFound, 409)]
    {
        drive
            .fixture
            .node
            .script(Script::execute(move |_| Ok(execute_reply::Result::Failure(failure(code)))));
        assert_eq!(drive.send("MKCOL", "/pub/x", &[], b"").await.status, status);
    }
}

#[tokio::test]
async fn a_move_is_one_command_or_nothing() {
    let drive = Drive::with(&[("/pub/m/a", "a"), ("/pub/m/d/1", "1")]).await;
    let (here, other) = (drive.url(""), User::random());
    let ok = [
        ("/pub/m/a", format!("{here}/pub/m/b"), "T", 201, ("/pub/m/a", "/pub/m/b")),
        ("/pub/m/a", format!("http://localhost{here}/pub/a%20b%2525"), "F", 201, ("/pub/m/a", "/pub/a b%25")),
        ("/pub/m/a/", format!("{here}/pub/m/b/"), "T", 201, ("/pub/m/a", "/pub/m/b")),
        ("/pub/m/d", format!("{here}/priv/x"), "T", 201, ("/pub/m/d/", "/priv/x/")),
        ("/pub/m/a", format!("{here}/pub/m/d/1"), "T", 204, ("/pub/m/a", "/pub/m/d/1")),
    ];
    for (path, to, overwrite, status, expected) in &ok {
        let headers = [("destination", to.as_str()), ("overwrite", *overwrite)];
        let reply = drive.send("MOVE", path, &headers, b"").await;
        assert_eq!(reply.status, *status, "{path} {to}: {}", reply.text());
        let Some(execute_request::Op::MoveEntries(op)) = drive.executed().pop() else { panic!("{to}") };
        assert_eq!(((op.from.as_str(), op.to.as_str()), op.overwrite), (*expected, *overwrite == "T"));
    }
    for (path, to, depth, status) in [
        ("/pub/m/a", format!("http://elsewhere{here}/pub/b"), "infinity", 502),
        ("/pub/m/a", format!("/dav/{}/pub/b", other.z32), "infinity", 403),
        ("/pub/m/a", "/etc/x".to_owned(), "infinity", 403),
        ("/pub/m/a", format!("{here}/"), "infinity", 403),
        ("/pub/m/a", "nowhere at all".to_owned(), "infinity", 400),
        ("/pub/m/a", format!("{here}/pub/%ff"), "infinity", 400),
        ("/pub/m/a", format!("{here}/pub/b"), "0", 400),
        ("/pub/m/none", format!("{here}/pub/b"), "infinity", 404),
        ("/", format!("{here}/pub/b"), "infinity", 403),
    ] {
        let reply = drive.send("MOVE", path, &[("destination", &to), ("depth", depth)], b"").await;
        assert_eq!(reply.status, status, "{path} {to}: {}", reply.text());
    }
    assert_eq!(drive.send("MOVE", "/pub/m/a", &[], b"").await.status, 400);
    assert_eq!(drive.executed().len(), ok.len(), "refusals ask nobody for a change");
}

#[tokio::test]
async fn a_copy_is_a_put_of_what_was_read() {
    let drive = Drive::with(&[("/pub/a", "bytes"), ("/pub/b", "old"), ("/pub/d/1", "1")]).await;
    let here = drive.url("");
    for (path, to, overwrite, status) in [
        ("/pub/a", "/pub/new", "F", 201),
        ("/pub/a", "/pub/b", "T", 204),
        ("/pub/a", "/pub/b", "F", 412),
        ("/pub/a", "/pub/a", "T", 403),
        ("/pub/a", "/pub/d", "T", 409),
        ("/pub/d", "/pub/e", "T", 501),
        ("/pub/none", "/pub/e", "T", 404),
    ] {
        let headers = [("destination", &*format!("{here}{to}")), ("overwrite", overwrite)];
        let before = drive.executed().len();
        let reply = drive.send("COPY", path, &headers, b"").await;
        assert_eq!(reply.status, status, "{path} {to}: {}", reply.text());
        assert_eq!(drive.executed().len() - before, usize::from(status < 300));
    }
    for op in drive.executed() {
        let execute_request::Op::PutEntry(put) = op else { panic!("{op:?}") };
        assert_eq!((&put.body[..], put.content_length), (&b"bytes"[..], Some(5)));
    }
}

#[tokio::test]
async fn locks_succeed_and_a_lock_of_nothing_makes_a_file() {
    let drive = Drive::with(&[("/pub/a", "a")]).await;
    let lockinfo = "<?xml version=\"1.0\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                    <D:locktype><D:write/></D:locktype><D:owner>me</D:owner></D:lockinfo>";
    let headers = [("depth", "0"), ("timeout", "Second-600")];
    for (path, status, made) in
        [("/pub/a", 200, 0), ("/pub/new", 201, 1), ("/pub/", 200, 1), ("/dav/", 200, 1)]
    {
        let reply = drive.send("LOCK", path, &headers, lockinfo.as_bytes()).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        let token = reply.header("lock-token").expect("a token");
        assert!(token.starts_with('<') && token.ends_with('>'), "{token}");
        assert_eq!(drive.executed().len(), made);
        let unlocked = drive.send("UNLOCK", path, &[("lock-token", &token)], b"").await;
        assert_eq!(unlocked.status, 204, "{path}");
    }
    let Some(execute_request::Op::PutEntry(put)) = drive.executed().pop() else { panic!("a put") };
    assert_eq!((put.path.as_str(), put.body.len()), ("/pub/new", 0));
    assert_eq!(drive.send("LOCK", "/pub/new/", &headers, lockinfo.as_bytes()).await.status, 403);
    let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
    for body in ["", "<x", &deep] {
        assert_eq!(drive.send("LOCK", "/pub/a", &headers, body.as_bytes()).await.status, 400, "{body:.20}");
    }
    let patch = "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
                 <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>";
    let reply = drive.send("PROPPATCH", "/pub/a", &[], patch.as_bytes()).await;
    assert_eq!(reply.status, 207);
    assert!(reply.text().contains("200 OK"), "{}", reply.text());
    let own = patch.replace("urn:schemas-microsoft-com:", "urn:own");
    let reply = drive.send("PROPPATCH", "/pub/a", &[], own.as_bytes()).await;
    assert_eq!(reply.status, 207);
    assert!(reply.text().contains("403 Forbidden"), "{}", reply.text());
    assert_eq!(drive.send("PROPPATCH", "/pub/none", &[], patch.as_bytes()).await.status, 404);
}
