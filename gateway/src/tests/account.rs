//! Signup, sign-in, sign-out and the small public routes.

use pubky_common::auth::AuthToken;
use pubky_common::auth::grant::GrantClaims;
use pubky_common::auth::grant_session_responses::{GrantSessionInfo, GrantSessionResponse};
use pubky_common::auth::jws::{ClientId, GRANT_JWS_TYP, GrantId};
use pubky_common::capabilities::{Capabilities, Capability};
use pubky_common::crypto::Keypair;
use pubky_common::session::CookieSessionRecord;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::secret::{Bearer, SecretHash};
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::meta::meta_query_reply;
use rowhouse_proto::wire::shard::{GrantSession, execute_reply, execute_request, query_reply, query_request};

use crate::testing::{Fixture, SECRET, Script, User, failure, session_of};

pub fn auth_token(user: &User) -> Vec<u8> {
    AuthToken::sign(&user.keypair, Capabilities::from(vec![Capability::root()])).serialize()
}

fn grant_of(user: &User) -> String {
    let claims = GrantClaims {
        iss: user.key.clone(),
        client_id: ClientId::new("app.example").expect("valid"),
        caps: vec![Capability::root()],
        cnf: Keypair::random().public_key(),
        jti: GrantId::generate(),
        iat: 1_700_000_000,
        exp: 1_900_000_000,
    };
    claims.sign(&user.keypair, GRANT_JWS_TYP)
}

fn grant_session_of(user: &User) -> GrantSession {
    GrantSession {
        user: user.key.as_bytes().to_vec().into(),
        client_id: "app.example".into(),
        capabilities: vec!["/pub/app/:rw".into()],
        grant_id: "abc".into(),
        token_expires_at: 3,
        grant_expires_at: 2,
        created_at: 1,
    }
}

fn body_of(grant: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "grant": grant, "pop": "a.b.c" })).expect("json")
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn the_small_routes_answer_without_a_cluster() {
    let fixture = Fixture::start(Script::default()).await;
    let root = fixture.client.get("/", &[("host", "(none)")]).await;
    assert_eq!((root.status, root.text().as_str()), (200, "Pubky Homeserver"));
    let info = fixture.client.get("/info", &[]).await;
    assert_eq!(
        info.text(),
        r#"{"features":["path-addressed-storage","grant-proof-logout","webdav-locks","websites","conditional-writes"]}"#
    );
    assert_eq!(info.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(info.header("cache-control").as_deref(), Some("no-store"));
    assert!(fixture.node.queried().is_empty() && fixture.node.executed().is_empty());
}

#[tokio::test]
async fn cors_answers_every_options_and_mirrors_the_origin() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-a,x-b"),
    ];
    for path in [user.storage("/pub/a"), "/storage/junk".into(), "/session".into(), "/nowhere".into()] {
        let reply = fixture.client.send("OPTIONS", &path, &preflight, b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{path}");
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "PUT"),
            ("access-control-allow-headers", "x-a,x-b"),
        ] {
            assert_eq!(reply.header(name).as_deref(), Some(value), "{name}");
        }
    }
    let refused = fixture.client.get("/storage", &preflight[..1]).await;
    assert_eq!(refused.header("access-control-allow-origin").as_deref(), Some("https://app.example"));
    let exposed = refused.header("access-control-expose-headers").expect("exposed");
    assert_eq!(exposed, "retry-after,lock-token,timeout");
}

#[tokio::test]
async fn signup_draws_a_cookie_whose_hash_the_shard_learns() {
    let user = User::random();
    let session = session_of(&user.key);
    let fixture =
        Fixture::start(Script::execute(move |_| Ok(execute_reply::Result::CookieSession(session.clone()))))
            .await;
    for (path, host, secure) in [("/signup", "example.com", true), ("/session", "localhost:6286", false)] {
        let reply = fixture.client.send("POST", path, &[("host", host)], &auth_token(&user)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type").as_deref(), Some("application/octet-stream"));
        let record = CookieSessionRecord::deserialize(&reply.body).expect("record");
        assert_eq!((record.public_key(), record.created_at()), (&user.key, 1_700_000_000_123_456));
        let cookie = reply.header("set-cookie").expect("cookie");
        assert_eq!(cookie.contains("; SameSite=None; Secure; Path=/; Max-Age=31536000;"), secure, "{cookie}");
        let secret = cookie.split(['=', ';']).nth(1).expect("value");
        let executed = fixture.node.executed();
        let hash = match &executed.last().expect("asked").op {
            Some(execute_request::Op::CookieSignup(signup)) => signup.cookie_hash.clone(),
            Some(execute_request::Op::CookieSignin(signin)) => signin.cookie_hash.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(SecretHash::from_slice(&hash), Some(SecretHash::of(secret)));
        assert_eq!(executed.last().expect("asked").client_addr, "127.0.0.1");
        assert_eq!(executed.last().expect("asked").group, user.shard());
    }
}

#[tokio::test]
async fn malformed_signups_reach_no_log() {
    let fixture = Fixture::start(Script::default()).await;
    let token = auth_token(&User::random());
    let mut forged = token.clone();
    forged[0] ^= 1;
    let mut version = token.clone();
    version[74] = 1;
    for (path, host, body, text) in [
        ("/signup", "(none)", &token[..], "Header of type `host` was missing"),
        ("/session", "(none)", &token[..], "Header of type `host` was missing"),
        ("/signup?signup_token=x", "h", &token[..], ErrorCode::SignupTokenFormat.text()),
        ("/signup?signup_token=", "h", b"junk", ErrorCode::SignupTokenFormat.text()),
        ("/signup", "h", &forged[..], "Invalid Signature"),
        ("/session", "h", &version[..], "Unknown version"),
    ] {
        let reply = fixture.client.send("POST", path, &[("host", host)], body).await;
        assert_eq!((reply.status, reply.text().as_str()), (400, text), "{path} {host}");
    }
    for body in [&b""[..], &token[..80], &[0xFF; 300]] {
        assert_eq!(fixture.client.send("POST", "/session", &[], body).await.status, 400);
    }
    assert!(fixture.node.executed().is_empty());
}

#[tokio::test]
async fn the_cookie_session_route_tells_cookies_from_bearers() {
    let user = User::random();
    let (cookie_session, grant_session) = (session_of(&user.key), grant_session_of(&user));
    let fixture = Fixture::start(Script::query(move |request| {
        let Some(query_request::Op::GetSession(get)) = &request.op else { panic!("{request:?}") };
        Ok(if get.tenant.is_empty() {
            query_reply::Result::GrantSession(grant_session.clone())
        } else {
            query_reply::Result::CookieSession(cookie_session.clone())
        })
    }))
    .await;
    let (host, cookie) = (("host", user.z32.as_str()), ("cookie", user.cookie.as_str()));
    let bearer = ("authorization", user.authorization.as_str());
    let reply = fixture.client.get("/session", &[host, cookie]).await;
    let record = CookieSessionRecord::deserialize(&reply.body).expect("record");
    assert_eq!((reply.status, record.created_at()), (200, 1_700_000_000));
    for (path, headers, text) in [
        ("/session", vec![host], "No authenticated session found"),
        ("/session", vec![cookie], "No authenticated session found"),
        ("/session", vec![host, cookie, bearer], "Unauthorized"),
        ("/auth/grant/session", vec![], "No authenticated session found"),
        ("/auth/grant/session", vec![host, cookie], "Unauthorized"),
    ] {
        let reply = fixture.client.get(path, &headers).await;
        assert_eq!((reply.status, reply.text().as_str()), (401, text), "{path} {headers:?}");
    }
    let reply = fixture.client.get("/auth/grant/session", &[bearer]).await;
    let info: GrantSessionInfo = serde_json::from_slice(&reply.body).expect("json");
    assert_eq!((info.pubky, info.created_at), (user.key.clone(), 1));
    assert_eq!(info.homeserver, Keypair::from_secret(&SECRET).public_key());
}

#[tokio::test]
async fn signing_out_of_a_cookie_always_removes_it() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let (host, cookie) = (("host", user.z32.as_str()), ("cookie", user.cookie.as_str()));
    for headers in [vec![host, cookie], vec![host]] {
        let reply = fixture.client.send("DELETE", "/session", &headers, b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, ""));
        let removal = reply.header("set-cookie").expect("removal");
        assert!(
            removal.starts_with(&format!("{}=; HttpOnly; SameSite=None; Secure;", user.z32)),
            "{removal}"
        );
        assert!(removal.contains("Max-Age=0"));
    }
    assert_eq!(fixture.node.executed().len(), 1, "only one had something to end");
    let untold = fixture.client.send("DELETE", "/session", &[cookie], b"").await;
    assert_eq!((untold.status, untold.text().as_str()), (400, "Missing request tenant"));
    let hostless = fixture.client.send("DELETE", "/session", &[("host", "(none)")], b"").await;
    assert_eq!(hostless.text(), "Header of type `host` was missing");
}

#[tokio::test]
async fn an_exchange_answers_with_a_bearer_of_the_users_slot() {
    let user = User::random();
    let session = grant_session_of(&user);
    let fixture =
        Fixture::start(Script::execute(move |_| Ok(execute_reply::Result::GrantSession(session.clone()))))
            .await;
    let reply = fixture.client.send("POST", "/auth/grant/session", &[JSON], &body_of(&grant_of(&user))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
    let response: GrantSessionResponse = serde_json::from_slice(&reply.body).expect("json");
    let (bearer, slot) = Bearer::parse(&response.token).expect("own bearer");
    assert_eq!(slot, Slot::of_user(&user.key));
    let executed = fixture.node.executed();
    let Some(execute_request::Op::GrantExchange(exchange)) = &executed[0].op else { panic!("{executed:?}") };
    assert_eq!(exchange.bearer_hash, bearer.hash().0.as_slice());
    assert!(!format!("{executed:?}").contains(&response.token), "the bearer itself stays here");
}

#[tokio::test]
async fn grant_bodies_are_refused_as_axum_does() {
    let fixture = Fixture::start(Script::default()).await;
    let good = body_of(&grant_of(&User::random()));
    for path in ["/auth/grant/session", "/auth/grant/signup"] {
        for (headers, body, status) in [
            (vec![], &good[..], 415),
            (vec![("content-type", "text/plain")], &good[..], 415),
            (vec![JSON], b"{", 400),
            (vec![JSON], b"{}", 422),
            (vec![JSON], br#"{"grant":"a.b","pop":"a.b.c"}"#, 422),
        ] {
            let reply = fixture.client.send("POST", path, &headers, body).await;
            assert_eq!(reply.status, status, "{path} {headers:?}");
        }
        let reply = fixture.client.send("POST", path, &[JSON], &body_of("a.b.c")).await;
        assert_eq!((reply.status, reply.text().as_str()), (400, "Invalid grant: invalid grant format"));
    }
    assert!(fixture.node.executed().is_empty());
    let signup = fixture.client.send("POST", "/auth/grant/signup", &[JSON], &good).await;
    assert_eq!((signup.status, signup.text().as_str()), (204, ""));
    let token = "/auth/grant/signup?signup_token=nope";
    let reply = fixture.client.send("POST", token, &[JSON], &good).await;
    assert_eq!(reply.text(), ErrorCode::SignupTokenFormat.text());
}

#[tokio::test]
async fn signing_out_of_a_grant_goes_by_the_body() {
    let user = User::random();
    let fixture = Fixture::start(Script::default()).await;
    let path = "/auth/grant/session";
    let bearer = ("authorization", user.authorization.as_str());
    let last = || fixture.node.executed().pop().and_then(|request| request.op);
    assert_eq!(fixture.client.send("DELETE", path, &[], b"").await.status, 200);
    assert!(last().is_none());
    assert_eq!(fixture.client.send("DELETE", path, &[bearer], b"").await.status, 200);
    assert!(matches!(last(), Some(execute_request::Op::BearerLogout(_))));
    let proof = body_of(&grant_of(&user));
    assert_eq!(fixture.client.send("DELETE", path, &[JSON, bearer], &proof).await.status, 200);
    assert!(matches!(last(), Some(execute_request::Op::ProofLogout(_))));
    let typed = [("content-type", "text/plain"), bearer];
    assert_eq!(fixture.client.send("DELETE", path, &typed, b"").await.status, 415);
    fixture
        .node
        .script(Script::execute(|_| Ok(execute_reply::Result::Failure(failure(ErrorCode::NoSession)))));
    assert_eq!(fixture.client.send("DELETE", path, &[bearer], b"").await.status, 200);
}

#[tokio::test]
async fn signup_tokens_are_asked_for_with_get_only() {
    let fixture = Fixture::start(Script::default()).await;
    let path = "/signup_tokens/ABCD-EFGH-JKMN";
    let reply = fixture.client.get(path, &[]).await;
    assert_eq!((reply.status, reply.text().as_str()), (400, "Signup tokens not required"));
    for method in ["HEAD", "POST", "PUT", "DELETE"] {
        let reply = fixture.client.send(method, path, &[], b"").await;
        assert_eq!((reply.status, reply.header("allow").as_deref()), (405, Some("GET")), "{method}");
    }
    let unknown = || meta_query_reply::Result::Failure(failure(ErrorCode::SignupTokenNotFound));
    fixture.node.script(Script { meta_query: Box::new(move |_| Ok(unknown())), ..Script::default() });
    let reply = fixture.client.get(path, &[]).await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "Token not found"));
    let reply = fixture.client.get("/signup_tokens/nope", &[]).await;
    assert_eq!((reply.status, reply.text().as_str()), (400, ErrorCode::SignupTokenFormat.text()));
}
