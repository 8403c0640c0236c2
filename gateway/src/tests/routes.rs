//! Every route of the protocol, as openapi-client.yml and openapi-admin.yml list them: it is served, or says 501.

use crate::testing::{Client, Fixture, Script, User};

/// Method, path, and the status of a request that brings nothing but a tenant. A new route replaces its
/// 501.
const CLIENT: [(&str, &str, u16); 23] = [
    ("GET", "/", 200),
    ("GET", "/info", 200),
    ("GET", "/signup_tokens/{token}", 400),
    ("POST", "/signup", 400),
    ("POST", "/session", 400),
    ("GET", "/session", 401),
    ("DELETE", "/session", 200),
    ("POST", "/auth/grant/signup", 415),
    ("POST", "/auth/grant/session", 415),
    ("GET", "/auth/grant/session", 401),
    ("DELETE", "/auth/grant/session", 200),
    ("GET", "/auth/grant/sessions", 401),
    ("DELETE", "/auth/grant/session/{gid}", 401),
    ("GET", "/storage/{user_z32}/{path}", 404),
    ("HEAD", "/storage/{user_z32}/{path}", 404),
    ("PUT", "/storage/{user_z32}/{path}", 401),
    ("DELETE", "/storage/{user_z32}/{path}", 401),
    ("GET", "/{path}", 404),
    ("HEAD", "/{path}", 404),
    ("PUT", "/{path}", 401),
    ("DELETE", "/{path}", 401),
    ("GET", "/events/", 200),
    ("GET", "/events-stream", 400),
];

const ADMIN: [(&str, &str, u16); 17] = [
    ("GET", "/", 200),
    ("GET", "/info", 400), // what the scripted meta group says
    ("GET", "/generate_signup_token", 200),
    ("POST", "/generate_signup_token", 415),
    ("GET", "/signup_tokens", 400), // as above
    ("GET", "/events-stream", 200),
    ("DELETE", "/webdav/{entry_path}", 204),
    ("GET", "/dav/{path}", 401),
    ("PUT", "/dav/{path}", 401),
    ("DELETE", "/dav/{path}", 401),
    ("GET", "/users", 404), // what the scripted shard says
    ("GET", "/users/disabled", 404),
    ("GET", "/users/{pubkey}", 404),
    ("POST", "/users/{pubkey}/disable", 200),
    ("POST", "/users/{pubkey}/enable", 200),
    ("GET", "/users/{pubkey}/quota", 404),
    ("PATCH", "/users/{pubkey}/quota", 415),
];

fn filled(path: &str, user: &User) -> String {
    path.replace("{user_z32}", &user.z32)
        .replace("{pubkey}", &user.z32)
        .replace("{entry_path}", &format!("{}/pub/a", user.z32))
        .replace("{token}", "ABCD-EFGH-JKMN")
        .replace("{gid}", "abc")
        .replace("{path}", "pub/a")
}

async fn assert_answers(
    client: &Client,
    routes: &[(&str, &str, u16)],
    user: &User,
    headers: &[(&str, &str)],
) {
    for (method, path, status) in routes {
        let reply = client.send(method, &filled(path, user), headers, b"").await;
        assert_eq!(reply.status, *status, "{method} {path}: {}", reply.text());
        if *status == 501 {
            assert_eq!(reply.text(), "Not Implemented", "{method} {path}");
            assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        }
    }
}

#[tokio::test]
async fn every_route_of_the_protocol_is_served_or_says_that_it_is_not_there_yet() {
    let fixture = Fixture::with(Script::default(), |config| {
        config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
        config.admin.password = Some("correct horse".into());
    })
    .await;
    let user = User::random();
    // The key alone is the user's website.
    let host = format!("_pubky.{}", user.z32);
    assert_answers(&fixture.client, &CLIENT, &user, &[("host", &host)]).await;
    let admin = Client::new(fixture.gateway.admin_address().expect("admin"));
    assert_answers(&admin, &ADMIN, &user, &[("x-admin-password", "correct horse")]).await;

    // Other methods of these paths are refused, and paths beside them are storage.
    let storage = [("host", user.z32.as_str())];
    for (method, path, status) in [
        ("PUT", "/events/", 405),
        ("POST", "/auth/grant/sessions", 405),
        ("GET", "/events", 403),
        ("GET", "/events/a", 403),
        ("GET", "/events-stream/", 403),
        ("GET", "/auth/grant/session/abc/d", 403),
        ("GET", "/pub/events/", 404),
    ] {
        let reply = fixture.client.send(method, path, &storage, b"").await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
    }
    for (method, path) in [("GET", "/users"), ("POST", "/generate_signup_token")] {
        assert_eq!(admin.send(method, path, &[], b"").await.status, 401, "{path} is told to operators only");
    }
    // WebDAV brings its password its own way.
    for (method, path) in [("PROPFIND", "/dav/"), ("MKCOL", "/dav/a/b"), ("OPTIONS", "/dav")] {
        let reply = admin.send(method, path, &[("authorization", "Basic YTpi")], b"").await;
        assert_eq!(reply.status, if method == "OPTIONS" { 200 } else { 401 }, "{method} {path}");
    }
}
